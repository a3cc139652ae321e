"""Carries out the commands of a takeover: mirrors `consumer.taking_over`, step by step."""

from typing import TYPE_CHECKING, Any

from consumer.engine.commands import Claim, Command, Mark, ReadBack, Survey
from consumer.engine.committed import read_committed
from consumer.engine.takeover import HistoryEntry
from schemas.outcome import Taken
from tests.simulation.scheduler import Steps
from tests.simulation.tenure import Tenure
from tests.simulation.world import Commit, World

if TYPE_CHECKING:
    from tests.simulation.member import Member

_TRY_AGAIN_SECONDS = 0.2
_STRETCH = 7
"""Records read from a log at once."""


def take_over(member: "Member", tenure: Tenure) -> Steps[list[Command]]:
    """Take a partition over; what fails is tried again until the tenure ends."""
    commands = tenure.engine.begin()
    while not tenure.engine.running:
        following = yield from step(member, tenure, commands[0])
        if following is None:
            yield _TRY_AGAIN_SECONDS
        else:
            if isinstance(commands[0], ReadBack) and isinstance(following[0], Claim):
                member.world.seen("rival's mark seen and claimed again")
            commands = following
    return commands


def step(member: "Member", tenure: Tenure, command: Command) -> Steps[list[Command] | None]:
    """Carry out one command; None leaves the takeover where it was."""
    match command:
        case Survey():
            return (yield from survey(member, tenure))
        case Claim():
            taken = yield from claim(member, tenure, command)
            return tenure.engine.claimed() if taken else None
        case Mark(taken=record):
            return (yield from mark(member, tenure, record))
        case ReadBack(start=start, until=until):
            read = yield from read_stretch(member.world, tenure, start, until + 1)
            return tenure.engine.read_back() if read else None
        case _:
            raise TypeError(f"{command} has no place in a takeover")


def survey(member: "Member", tenure: Tenure) -> Steps[list[Command] | None]:
    """Read the log up to the watermark."""
    member.world.seen("takeover without metadata")
    yield member.world.network.latency()
    end = watermark(member.world, tenure.partition)
    read = yield from read_stretch(member.world, tenure, 0, end)
    return tenure.engine.surveyed(end) if read else None


def claim(member: "Member", tenure: Tenure, command: Claim) -> Steps[bool]:
    """Commit a claim; False if it was refused or nobody answered."""
    epoch = read_committed(command.offset, command.metadata).epoch
    request = Commit(tenure=tenure.facts, offset=command.offset, metadata=command.metadata, claims_epoch=epoch)
    sent_at = member.world.now
    taken: Any = yield member.subscription.commit([request])
    if taken is None or tenure.facts.number not in taken:
        return False
    tenure.lease.renew(sent_at)
    return True


def mark(member: "Member", tenure: Tenure, record: Taken) -> Steps[list[Command] | None]:
    """Write the mark and wait for its acknowledgement."""
    position: Any = yield member.producer.write(tenure.facts, record)
    return None if position is None else tenure.engine.marked(position)


def read_stretch(world: World, tenure: Tenure, start: int, stop: int) -> Steps[bool]:
    """Hand a stretch of the outcomes log to the engine; False if reading failed on the way."""
    log = world.audit.journals[tenure.partition].outcomes
    for at in range(start, min(stop, len(log)), _STRETCH):
        yield world.network.latency()
        if world.network.chance(0.03):
            world.seen("reading back fails on the way")
            return False
        stretch = range(at, min(at + _STRETCH, stop, len(log)))
        tenure.engine.history_read([HistoryEntry(position=place, record=log[place]) for place in stretch])
    return True


def watermark(world: World, partition: int) -> int:
    """Give the end of the outcomes log as a broker says it that may be a little behind."""
    end = len(world.audit.journals[partition].outcomes)
    return max(0, end - world.rng.randint(1, 3)) if world.network.chance(0.2) else end
