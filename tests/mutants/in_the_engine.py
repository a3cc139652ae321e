"""Bugs planted in the engine's handling of what it reads, and in the pure decisions beside it."""

from collections.abc import Callable
from dataclasses import replace

from consumer.engine.commands import Command, Start, WriteOutcome
from consumer.engine.committed import Committed
from consumer.engine.endings import Ending
from consumer.engine.frontier import Frontier
from consumer.engine.lanes import Lanes, Waiting
from consumer.engine.partition import PartitionEngine
from consumer.engine.retry import Backoff
from tests.mutants.mutant import Mutant, replaced

_ADD = Lanes.add
_BACKOFF = Backoff.wait
_CALL_ENDED = PartitionEngine.call_ended
_DEAD_WRITTEN = PartitionEngine.dead_written
_COMMITTABLE: Callable[[PartitionEngine], Committed | None] = vars(PartitionEngine)["committable"].fget


def _start_next_at_once(self: PartitionEngine, waiting: Waiting, ending: Ending) -> list[Command]:
    commands = _CALL_ENDED(self, waiting, ending)
    return commands + self._unblock(waiting.lane, waiting.offset)


def _start_next_once_its_letter_is_written(self: PartitionEngine, offset: int) -> list[Command]:
    dying, _ = self._dying._of[offset]  # noqa: SLF001 - a mutant looks at what is private too
    commands = _DEAD_WRITTEN(self, offset)
    return commands + self._unblock(dying.lane, offset) if isinstance(dying, Waiting) else commands


def _settle_before_acknowledgement(self: PartitionEngine, waiting: Waiting, ending: Ending) -> list[Command]:
    self._frontier.settle(waiting.offset)
    return _CALL_ENDED(self, waiting, ending)


def _position_known_now(self: PartitionEngine) -> int:
    before = self._takeover.outcomes_from if self._frontier.offset <= self._known.ended_up_to else None
    unsettled = self._parking.outcomes_from()
    return min(value for value in (self._outcomes_end, before, unsettled) if value is not None)


def _position_of_this_tenure_only(self: PartitionEngine) -> int:
    known = self._frontier.outcomes_end
    unsettled = self._parking.outcomes_from()
    return min(value for value in (self._outcomes_end, known, unsettled) if value is not None)


def _settle_all_below(self: Frontier, offset: int) -> None:
    while self._unsettled and self._unsettled[0][0] <= offset:
        self._unsettled.popleft()


def _commit_what_is_read(self: PartitionEngine) -> Committed | None:
    committable = _COMMITTABLE(self)
    if committable is None or self.may_start:
        return committable
    return replace(committable, frontier=self._frontier.read_position)


def _start_every_event_at_once(self: Lanes, waiting: Waiting) -> int:
    _ADD(self, waiting)
    return 0


def _write_nothing(self: PartitionEngine, waiting: Waiting, ending: Ending) -> list[Command]:
    commands = _CALL_ENDED(self, waiting, ending)
    if any(isinstance(command, WriteOutcome) for command in commands):
        self._frontier.settle(waiting.offset)
    return [command for command in commands if isinstance(command, Start)]


def _shorten_retry_after(self: Backoff, attempt: int, *, retry_after: float | None, jitter: float) -> float:
    return min(self.most, _BACKOFF(self, attempt, retry_after=retry_after, jitter=jitter))


ENGINE = (
    Mutant(
        "next starts before an ignored one is durable",
        "after dead, ignored, superseded only when acknowledged †",
        lambda: replaced(PartitionEngine, "call_ended", _start_next_at_once),
    ),
    Mutant(
        "next starts before a dead one is durable",
        "after dead, ignored, superseded only when acknowledged †",
        lambda: replaced(PartitionEngine, "dead_written", _start_next_once_its_letter_is_written),
    ),
    Mutant(
        "settled before acknowledged",
        "acknowledged, the event is settled †",
        lambda: replaced(PartitionEngine, "call_ended", _settle_before_acknowledgement),
    ),
    Mutant(
        "X known now",
        "X: the end known when the frontier's event was read †",
        lambda: replaced(PartitionEngine, "_outcomes_from", _position_known_now),
    ),
    Mutant(
        "X of the takeover dropped",
        "X: that of the takeover until S is passed †",
        lambda: replaced(PartitionEngine, "_outcomes_from", _position_of_this_tenure_only),
    ),
    Mutant(
        "outcome never written",
        "ended: write the outcome",
        lambda: replaced(PartitionEngine, "call_ended", _write_nothing),
    ),
    Mutant(
        "no stop at the bounds",
        "the distance is bounded",
        lambda: replaced(PartitionEngine, "_is_full", lambda _: False),
    ),
    Mutant(
        "letting go starts calls",
        "letting go: start nothing",
        lambda: replaced(PartitionEngine, "let_go", lambda _: None),
        rare=26,
    ),
    Mutant("lane of many", "one at a time per lane", lambda: replaced(Lanes, "add", _start_every_event_at_once)),
    Mutant(
        "highest finished offset committed",
        "history: frontier",
        lambda: replaced(Frontier, "settle", _settle_all_below),
    ),
    Mutant(
        "lost between consume and start",
        "history: revocation",
        lambda: replaced(PartitionEngine, "committable", property(_commit_what_is_read)),
    ),
    Mutant("Retry-After shortened", "history: retry delay", lambda: replaced(Backoff, "wait", _shorten_retry_after)),
)
