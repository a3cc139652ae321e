"""Bugs planted in the simulated driver, where a rule is the driver's to keep.

The simulated driver mirrors the real one; what the real one does about the same rules, tests beside it check.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from consumer.engine.commands import Command, ReadBack
from consumer.engine.lanes import Waiting
from consumer.engine.partition import Ending
from schemas.outcome import Ended, Taken
from tests.mutants.mutant import Mutant, replaced
from tests.simulation import member as members
from tests.simulation import taking_over
from tests.simulation.member import Member
from tests.simulation.scheduler import Steps
from tests.simulation.subscription import Subscription
from tests.simulation.tenure import Lease, Tenure
from tests.simulation.world import World

_CALL_ENDED = Member.call_ended
_READ = taking_over.read_stretch
_STEP = taking_over.step


def _mark_nothing(member: Member, tenure: Tenure, record: Taken) -> Steps[list[Command] | None]:
    del record
    yield 0.0
    return tenure.engine.marked(len(member.world.audit.journals[tenure.partition].outcomes))


def _mark_without_waiting(member: Member, tenure: Tenure, record: Taken) -> Steps[list[Command] | None]:
    member.producer.write(tenure.facts, record)
    yield 0.0
    return tenure.engine.marked(len(member.world.audit.journals[tenure.partition].outcomes))


def _read_to_the_watermark(member: Member, tenure: Tenure, command: Command) -> Steps[list[Command] | None]:
    if isinstance(command, ReadBack):
        end = taking_over.watermark(member.world, tenure.partition)
        command = ReadBack(start=command.start, until=min(command.until, end - 1))
    return (yield from _STEP(member, tenure, command))


def _read_the_next_partition(world: World, tenure: Tenure, start: int, stop: int) -> Steps[bool]:
    number = tenure.facts.partition
    tenure.facts.partition = (number + 1) % world.setup.partitions
    try:
        return (yield from _READ(world, tenure, start, stop))
    finally:
        tenure.facts.partition = number


def _end_under_the_present_tenure(self: Member, tenure: Tenure, waiting: Waiting, ending: Ending) -> None:
    _CALL_ENDED(self, self.tenures.get(tenure.partition, tenure), waiting, ending)


def _abandon_without_cancelling(self: Tenure, now: float) -> None:
    del now
    self.engine.let_go()
    if self.takeover is not None:
        self.takeover.cancel()


@contextmanager
def _late_results_end_under_the_present_tenure() -> Iterator[None]:
    with (
        replaced(Tenure, "abandon", _abandon_without_cancelling),
        replaced(Member, "call_ended", _end_under_the_present_tenure),
    ):
        yield


def _log_and_skip(self: Member, tenure: Tenure, ended: Ended) -> None:
    self.outcome_written(tenure, ended, 0)


DRIVER = (
    Mutant("no mark", "Mark †", lambda: replaced(taking_over, "mark", _mark_nothing)),
    Mutant(
        "mark not awaited",
        "wait for the acknowledgement †",
        lambda: replaced(taking_over, "mark", _mark_without_waiting),
    ),
    Mutant(
        "read back to a watermark",
        "up to our own mark, not to a watermark",
        lambda: replaced(taking_over, "step", _read_to_the_watermark),
    ),
    Mutant(
        "commands of a past tenure carried out",
        "commands of a past tenure are dropped †",
        lambda: replaced(Subscription, "holds", lambda *_: True),
    ),
    Mutant("no lease", "a call starts only within a lease", lambda: replaced(Lease, "valid", lambda *_: True)),
    Mutant("lease too long", "shorter than the session timeout", lambda: replaced(members, "LEASE_SHARE", 2.0)),
    Mutant(
        "settled under the next tenure",
        "history: result of an old assignment",
        _late_results_end_under_the_present_tenure,
    ),
    Mutant("failed write skipped", "history: failed write", lambda: replaced(Member, "not_written", _log_and_skip)),
    Mutant(
        "read back from another partition",
        "history: restored set of the wrong partition",
        lambda: replaced(taking_over, "read_stretch", _read_the_next_partition),
    ),
)
