"""The status of a group, from the committed frontiers on: what lies behind them is settled, or parked."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

from broker.client import received
from broker.group_state import PartitionState, group_state
from broker.history import History, starting_offset
from broker.scan import Scanner, open_scanner
from consumer.audit.folding import stop_at_later_version
from consumer.audit.tail import Tail
from consumer.engine.committed import Committed, read_committed
from consumer.known_group import require_group
from consumer.status.backlog import Backlog, Born
from consumer.status.report import PartitionStatus, Status, TenantStatus
from schemas.errors import ConfigurationError, UnreadableRecord
from schemas.outcome import Ended, Taken, read_outcome
from schemas.parked import Park, Settle, read_note
from schemas.record import ReceivedRecord, Record, decode_attribute
from schemas.settings import ConsumerSettings
from schemas.topics import group_topics

_MOST = 20_000
"""Events looked at from each frontier on: this bounds memory and time, whatever the lag."""
_TENANTS = 20
_RATE_SECONDS = 60
_NONE = History(low=0, high=0)


def status(settings: ConsumerSettings) -> Status:
    """Tell the status of the group of `settings`.

    Holds a few hundred bytes for each parked event, and each of at most 20,000 events a partition behind its frontier.
    Raises ConfigurationError if there is no source topic or no such group, Retryable if Kafka does not answer, and
    UnreadableRecord for records of a later version than this release knows.
    """
    with open_scanner(settings) as scanner:
        return _Asking(scanner, settings).status()


class _Asking:
    """One status: asks for the frontiers first, and reads each log up to an end asked for after that."""

    def __init__(self, scanner: Scanner, settings: ConsumerSettings) -> None:
        self._scanner = scanner
        self._settings = settings
        self._topics = group_topics(settings.topic, settings.group)
        self._state = group_state(settings)
        self._source = scanner.histories(settings.topic)
        if not self._source:
            raise ConfigurationError([f"FUSE_SYNC_TOPIC: there is no topic {settings.topic}."])
        require_group(scanner, settings, self._state)
        self._committed = {number: _known(self._of(number), history) for number, history in self._source.items()}
        self._backlogs = {number: Backlog(each.parked_epoch or 0) for number, each in self._committed.items()}

    def status(self) -> Status:
        self._read_source()
        self._read_parked()
        outcomes = self._read_outcomes()
        now = time.time()
        rates = self._rates(outcomes, now)
        dead = self._scanner.histories(self._topics.dead)
        return Status(
            topic=self._settings.topic,
            group=self._settings.group,
            state=self._state.state,
            partitions=[
                self._partition(number, rates.get(number, 0.0), dead.get(number, _NONE), now) for number in self._source
            ],
            tenants=_tenants(self._backlogs, now)[:_TENANTS],
        )

    def _of(self, number: int) -> PartitionState:
        return self._state.partitions.get(number, PartitionState(committed=None, metadata="", owner=None))

    def _end(self, number: int) -> int:
        return min(self._source[number].high, self._committed[number].frontier + _MOST)

    def _read_source(self) -> None:
        starts = {number: each.frontier for number, each in self._committed.items()}
        ends = {number: History(low=start, high=self._end(number)) for number, start in starts.items()}
        for record in _records(Tail(self._scanner, self._settings.topic, starts), ends):
            self._backlogs[record.partition].event(record.offset, _born(record, record.timestamp))

    def _read_parked(self) -> None:
        starts = {number: each.parked_from or 0 for number, each in self._committed.items()}
        ends = self._scanner.histories(self._topics.parked)
        for record in _records(Tail(self._scanner, self._topics.parked, starts), ends):
            if record.partition in self._backlogs:
                _fold_parked(record, self._backlogs[record.partition])

    def _read_outcomes(self) -> Mapping[int, History]:
        starts = {number: each.outcomes_from or 0 for number, each in self._committed.items()}
        ends = self._scanner.histories(self._topics.outcomes)
        for record in _records(Tail(self._scanner, self._topics.outcomes, starts), ends):
            if record.partition in self._backlogs:
                _fold_outcome(record, self._backlogs[record.partition])
        return ends

    def _rates(self, histories: Mapping[int, History], now: float) -> Mapping[int, float]:
        if not histories:
            return {}
        minute = self._scanner.offsets_at(self._topics.outcomes, int((now - _RATE_SECONDS) * 1000), histories)
        return {number: (histories[number].high - start) / _RATE_SECONDS for number, start in minute.items()}

    def _partition(self, number: int, rate: float, dead: History, now: float) -> PartitionStatus:
        committed, backlog = self._committed[number], self._backlogs[number]
        oldest = min((born.received for born in backlog.unsettled()), default=None)
        return PartitionStatus(
            partition=number,
            frontier=committed.frontier,
            end=self._source[number].high,
            oldest_seconds=None if oldest is None else max(0.0, now - oldest),
            parked=backlog.parked,
            dead=dead.high - dead.low,
            rate=rate,
            owner=self._of(number).owner,
            epoch=committed.epoch,
            unread=self._source[number].high - self._end(number),
        )


def _known(state: PartitionState, history: History) -> Committed:
    """Read what is committed; the frontier is moved to where a member would start."""
    start, _ = starting_offset(state.committed, history)
    return read_committed(start, state.metadata)


def _records(tail: Tail, ends: Mapping[int, History]) -> Iterator[ReceivedRecord]:
    for batch in tail.read(ends):
        yield from map(received, batch)


def _born(record: Record | ReceivedRecord, otherwise: float) -> Born:
    """Say where an event comes from, as far as its record can be read."""
    headers = dict(record.headers)
    tenant, slash, _ = (record.key or b"").partition(b"/")
    try:
        at = datetime.fromisoformat((headers.get("ce_time") or b"").decode()).timestamp()
    except (ValueError, OverflowError):
        at = otherwise
    try:
        name = decode_attribute("ce_id", headers.get("ce_id") or b"")
    except UnreadableRecord:
        name = ""
    return Born(name, tenant.decode(errors="replace") if slash else "", at)


def _fold_parked(record: ReceivedRecord, backlog: Backlog) -> None:
    try:
        note, parked = read_note(record)
    except UnreadableRecord as error:
        stop_at_later_version(error)
        return
    match note:
        case Park(epoch=epoch, offset=offset):
            backlog.park(epoch, offset, _born(parked, note.since / 1000))
        case Settle(offset=offset):
            backlog.settle(offset)
        case Taken(epoch=epoch):
            backlog.taken(epoch)


def _fold_outcome(record: ReceivedRecord, backlog: Backlog) -> None:
    try:
        outcome = read_outcome(record.value)
    except UnreadableRecord as error:
        stop_at_later_version(error)
        return
    if isinstance(outcome, Ended):
        backlog.ended(outcome.offset, outcome.id)


def _tenants(backlogs: Mapping[int, Backlog], now: float) -> list[TenantStatus]:
    """List the tenants with unsettled events, those that wait longest first."""
    oldest: dict[str, float] = {}
    counts: dict[str, int] = defaultdict(int)
    for backlog in backlogs.values():
        for born in backlog.unsettled():
            oldest[born.tenant] = min(born.received, oldest.get(born.tenant, born.received))
            counts[born.tenant] += 1
    found = [
        TenantStatus(tenant=tenant, oldest_seconds=max(0.0, now - first), unsettled=counts[tenant])
        for tenant, first in oldest.items()
    ]
    return sorted(found, key=lambda each: each.oldest_seconds, reverse=True)
