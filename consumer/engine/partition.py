"""The engine of one partition, for one tenure: inputs in, commands out.

begin ─▶ takeover ─▶ read records ─▶ lanes ─▶ start ─▶ outcome ─▶ frontier ─▶ commit
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consumer.engine.commands import Command, Pause, Read, Start, WriteOutcome
from consumer.engine.committed import Committed
from consumer.engine.frontier import Frontier
from consumer.engine.lanes import Lanes, Waiting
from consumer.engine.takeover import HistoryEntry, Takeover
from schemas.outcome import Applied, Ended, HandlerResult, Ignored, OutcomeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one partition may hold: events, bytes of them, and offsets between frontier and read position."""

    events: int
    bytes: int
    distance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A record that is no event for this group; its offset needs nothing more."""

    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a handler's work on an event ended. Times are milliseconds since the epoch."""

    result: HandlerResult
    attempts: int
    called: int
    ended: int


class PartitionEngine:
    """Decide what happens to the events of one partition while this member holds it."""

    def __init__(self, committed: Committed, member: str, bounds: Bounds) -> None:
        self._takeover = Takeover(committed, member)
        self._member = member
        self.bounds = bounds
        self._frontier = Frontier(committed.frontier)
        self._lanes = Lanes()
        self._ended_before: dict[int, str] = {}
        self._ended_before_up_to = -1
        self._outcomes_end = 0
        self._waiting_for_outcome: dict[int, Waiting] = {}
        self.running = False
        self._letting_go = False
        self._paused = False

    # Taking over: the answers go to the takeover until it is done.

    def begin(self) -> list[Command]:
        """Start the tenure."""
        return [self._takeover.begin()]

    def surveyed(self, end: int) -> list[Command]:
        """Take note that the outcomes log has been read from its beginning up to, but not including, `end`."""
        return [self._takeover.surveyed(end)]

    def claimed(self) -> list[Command]:
        """Take note that the claim is committed."""
        return [self._takeover.claimed()]

    def marked(self, position: int) -> list[Command]:
        """Take note that the mark lies at `position` of the outcomes log."""
        return [self._takeover.marked(position)]

    def history_read(self, entries: Sequence[HistoryEntry]) -> None:
        """Fold a stretch of the outcomes log."""
        self._takeover.history_read(entries)

    def read_back(self) -> list[Command]:
        """Take note that the outcomes log has been read up to the mark."""
        again = self._takeover.read_back()
        if again is not None:
            return [again]
        self._ended_before = self._takeover.ended
        self._ended_before_up_to = max(self._ended_before, default=-1)
        self._outcomes_end = self._takeover.mark + 1
        self.running = True
        return [Read()]

    # Running.

    def records_read(self, records: Sequence[Waiting | Skipped]) -> list[Command]:
        """Take records of the source partition, in offset order."""
        commands: list[Command] = [Start(waiting=waiting) for waiting in self._admitted(records)]
        if not self._paused and self._is_full():
            self._paused = True
            commands.append(Pause())
        return commands

    def call_ended(self, waiting: Waiting, ending: Ending) -> list[Command]:
        """Take how the handling of a lane's head ended.

        After *applied* the next of the lane may start at once: repeating the call is harmless. After anything else it
        waits until the outcome is acknowledged, since the next owner must not see the lane go on without it.
        """
        ended = self._ended(waiting, ending)
        if ended.outcome is not OutcomeKind.APPLIED:
            self._waiting_for_outcome[waiting.offset] = waiting
            return [WriteOutcome(ended=ended)]
        return [WriteOutcome(ended=ended), *self._advance(waiting)]

    def outcome_written(self, offset: int, position: int) -> list[Command]:
        """Take note that the outcome of the event at `offset` lies at `position`: the event is settled."""
        self._outcomes_end = max(self._outcomes_end, position + 1)
        self._frontier.settle(offset)
        waiting = self._waiting_for_outcome.pop(offset, None)
        commands = self._advance(waiting) if waiting else []
        if self._paused and self._has_room():
            self._paused = False
            commands.append(Read())
        return commands

    def let_go(self) -> None:
        """Start nothing any more."""
        self._letting_go = True

    @property
    def may_start(self) -> bool:
        """Say whether events may still start."""
        return not self._letting_go

    @property
    def epoch(self) -> int:
        """Give the number of this takeover."""
        return self._takeover.epoch

    @property
    def held(self) -> int:
        """Count the events held in memory."""
        return self._lanes.events

    @property
    def committable(self) -> Committed | None:
        """Give what may be committed now; None before the takeover is done."""
        if not self.running:
            return None
        return Committed(frontier=self._frontier.offset, epoch=self.epoch, outcomes_from=self._outcomes_from())

    def _outcomes_from(self) -> int:
        """Find the position from which the next owner must read the outcomes log back.

        An event above the frontier was read, and so ended, after the frontier's event was read: its outcome lies
        behind what was then known of the log's end. Events that ended before this tenure lie further back.
        """
        known = self._frontier.outcomes_end
        position = self._outcomes_end if known is None else known
        if self._frontier.offset <= self._ended_before_up_to:
            return min(position, self._takeover.outcomes_from)
        return position

    def _admitted(self, records: Sequence[Waiting | Skipped]) -> Iterator[Waiting]:
        for record in records:
            ended = self._ended_before.pop(record.offset, None)
            # By id too: an outcome at the same offset of a log that was deleted and made anew is another event's.
            if isinstance(record, Skipped) or record.event.id == ended:
                self._frontier.skip(record.offset)
                continue
            self._frontier.read(record.offset, self._outcomes_end)
            if self._lanes.add(record):
                yield record

    def _advance(self, done: Waiting) -> list[Command]:
        following = self._lanes.advance(done.lane)
        return [Start(waiting=following)] if following else []

    def _ended(self, waiting: Waiting, ending: Ending) -> Ended:
        kind, reason, status = _describe(ending.result)
        return Ended(
            offset=waiting.offset,
            id=waiting.event.id,
            generation=waiting.event.generation,
            outcome=kind,
            reason=reason,
            attempts=ending.attempts,
            status=status,
            received=int(waiting.event.received_at.timestamp() * 1000),
            called=ending.called,
            ended=ending.ended,
            epoch=self.epoch,
            member=self._member,
        )

    def _is_full(self) -> bool:
        return (
            self._lanes.events >= self.bounds.events
            or self._lanes.bytes >= self.bounds.bytes
            or self._frontier.distance >= self.bounds.distance
        )

    def _has_room(self) -> bool:
        """Say whether reading may go on: well below the bounds, since every pause makes Kafka fetch anew."""
        return (
            self._lanes.events * 2 <= self.bounds.events
            and self._lanes.bytes * 2 <= self.bounds.bytes
            and self._frontier.distance * 2 <= self.bounds.distance
        )


def _describe(result: HandlerResult) -> tuple[OutcomeKind, str | None, int | None]:
    match result:
        case Applied(status=status):
            return OutcomeKind.APPLIED, None, status
        case Ignored(reason=reason):
            return OutcomeKind.IGNORED, reason, None
