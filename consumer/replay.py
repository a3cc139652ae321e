"""Replay: send events of the past again to one group, by default those that it lost, and never twice.

Nothing but the source topic says what was done: a replay that was killed goes on when the same is asked for again.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import orjson

from broker.group_offsets import committed_offsets
from consumer.accounted import Accounted, read_accounted, settled_stretches
from consumer.resending import Report, carry_out
from consumer.resends import Resends
from consumer.watching import Watch, Watched, open_watched, unwatched
from schemas.errors import ConfigurationError, UnreadableRecord
from schemas.event import Event
from schemas.record import ReceivedRecord, encode_attribute, from_record
from schemas.settings import ConsumerSettings

_GENERATION = "ce_generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are meant, by what they say of themselves; None for all."""

    tenant: str | None = None
    type: str | None = None
    connection: str | None = None

    def admits(self, event: Event) -> bool:
        """Say whether an event is meant."""
        return (
            self.tenant in {None, event.tenant}
            and self.type in {None, event.type}
            and self.connection in {None, event.connection}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send again: events appended to the source from `since` on and before `until`; None is now.

    Without `force` only those that the group lost: the committed frontier has passed them, and they neither ended nor
    are parked. With it, all: it needs `until` or `name`, or asking again would be another replay. `rate` is in events a
    second, None for as fast as Kafka takes them.
    """

    since: datetime
    until: datetime | None = None
    filter: Filter = Filter()
    force: bool = False
    name: str | None = None
    rate: float | None = None


def replay(settings: ConsumerSettings, request: Request, *, dry_run: bool = True, watch: Watch = unwatched) -> Report:
    """Send events again to the group of the settings, or count those that would be.

    Raises ConfigurationError, Retryable if Kafka does not answer, and UnreadableRecord("unknown-version") where a later
    release has written. To be called in the main thread for Ctrl-C to end it in order.
    """
    _check(request)
    name = replay_id(settings.group, request)
    report = Report(group=settings.group, replay=name, dry_run=dry_run, rate=request.rate)
    with open_watched(settings, watch) as logs, closing(Resends(settings.group, name)) as resends:
        carry_out(settings, _planned(logs, request, resends, report), report, watch)
    return report


def replay_id(group: str, request: Request) -> str:
    """Name a replay: as asked for, or by a digest of what is asked for, so that the same is the same replay again."""
    if request.name is not None:
        return request.name
    bounds = [_milliseconds(time) for time in (request.since, request.until) if time is not None]
    texts = (request.filter.tenant, request.filter.type, request.filter.connection)
    wanted = [None if text is None else encode_attribute(text).decode() for text in texts]
    asked = orjson.dumps([group, bounds, wanted, request.force])
    return f"replay-{blake2b(asked, digest_size=8).hexdigest()}"


def _check(request: Request) -> None:
    faults = []
    if request.force and request.until is None and request.name is None:
        faults.append("--force needs --until or --name: without, the same command later would be another replay.")
    if request.until is not None and request.until <= request.since:
        faults.append("--until has to be later than --since.")
    if faults:
        raise ConfigurationError(faults)


def _planned(logs: Watched, request: Request, resends: Resends, report: Report) -> Iterator[Event]:
    stretches = _stretches(logs, request)
    accounted = None if request.force else _accounted(logs, request, stretches)
    note_resends(logs, {number: each.start for number, each in stretches.items()}, resends)
    events = _meant(logs.records(logs.settings.topic, stretches), request.filter, accounted, report)
    yield from resends.unless_ours(events) if request.force else resends.unless_newer(events)


def _stretches(logs: Watched, request: Request) -> Mapping[int, range]:
    topic, histories = logs.settings.topic, logs.source()
    starts = logs.scanner.offsets_at(topic, _milliseconds(request.since), histories)
    ends = {number: history.high for number, history in histories.items()}
    if request.until is not None:
        ends = dict(logs.scanner.offsets_at(topic, _milliseconds(request.until), histories))
    return {number: range(starts[number], max(starts[number], ends[number])) for number in histories}


def _accounted(logs: Watched, request: Request, stretches: Mapping[int, range]) -> Accounted:
    committed = committed_offsets(logs.settings, stretches)
    settled = settled_stretches(stretches, committed)
    return read_accounted(logs, settled, committed, _milliseconds(request.since))


def note_resends(logs: Watched, starts: Mapping[int, int], resends: Resends) -> None:
    """Read the source from `starts` to its end as it is now, for what was sent again already."""
    topic = logs.settings.topic
    histories = logs.scanner.histories(topic)
    stretches = {
        number: range(max(start, histories[number].low), histories[number].high) for number, start in starts.items()
    }
    resends.note(_resent(logs.records(topic, stretches)))


def _resent(records: Iterator[ReceivedRecord]) -> Iterator[Event]:
    for record in records:
        if any(name == _GENERATION for name, _ in record.headers):
            event = readable(record)
            if event is not None:
                yield event


def _meant(
    records: Iterator[ReceivedRecord], wanted: Filter, accounted: Accounted | None, report: Report
) -> Iterator[Event]:
    for record in records:
        if accounted is None or accounted.missing(record.partition, record.offset):
            event = readable(record)
            if event is None:
                report.unreadable += 1
            elif wanted.admits(event):
                yield event


def readable(record: ReceivedRecord) -> Event | None:
    """Read an event; None if the record is no event."""
    try:
        return from_record(record)
    except UnreadableRecord:
        return None


def _milliseconds(time: datetime) -> int:
    return max(0, int(time.timestamp() * 1000))
