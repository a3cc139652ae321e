"""Bugs planted in the simulated driver, where a rule is the driver's to keep.

The simulated driver mirrors the real one; what the real one does about the same rules, tests beside it check.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from consumer.engine.commands import Command, ReadBack, Write, WriteDead, WriteOutcome, WritePark
from consumer.engine.endings import Ending
from consumer.engine.lanes import Waiting
from consumer.engine.takeover import Marks
from schemas.outcome import Taken
from tests.mutants.mutant import Mutant, replaced
from tests.simulation import member as members
from tests.simulation import taking_over
from tests.simulation.member import Member
from tests.simulation.producer import Topic
from tests.simulation.scheduler import Steps
from tests.simulation.subscription import Subscription
from tests.simulation.taking_over import watermark
from tests.simulation.tenure import Lease, Tenure
from tests.simulation.world import World
from tests.simulation.writes import Writes

_CALL_ENDED = Member.call_ended
_NOT_WRITTEN = Writes.not_written
_READ = taking_over.read_stretch
_STEP = taking_over.step

Marking = Callable[[Member, Tenure, Taken], Steps[list[Command] | None]]


def _mark_only(*, written: tuple[Topic, ...], awaited: tuple[Topic, ...]) -> Marking:
    """Write the mark to some logs, and wait for some of those; guess where the others would lie."""

    def mark(member: Member, tenure: Tenure, record: Taken) -> Steps[list[Command] | None]:
        journal = member.world.audit.journals[tenure.partition]
        places = {Topic.OUTCOMES: len(journal.outcomes), Topic.PARKED: len(journal.parked)}
        writing = {topic: member.producer.mark(tenure.facts, topic, record) for topic in written}
        for topic in awaited:
            position = yield writing[topic]
            if position is None:
                return None
            places[topic] = position
        yield 0.0
        return tenure.engine.marked(Marks(outcomes=places[Topic.OUTCOMES], parked=places[Topic.PARKED]))

    return mark


def _marking(written: tuple[Topic, ...], awaited: tuple[Topic, ...]) -> Callable[[], AbstractContextManager[None]]:
    return lambda: replaced(taking_over, "mark", _mark_only(written=written, awaited=awaited))


def _read_to_the_watermark(member: Member, tenure: Tenure, command: Command) -> Steps[list[Command] | None]:
    if isinstance(command, ReadBack):
        end = watermark(member.world, tenure.partition, command.log)
        command = ReadBack(log=command.log, start=command.start, until=min(command.until, end))
    return (yield from _STEP(member, tenure, command))


def _read_the_next_partition(world: World, tenure: Tenure, wanted: ReadBack) -> Steps[bool]:
    number = tenure.facts.partition
    tenure.facts.partition = (number + 1) % world.setup.partitions
    try:
        journal = world.audit.journals[tenure.partition]
        until = min(wanted.until, len(journal.outcomes), len(journal.parked))
        return (yield from _READ(world, tenure, ReadBack(log=wanted.log, start=wanted.start, until=until)))
    finally:
        tenure.facts.partition = number


def _end_under_the_present_tenure(self: Member, tenure: Tenure, waiting: Waiting, ending: Ending) -> None:
    _CALL_ENDED(self, self.tenures.get(tenure.partition, tenure), waiting, ending)


def _abandon_without_cancelling(self: Tenure, now: float) -> None:
    del now
    self.engine.let_go()
    if self.takeover is not None:
        self.takeover.cancel()
    self.end()


@contextmanager
def _late_results_end_under_the_present_tenure() -> Iterator[None]:
    with (
        replaced(Tenure, "abandon", _abandon_without_cancelling),
        replaced(Member, "call_ended", _end_under_the_present_tenure),
    ):
        yield


def _skipping(kind: type[Write]) -> Callable[[Writes, Tenure, Write], None]:
    """Take what Kafka did not take for written."""

    def not_written(self: Writes, tenure: Tenure, write: Write) -> None:
        if isinstance(write, kind):
            self.done(tenure, write, 0)
        else:
            _NOT_WRITTEN(self, tenure, write)

    return not_written


def _trimmable_before_the_commit(self: Tenure) -> int | None:
    committable = self.engine.committable
    end = 0 if committable is None else self.engine.deletable(committable)
    return end if end > self.trimmed else None


BOTH = (Topic.OUTCOMES, Topic.PARKED)

DRIVER = (
    Mutant("no mark", "Mark †", _marking((), ())),
    Mutant("no mark in the outcomes", "Mark, in both logs †", _marking((Topic.PARKED,), (Topic.PARKED,))),
    Mutant("no mark in the parked log", "Mark, in both logs †", _marking((Topic.OUTCOMES,), (Topic.OUTCOMES,))),
    Mutant("mark in the outcomes not awaited", "wait for both †", _marking(BOTH, (Topic.PARKED,))),
    Mutant("mark in the parked log not awaited", "wait for both †", _marking(BOTH, (Topic.OUTCOMES,))),
    Mutant(
        "read back to a watermark",
        "up to our own mark, not to a watermark",
        lambda: replaced(taking_over, "step", _read_to_the_watermark),
        rare=11,
    ),
    Mutant(
        "commands of a past tenure carried out",
        "commands of a past tenure are dropped †",
        lambda: replaced(Subscription, "holds", lambda *_: True),
        rare=1_075,
    ),
    Mutant("no lease", "a call starts only within a lease", lambda: replaced(Lease, "valid", lambda *_: True)),
    Mutant("lease too long", "shorter than the session timeout", lambda: replaced(members, "LEASE_SHARE", 2.0)),
    Mutant(
        "settled under the next tenure",
        "history: result of an old assignment",
        _late_results_end_under_the_present_tenure,
        rare=11,
    ),
    Mutant(
        "failed outcome skipped",
        "history: failed write",
        lambda: replaced(Writes, "not_written", _skipping(WriteOutcome)),
        rare=18,
    ),
    Mutant(
        "failed park skipped",
        "history: failed write",
        lambda: replaced(Writes, "not_written", _skipping(WritePark)),
        rare=18,
    ),
    Mutant(
        "failed dead letter skipped",
        "history: failed dead letter",
        lambda: replaced(Writes, "not_written", _skipping(WriteDead)),
        rare=38,
    ),
    Mutant(
        "deleted before it is committed",
        "records are deleted below the committed P",
        lambda: replaced(Tenure, "trimmable", _trimmable_before_the_commit),
        rare=40,
    ),
    Mutant(
        "read back from another partition",
        "history: restored set of the wrong partition",
        lambda: replaced(taking_over, "read_stretch", _read_the_next_partition),
    ),
)
