"""The audit of a run: knows everything that really happened, and stops the run where a promise is broken.

A check's name says which promise of the design it defends, or which rule of the takeover.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumer.engine.committed import read_committed
from consumer.engine.lanes import Waiting
from consumer.engine.partition import Skipped
from schemas.outcome import Ended, Taken

_SLACK = 1e-6


class Violation(AssertionError):
    """A promise is broken; `check` names it."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One attempt, as the called side sees it: it goes on to its end even if its caller dies."""

    tenure: "Facts"
    offset: int
    starts: float
    ends: float


@dataclass(slots=True, kw_only=True, eq=False)
class Facts:
    """What is true of one tenure. `ended` says since when its member does not own the partition, and how that came."""

    member: str
    membership: str
    partition: int
    number: int
    start: int
    claimed_at: float | None = None
    claimed_epoch: int = 0
    mark: int | None = None
    bound: int = 0
    may_be_followed: set[int] = field(default_factory=set)
    not_before: dict[int, float] = field(default_factory=dict)
    called: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)
    open_at_end: frozenset[int] | None = None
    ended: float | None = None

    def __str__(self) -> str:
        return f"{self.member} tenure {self.number} of partition {self.partition}"

    def end(self, now: float) -> None:
        """Note the end of ownership, the first one counts, and what was not acknowledged by then."""
        if self.open_at_end is None:
            self.open_at_end = frozenset(self.open)
            self.ended = now


@dataclass(slots=True, kw_only=True, eq=False)
class Journal:
    """One partition: both logs, and what follows from them."""

    source: list[Waiting | Skipped] = field(default_factory=list)
    outcomes: list[Ended | Taken] = field(default_factory=list)
    lanes: dict[bytes, list[int]] = field(default_factory=lambda: defaultdict(list))
    landed: dict[int, int] = field(default_factory=dict)
    known: dict[int, tuple[int, float]] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    holder: Taken | None = None
    claimed: Facts | None = None
    verified: int = 0
    tenures: list[Facts] = field(default_factory=list)
    calls: dict[bytes, list[Call]] = field(default_factory=lambda: defaultdict(list))


class Audit:
    """Check the promises as things happen. `seen` counts what is interesting about a run."""

    def __init__(self, partitions: int) -> None:
        self.journals = [Journal() for _ in range(partitions)]
        self.seen: Counter[str] = Counter()

    # The logs.

    def appended(self, partition: int, record: Waiting | Skipped) -> None:
        """Note a record of the source."""
        journal = self.journals[partition]
        journal.source.append(record)
        if isinstance(record, Waiting):
            journal.lanes[record.lane].append(record.offset)

    def outcome_landed(self, facts: Facts, record: Ended | Taken, now: float) -> int:
        """Note a record of the outcomes log, and give its position."""
        journal = self.journals[facts.partition]
        position = len(journal.outcomes)
        journal.outcomes.append(record)
        if isinstance(record, Taken):
            self._mark_landed(journal, facts, record, position)
        else:
            self._ended_landed(journal, record, position, now)
        return position

    def _mark_landed(self, journal: Journal, facts: Facts, taken: Taken, position: int) -> None:
        if facts.claimed_at is None or facts.claimed_epoch != taken.epoch:
            raise Violation("claim before mark", f"{facts} writes its mark of epoch {taken.epoch} without that claim")
        facts.mark = position
        if facts.ended is not None:
            self.seen["mark of a member that owns nothing any more"] += 1
        if journal.holder is None or taken.epoch > journal.holder.epoch:
            journal.holder = taken

    def _ended_landed(self, journal: Journal, ended: Ended, position: int, now: float) -> None:
        """Note that an event ended.

        An outcome that lands behind the next owner's mark is late: nobody has to know it, it costs one repeat.
        """
        journal.landed.setdefault(ended.offset, position)
        journal.last[ended.offset] = position
        holder = journal.holder
        if holder is not None and (holder.epoch, holder.member) == (ended.epoch, ended.member):
            journal.known.setdefault(ended.offset, (position, now))
        else:
            self.seen["zombie's outcome lands behind the next owner's mark"] += 1

    # Takeover and commits.

    def claim_landed(self, facts: Facts, epoch: int, now: float) -> None:
        """Note a claim that was taken."""
        facts.claimed_at, facts.claimed_epoch = now, epoch
        self.journals[facts.partition].claimed = facts

    def running(self, facts: Facts, epoch: int) -> None:
        """Check, when handling begins, that owners stand in a row."""
        if facts.mark is None:
            raise Violation("mark first", f"{facts} begins, and its mark is not in the log")
        before = self.journals[facts.partition].outcomes[: facts.mark]
        highest = max((record.epoch for record in before if isinstance(record, Taken)), default=0)
        if epoch <= highest:
            raise Violation("epochs rise", f"{facts} begins with epoch {epoch}, and {highest} has been taken before")

    def commit_landed(self, facts: Facts, offset: int, metadata: str) -> None:
        """Check a commit that was taken: promise 5, the row of owners, and what the next owner will find."""
        journal = self.journals[facts.partition]
        if journal.claimed is not facts:
            raise Violation("owners in a row", f"a commit of {facts} is taken after a later claim")
        for at in range(journal.verified, offset):
            if isinstance(journal.source[at], Waiting) and at not in journal.landed:
                raise Violation("promise 5", f"{facts} commits {offset}, but how {at} ended is not in the log")
        journal.verified = max(journal.verified, offset)
        self._check_read_back(journal, facts, offset, metadata)

    def _check_read_back(self, journal: Journal, facts: Facts, offset: int, metadata: str) -> None:
        start = read_committed(offset, metadata).outcomes_from or 0
        for at in journal.known:
            if at >= offset and journal.last[at] < start:
                raise Violation(
                    "X rule", f"{facts} commits {offset} with X={start}; {at} ended at {journal.last[at]}, before it"
                )

    # Handling.

    def held(self, facts: Facts, bound: int, held: int, slack: int) -> None:
        """Check promise 9: what is held is within the bounds, but for the batches that were on their way."""
        facts.bound = max(facts.bound, bound)
        if held > facts.bound + slack:
            raise Violation("promise 9", f"{facts} holds {held} with a bound of {facts.bound} and {slack} on the way")

    def call_starts(self, call: Call, waiting: Waiting, owner: str | None) -> None:
        """Check a call: the lease, promises 4, 7 and 8, and Retry-After."""
        facts, journal = call.tenure, self.journals[call.tenure.partition]
        if owner != facts.membership:
            raise Violation("lease", f"{facts} calls {call.offset} while {owner or 'nobody'} owns the partition")
        self._check_not_ended(journal, call)
        self._check_order(journal, call, waiting)
        self._check_alone(journal, call, waiting)
        self._check_repeat(journal, call)
        if call.starts < facts.not_before.get(call.offset, 0.0) - _SLACK:
            raise Violation("Retry-After", f"{facts} calls {call.offset} earlier than it was told")
        facts.called.add(call.offset)
        facts.open.add(call.offset)
        if facts not in journal.tenures:
            journal.tenures.append(facts)

    def _check_not_ended(self, journal: Journal, call: Call) -> None:
        position, when = journal.known.get(call.offset, (None, 0.0))
        facts = call.tenure
        if position is None:
            if journal.landed.get(call.offset, facts.mark or 0) < (facts.mark or 0):
                self.seen["late outcome lies before the present owner's X: repeated"] += 1
            return
        before_mark = facts.mark is not None and position < facts.mark
        if before_mark or facts.claimed_at is None or when < facts.claimed_at:
            raise Violation("promise 7", f"{facts} calls {call.offset}, which ended at {position} before its mark")

    def _check_order(self, journal: Journal, call: Call, waiting: Waiting) -> None:
        facts = call.tenure
        for at in journal.lanes[waiting.lane]:
            if at >= call.offset:
                break
            if at in facts.may_be_followed or (at < facts.start and at in journal.landed):
                continue
            if at not in journal.landed or journal.landed[at] > (facts.mark or 0):
                raise Violation("promise 4, order", f"{facts} calls {call.offset} before {at} of its lane ended")

    def _check_alone(self, journal: Journal, call: Call, waiting: Waiting) -> None:
        """Check that nothing else of the lane is in flight, but for calls of members that lost the partition."""
        calls = journal.calls[waiting.lane]
        calls[:] = [other for other in calls if other.ends > call.starts]
        for other in calls:
            if other.tenure.ended is None or other.starts >= other.tenure.ended:
                raise Violation("promise 4, one at a time", f"{call.tenure} calls {call.offset}, {other.offset} is on")
            self.seen["call of a member that lost the partition overlaps"] += 1
        calls.append(call)

    def _check_repeat(self, journal: Journal, call: Call) -> None:
        if call.offset in call.tenure.done:
            raise Violation("promise 8", f"{call.tenure} calls {call.offset}, which it has finished itself")
        for earlier in journal.tenures:
            if earlier is call.tenure or call.offset not in earlier.called:
                continue
            if earlier.open_at_end is None or call.offset not in earlier.open_at_end:
                raise Violation("promise 8", f"{call.tenure} repeats {call.offset}, which {earlier} had finished")
            self.seen["call repeated that was open when its member went"] += 1

    # The end.

    def finished(self, partition: int, frontier: int) -> None:
        """Check promise 6 when all is quiet: everything ended, and the group knows."""
        journal = self.journals[partition]
        missing = [
            record.offset
            for record in journal.source
            if isinstance(record, Waiting) and record.offset not in journal.landed
        ]
        if missing:
            raise Violation("promise 6", f"partition {partition}: nothing says how {missing} ended")
        if frontier != len(journal.source):
            raise Violation("promise 6", f"partition {partition}: committed {frontier} of {len(journal.source)}")


def ends(tenures: Sequence[Facts], now: float) -> None:
    """Note that these tenures are over."""
    for facts in tenures:
        facts.end(now)
