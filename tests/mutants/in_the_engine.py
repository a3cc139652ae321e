"""Bugs planted in the engine and in the pure decisions beside it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from consumer.engine.commands import Claim, Command, Start, WriteOutcome
from consumer.engine.committed import Committed
from consumer.engine.frontier import Frontier
from consumer.engine.lanes import Lanes, Waiting
from consumer.engine.partition import Ending, PartitionEngine
from consumer.engine.takeover import HistoryEntry, Takeover
from consumer.retry import Backoff
from schemas.outcome import Taken
from tests.mutants.mutant import Mutant, replaced

_ADD = Lanes.add
_BACKOFF = Backoff.wait
_CALL_ENDED = PartitionEngine.call_ended
_CLAIM = Takeover._claim  # noqa: SLF001 - a mutant replaces what is private too
_COMMITTABLE: Callable[[PartitionEngine], Committed | None] = vars(PartitionEngine)["committable"].fget
_FOLD_TAKEN = Takeover._fold_taken  # noqa: SLF001 - likewise
_HISTORY_READ = Takeover.history_read


def _mark_without_claim(self: Takeover) -> Command:
    _CLAIM(self)
    return self.claimed()


def _claim_with_known_position(self: Takeover) -> Command:
    claim = _CLAIM(self)
    if not isinstance(claim, Claim):
        raise TypeError
    known = Committed(frontier=claim.offset, epoch=self.epoch, outcomes_from=self._read_from)
    return Claim(offset=claim.offset, metadata=known.metadata())


def _forget_what_ended(self: Takeover, entries: Sequence[HistoryEntry]) -> None:
    _HISTORY_READ(self, [entry for entry in entries if isinstance(entry.record, Taken)])


def _fold_no_taken_of_the_survey(self: Takeover, taken: Taken, position: int) -> None:
    if self.mark >= 0:
        _FOLD_TAKEN(self, taken, position)


def _ignore_rivals(self: Takeover) -> None:
    del self


def _start_next_at_once(self: PartitionEngine, waiting: Waiting, ending: Ending) -> list[Command]:
    commands = _CALL_ENDED(self, waiting, ending)
    if self._waiting_for_outcome.pop(waiting.offset, None) is not None:
        commands.extend(self._advance(waiting))
    return commands


def _settle_before_acknowledgement(self: PartitionEngine, waiting: Waiting, ending: Ending) -> list[Command]:
    self._frontier.settle(waiting.offset)
    return _CALL_ENDED(self, waiting, ending)


def _position_known_now(self: PartitionEngine) -> int:
    if self._frontier.offset <= self._ended_before_up_to:
        return min(self._outcomes_end, self._takeover.outcomes_from)
    return self._outcomes_end


def _position_of_this_tenure_only(self: PartitionEngine) -> int:
    known = self._frontier.outcomes_end
    return self._outcomes_end if known is None else known


def _settle_all_below(self: Frontier, offset: int) -> None:
    while self._unsettled and self._unsettled[0][0] <= offset:
        self._unsettled.popleft()


def _commit_what_is_read(self: PartitionEngine) -> Committed | None:
    committable = _COMMITTABLE(self)
    if committable is None or self.may_start:
        return committable
    return replace(committable, frontier=self._frontier.read_position)


def _start_every_event_at_once(self: Lanes, waiting: Waiting) -> bool:
    _ADD(self, waiting)
    return True


def _write_nothing(self: PartitionEngine, waiting: Waiting, ending: Ending) -> list[Command]:
    commands = _CALL_ENDED(self, waiting, ending)
    written = [command for command in commands if isinstance(command, WriteOutcome)]
    self._frontier.settle(written[0].ended.offset)
    return [command for command in commands if isinstance(command, Start)]


def _shorten_retry_after(self: Backoff, attempt: int, *, retry_after: float | None, jitter: float) -> float:
    return min(self.most, _BACKOFF(self, attempt, retry_after=retry_after, jitter=jitter))


ENGINE = (
    Mutant("no claim", "Claim †", lambda: replaced(Takeover, "_claim", _mark_without_claim)),
    Mutant("outcomes forgotten", "S †", lambda: replaced(Takeover, "history_read", _forget_what_ended)),
    Mutant(
        "epoch not above all of the log",
        "no metadata: `epoch` above every `taken` †",
        lambda: replaced(Takeover, "_fold_taken", _fold_no_taken_of_the_survey),
    ),
    Mutant(
        "X claimed before it is read",
        "no metadata: the claim commits X as unknown †",
        lambda: replaced(Takeover, "_claim", _claim_with_known_position),
    ),
    Mutant(
        "rival ignored", "a `taken` not lower: claim again", lambda: replaced(Takeover, "read_back", _ignore_rivals)
    ),
    Mutant(
        "next starts before an ignored one is durable",
        "after dead, ignored, superseded only when acknowledged †",
        lambda: replaced(PartitionEngine, "call_ended", _start_next_at_once),
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
