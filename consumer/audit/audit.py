"""The audit itself: which log is read when, so that it tells the truth while everything runs.

1. The stretch of the source is fixed and read. What comes later is no part of it.
2. The committed frontier is asked for. Whatever lies below it had its outcome or its park in the logs by then.
3. The end of the parked log is asked for, then that of the outcomes log, and both are read up to there. In this order,
   since a settle comes after its outcome: where the settle is seen, so is the outcome.
4. Who is below the frontier and has neither is a suspect. For their sake, 3 is repeated once at least, and as long as
   the owner deleted something of the parked log before it was read: what it deletes had been written again behind, or
   had ended, before it was deleted.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from broker.group_state import GroupState, group_state
from broker.history import History
from broker.scan import Batch, Scanner, open_scanner
from consumer.audit.folding import fold_events, fold_outcomes, fold_parked
from consumer.audit.ledger import Ledger
from consumer.audit.naming import name_events, pick
from consumer.audit.report import Counts, Report
from consumer.audit.span import Span
from consumer.audit.tail import Tail
from consumer.engine.committed import read_committed
from consumer.known_group import require_group
from schemas.errors import ConfigurationError, Retryable
from schemas.settings import ConsumerSettings
from schemas.topics import group_topics

_ROUNDS = 20
_CLOCKS_APART = timedelta(minutes=10)
"""By how much the clocks of two brokers may differ, which stamp an event and its outcome."""

Progress = Callable[[str, int, int], None]
"""Hears what is being read, how many of its records have been, and how many there are."""


def audit(
    settings: ConsumerSettings,
    span: Span | None = None,
    tenant: str | None = None,
    progress: Progress = lambda *_: None,
) -> Report:
    """Audit the group of `settings`: all events in the source, or those of a span, or of one tenant.

    Takes nine bytes of memory an event of the span. Raises ConfigurationError if there is no source topic, or no such
    group; Retryable if Kafka does not answer; UnreadableRecord for records of a later version than this release knows.
    """
    with open_scanner(settings) as scanner:
        return _Audit(scanner, settings, progress).run(span or Span(), tenant)


class _Audit:
    def __init__(self, scanner: Scanner, settings: ConsumerSettings, progress: Progress) -> None:
        self._scanner = scanner
        self._settings = settings
        self._progress = progress
        self._ledgers: dict[int, Ledger] = {}
        self._unreadable = 0
        self._before_start = 0

    def run(self, span: Span, tenant: str | None) -> Report:
        self._read_source(span, tenant)
        state = group_state(self._settings)
        topics = group_topics(self._settings.topic, self._settings.group)
        require_group(self._scanner, self._settings, state)
        frontiers = self._frontiers(state)
        self._leave_out_what_came_before(state, frontiers)
        parked = Tail(self._scanner, topics.parked, {})
        outcomes = Tail(self._scanner, topics.outcomes, self._outcomes_from(topics.outcomes, span.since))
        self._follow(parked, outcomes, frontiers)
        return self._report(span, tenant, frontiers, self._known_from(topics.outcomes))

    def _read_source(self, span: Span, tenant: str | None) -> None:
        topic = self._settings.topic
        histories = self._scanner.histories(topic)
        if not histories:
            raise ConfigurationError([f"FUSE_SYNC_TOPIC: there is no topic {topic}."])
        starts = self._offsets(topic, span.since, histories, {number: each.low for number, each in histories.items()})
        ends = self._offsets(topic, span.until, histories, {number: each.high for number, each in histories.items()})
        self._ledgers = {number: Ledger(range(start, max(start, ends[number]))) for number, start in starts.items()}
        stretches = {
            number: History(low=ledger.offsets.start, high=ledger.offsets.stop)
            for number, ledger in self._ledgers.items()
        }
        for batch in self._watched(Tail(self._scanner, topic, starts), stretches, starts):
            fold_events(batch, self._ledgers, tenant)

    def _offsets(
        self, topic: str, time: datetime | None, histories: Mapping[int, History], otherwise: Mapping[int, int]
    ) -> Mapping[int, int]:
        if time is None or not histories:
            return otherwise
        return self._scanner.offsets_at(topic, int(time.timestamp() * 1000), histories)

    def _frontiers(self, state: GroupState) -> Mapping[int, int]:
        """Give the committed frontiers; one beyond the end is of a log that was made anew, and says nothing of this."""
        histories = self._scanner.histories(self._settings.topic)
        frontiers = {number: each.committed or 0 for number, each in state.partitions.items()}
        return {
            number: frontier if number in histories and frontier <= histories[number].high else 0
            for number, frontier in frontiers.items()
        }

    def _leave_out_what_came_before(self, state: GroupState, frontiers: Mapping[int, int]) -> None:
        for number, ledger in self._ledgers.items():
            if number in state.partitions:
                committed = read_committed(frontiers[number], state.partitions[number].metadata)
                self._before_start += ledger.leave_out(committed.events_from or 0)

    def _outcomes_from(self, topic: str, since: datetime | None) -> Mapping[int, int]:
        early = None if since is None else since - _CLOCKS_APART
        return self._offsets(topic, early, self._scanner.histories(topic), {})

    def _follow(self, parked: Tail, outcomes: Tail, frontiers: Mapping[int, int]) -> None:
        for number in range(_ROUNDS):
            parked.has_gaps = False
            self._skip_settled(parked)
            waiting = self._existing(parked.topic)
            ended = self._existing(outcomes.topic)
            for batch in self._watched(parked, waiting, {}):
                self._unreadable += fold_parked(batch, self._ledgers)
            for batch in self._watched(outcomes, ended, {}):
                self._unreadable += fold_outcomes(batch, self._ledgers)
            suspects = any(ledger.has_suspects(frontiers.get(each, 0)) for each, ledger in self._ledgers.items())
            if not suspects or (number and not parked.has_gaps):
                return
        raise Retryable(f"{parked.topic}: it is being deleted faster than it can be read")

    def _skip_settled(self, parked: Tail) -> None:
        """Leave out what the owner may delete at any moment, and learn the epoch that is current behind it."""
        starts = {}
        for number, state in group_state(self._settings).partitions.items():
            committed = read_committed(state.committed or 0, state.metadata)
            if number in self._ledgers and committed.parked_from is not None:
                starts[number] = committed.parked_from
                self._ledgers[number].taken(committed.parked_epoch or 0)
        parked.skip_to(starts)

    def _existing(self, topic: str) -> Mapping[int, History]:
        histories = self._scanner.histories(topic)
        return {number: each for number, each in histories.items() if number in self._ledgers}

    def _watched(self, tail: Tail, histories: Mapping[int, History], starts: Mapping[int, int]) -> Iterator[Batch]:
        total = sum(max(0, each.high - starts.get(number, each.low)) for number, each in histories.items())
        done = 0
        for batch in tail.read(histories):
            yield batch
            done += len(batch)
            self._progress(tail.topic, done, total)

    def _known_from(self, outcomes: str) -> Mapping[int, int]:
        """Give where outcomes have been deleted: the source offset below which an event may have had its outcome there.

        An event that was appended after the earliest outcome that still exists cannot have ended before that.
        """
        gone = {number: each for number, each in self._existing(outcomes).items() if each.low > 0}
        sources = self._scanner.histories(self._settings.topic)
        known = {}
        for number, history in gone.items():
            earliest = self._earliest(outcomes, number, history)
            source = {number: sources[number]}
            known[number] = source[number].high
            if earliest is not None:
                known |= self._scanner.offsets_at(self._settings.topic, earliest, source)
        return known

    def _earliest(self, topic: str, number: int, history: History) -> int | None:
        stretch = {number: range(history.low, min(history.low + 1, history.high))}
        for batch in self._scanner.scan(topic, stretch):
            for message in batch:
                return message.timestamp()[1]
        return None

    def _report(
        self, span: Span, tenant: str | None, frontiers: Mapping[int, int], known_from: Mapping[int, int]
    ) -> Report:
        counts = Counts()
        for number, ledger in self._ledgers.items():
            counts += ledger.counts(frontiers.get(number, 0), known_from.get(number, 0))
        picked = pick(self._ledgers, frontiers, known_from)
        return Report(
            topic=self._settings.topic,
            group=self._settings.group,
            tenant=tenant,
            since=span.since,
            until=span.until,
            counts=counts,
            named=name_events(self._scanner, self._settings.topic, picked),
            left_out=counts.unaccounted + counts.unknown + counts.repeated - len(picked),
            before_start=self._before_start,
            outcomes_gone=sorted(known_from),
            unreadable=self._unreadable,
        )
