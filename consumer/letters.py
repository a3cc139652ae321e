"""Dead letters: find them, say whether they were sent again, and send them again once what killed them is mended."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest

from broker.history import History
from consumer.accounted import CLOCKS_MILLISECONDS, read_ended
from consumer.otherwise import About, Otherwise
from consumer.replay import note_resends, readable
from consumer.resending import Report, carry_out
from consumer.resends import Resends
from consumer.watching import Watch, Watched, open_watched, unwatched
from schemas.dead import DeadLetter, read_dead_letter
from schemas.errors import UnreadableRecord
from schemas.event import Event
from schemas.record import ReceivedRecord
from schemas.settings import ConsumerSettings

REDRIVE = "redrive"
"""What the record of a redriven event names as its replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter: where it lies, its note, the record as it was in the source, and the event, if it is one.

    `partition` is that of both topics, `position` its offset among the dead letters.
    """

    partition: int
    position: int
    note: DeadLetter
    record: ReceivedRecord
    event: Event | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters are meant: given up from `since` on and before `until`; None for all.

    A record that is no event has neither tenant nor connection.
    """

    tenant: str | None = None
    connection: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, letter: Letter) -> bool:
        """Say whether a letter is meant."""
        return (
            self.tenant in {None, letter.event and letter.event.tenant}
            and self.connection in {None, letter.event and letter.event.connection}
            and self.reason in {None, letter.note.reason}
            and (self.since is None or letter.note.ended >= self.since.timestamp() * 1000)
            and (self.until is None or letter.note.ended < self.until.timestamp() * 1000)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveRequest:
    """Which letters to send again, and how many events a second; None for as fast as Kafka takes them.

    Of a letter whose record has expired in the source nobody can tell whether it was sent again: it is counted as
    unknown, and sent with `expired` only.
    """

    filter: LetterFilter = LetterFilter()
    rate: float | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedLetter:
    """A letter, and whether it was sent again; None where nobody can tell any more."""

    letter: Letter
    redriven: bool | None


def letters(
    settings: ConsumerSettings, wanted: LetterFilter, *, most: int = 100, watch: Watch = unwatched
) -> list[ListedLetter]:
    """List the latest letters, the last first, with bodies. Raises ConfigurationError and Retryable."""
    with open_watched(settings, watch) as logs, closing(Resends(settings.group, REDRIVE)) as resends:
        histories = logs.source()
        found = nlargest(most, _letters(logs, wanted), key=lambda letter: (letter.note.ended, letter.position))
        since = _since(found)
        if since is not None:
            _note_resends(logs, histories, since, resends)
        known = _Known(resends=resends, histories=histories)
        return [ListedLetter(letter=letter, redriven=known.is_redriven(letter)) for letter in found]


def find_letters(settings: ConsumerSettings, name: str, *, watch: Watch = unwatched) -> list[Letter]:
    """Find the letters about an event, by its id or by `partition:offset` in the source.

    There are several where a record was given up again after a crash, or after it was sent again. Raises as `letters`.
    """
    with open_watched(settings, watch) as logs:
        logs.source()
        return [letter for letter in _letters(logs, LetterFilter()) if name in _names(letter)]


def redrive(
    settings: ConsumerSettings, request: RedriveRequest, *, dry_run: bool = True, watch: Watch = unwatched
) -> Report:
    """Send the events of dead letters again, or count those that would be.

    What was sent again already is not, nor what ended otherwise after its letter had been written.

    Raises what `replay` does.
    """
    report = Report(group=settings.group, replay=REDRIVE, dry_run=dry_run, rate=request.rate)
    with (
        open_watched(settings, watch) as logs,
        closing(Resends(settings.group, REDRIVE)) as resends,
        closing(Otherwise()) as otherwise,
    ):
        histories, stretches = logs.source(), _all(logs)
        since = _since(_asking(_letters(logs, request.filter, stretches), otherwise))
        if since is not None:
            _note_resends(logs, histories, since, resends)
            otherwise.note(read_ended(logs, since))
        known = _Known(resends=resends, histories=histories)
        left = _not_otherwise(_letters(logs, request.filter, stretches), otherwise, report)
        meant = _meant(left, known, report, expired=request.expired)
        carry_out(settings, resends.unless_newer(meant), report, watch)
    return report


def _all(logs: Watched) -> Mapping[int, range]:
    histories = logs.scanner.histories(logs.topics.dead)
    return {number: range(history.low, history.high) for number, history in histories.items()}


def _letters(logs: Watched, wanted: LetterFilter, stretches: Mapping[int, range] | None = None) -> Iterator[Letter]:
    for record in logs.records(logs.topics.dead, _all(logs) if stretches is None else stretches):
        letter = _letter(record)
        if letter is not None and wanted.admits(letter):
            yield letter


def _letter(record: ReceivedRecord) -> Letter | None:
    """Read a letter; None for what somebody else has written into the topic. Raises UnreadableRecord for later ones."""
    try:
        note, original = read_dead_letter(record)
    except UnreadableRecord as error:
        if error.reason == "unknown-version":
            raise
        return None
    return Letter(
        partition=record.partition, position=record.offset, note=note, record=original, event=readable(original)
    )


def _since(found: Iterable[Letter]) -> int | None:
    """Find when the first of the letters' events was received, in milliseconds; None if there is none.

    Neither an outcome of them nor what was sent again of them is older, also where somebody wrote a letter late who had
    been replaced. Whoever publishes says when an event was received; before the letter it was in any case.
    """
    times = (
        min(int(letter.event.received_at.timestamp() * 1000), letter.note.ended)
        for letter in found
        if letter.event is not None
    )
    return min(times, default=None)


def _note_resends(logs: Watched, histories: Mapping[int, History], since: int, resends: Resends) -> None:
    """Look for what was sent again in all partitions: keys may have moved since, and more than once."""
    starts = logs.scanner.offsets_at(logs.settings.topic, max(0, since - CLOCKS_MILLISECONDS), histories)
    note_resends(logs, starts, resends)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the source says of letters: an event that was sent again lies behind its record, as long as that is kept."""

    resends: Resends
    histories: Mapping[int, History]

    def is_redriven(self, letter: Letter) -> bool | None:
        """Say whether a letter was sent again; None where nobody can tell any more."""
        if letter.event is None:
            return False
        if self.resends.newest(letter.event) > letter.event.generation:
            return True
        return None if letter.note.offset < self.histories[letter.partition].low else False


def _asking(found: Iterable[Letter], otherwise: Otherwise) -> Iterator[Letter]:
    """Ask about the events of letters that pass."""
    for letter in found:
        if letter.event is not None:
            otherwise.ask(_about(letter, letter.event))
        yield letter


def _about(letter: Letter, event: Event) -> About:
    return About(letter.partition, letter.note.offset, event.id, event.generation)


def _not_otherwise(found: Iterable[Letter], otherwise: Otherwise, report: Report) -> Iterator[Letter]:
    for letter in found:
        if letter.event is not None and otherwise.knows(_about(letter, letter.event)):
            report.ended_otherwise += 1
        else:
            yield letter


def _meant(found: Iterator[Letter], known: _Known, report: Report, *, expired: bool) -> Iterator[Event]:
    for letter in found:
        redriven = known.is_redriven(letter)
        if letter.event is None:
            report.unreadable += 1
        elif redriven is None and not expired:
            report.unknown += 1
        elif not redriven:
            yield letter.event


def _names(letter: Letter) -> set[str]:
    place = f"{letter.partition}:{letter.note.offset}"
    return {place} if letter.event is None else {place, letter.event.id}
