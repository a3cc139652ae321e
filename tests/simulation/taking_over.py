"""Carries out the commands of a takeover: mirrors `consumer.taking_over`, step by step."""

from typing import TYPE_CHECKING, Any

from consumer.engine.commands import Claim, Command, Log, Mark, ReadBack
from consumer.engine.committed import read_committed
from consumer.engine.takeover import Marks, OutcomeEntry
from schemas.outcome import Taken
from tests.simulation.producer import Topic
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
                member.world.seen(f"rival's mark seen in {commands[0].log} and claimed again")
            commands = following
    return commands


def step(member: "Member", tenure: Tenure, command: Command) -> Steps[list[Command] | None]:
    """Carry out one command; None leaves the takeover where it was."""
    match command:
        case Claim():
            taken = yield from claim(member, tenure, command)
            return tenure.engine.claimed() if taken else None
        case Mark(taken=record):
            return (yield from mark(member, tenure, record))
        case ReadBack():
            read = yield from read_stretch(member.world, tenure, command)
            return tenure.engine.read_back() if read else None
        case _:
            raise TypeError(f"{command} has no place in a takeover")


def claim(member: "Member", tenure: Tenure, command: Claim) -> Steps[bool]:
    """Commit a claim; False if it was refused or nobody answered."""
    committed = read_committed(command.offset, command.metadata)
    if committed.outcomes_from is None:
        member.world.seen("takeover without metadata")
    request = Commit(
        tenure=tenure.facts, offset=command.offset, metadata=command.metadata, committed=committed, claims=True
    )
    sent_at = member.world.now
    taken: Any = yield member.subscription.commit([request])
    if taken is None or tenure.facts.number not in taken:
        return False
    tenure.lease.renew(sent_at)
    return True


def mark(member: "Member", tenure: Tenure, record: Taken) -> Steps[list[Command] | None]:
    """Write the mark to both logs and wait for both acknowledgements."""
    marks = [member.producer.mark(tenure.facts, topic, record) for topic in (Topic.OUTCOMES, Topic.PARKED)]
    outcomes: Any = yield marks[0]
    parked: Any = yield marks[1]
    if outcomes is None or parked is None:
        return None
    return tenure.engine.marked(Marks(outcomes=outcomes, parked=parked))


def read_stretch(world: World, tenure: Tenure, wanted: ReadBack) -> Steps[bool]:
    """Hand a stretch of a log to the engine; False if reading failed on the way."""
    journal = world.audit.journals[tenure.partition]
    start = max(wanted.start, journal.low) if wanted.log is Log.PARKED else wanted.start
    for at in range(start, wanted.until, _STRETCH):
        yield world.network.latency()
        if world.network.chance(0.03):
            world.seen("reading back fails on the way")
            return False
        stretch = range(at, min(at + _STRETCH, wanted.until))
        if wanted.log is Log.PARKED:
            tenure.engine.parked_read([journal.parked[place] for place in stretch if place >= journal.low])
        else:
            entries = [OutcomeEntry(position=place, record=journal.outcomes[place]) for place in stretch]
            tenure.engine.outcomes_read(entries)
    if wanted.log is Log.PARKED:
        if start < journal.low:
            world.seen("parked records deleted while they are read back")
        tenure.engine.parked_cut(journal.low)
    return True


def watermark(world: World, partition: int, log: Log) -> int:
    """Give the end of a log as a broker says it that may be a little behind."""
    journal = world.audit.journals[partition]
    end = len(journal.outcomes if log is Log.OUTCOMES else journal.parked)
    return max(0, end - world.rng.randint(1, 3)) if world.network.chance(0.2) else end
