"""Naming: the events that want attention, with what their records say."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from broker.client import received
from broker.scan import Expired, Scanner
from consumer.audit.ledger import Ledger
from consumer.audit.report import Named
from schemas.errors import UnreadableRecord
from schemas.record import ReceivedRecord, encode_attribute, from_record

UNACCOUNTED, UNKNOWN, REPEATED = "unaccounted", "unknown", "repeated"
_MOST = 1_000
"""Events named of each kind; all are counted."""
_APART = 1_000
"""Offsets read over rather than asked for anew."""

Picked = Mapping[tuple[int, int, str], None]
"""Partition, offset and what is the matter, in the order in which they are told."""


def pick(ledgers: Mapping[int, Ledger], frontiers: Mapping[int, int], known_from: Mapping[int, int]) -> Picked:
    """Choose the events to name: the first of each kind."""
    suspects = (
        (number, offset, UNKNOWN if offset < known_from.get(number, 0) else UNACCOUNTED)
        for number, ledger in ledgers.items()
        for offset in ledger.suspects(frontiers.get(number, 0))
    )
    repeated = ((number, offset, REPEATED) for number, ledger in ledgers.items() for offset in ledger.repeated())
    return dict.fromkeys([*islice(suspects, _MOST), *islice(repeated, _MOST)])


def name_events(scanner: Scanner, topic: str, picked: Picked) -> Sequence[Named]:
    """Read the records of these events again, and say what is in them. Raises Retryable."""
    wanted: dict[int, list[int]] = defaultdict(list)
    for number, offset, _ in picked:
        wanted[number].append(offset)
    records: dict[tuple[int, int], ReceivedRecord] = {}
    for number, offsets in wanted.items():
        for stretch in stretches(sorted(offsets)):
            records |= _read(scanner, topic, number, stretch, frozenset(offsets))
    return [_named(topic, key, records.get(key[:2])) for key in picked]


def stretches(offsets: Sequence[int]) -> Sequence[range]:
    """Cover rising offsets with as few stretches as do not read over too much."""
    covered: list[range] = []
    for offset in offsets:
        if covered and offset - covered[-1].stop < _APART:
            covered[-1] = range(covered[-1].start, offset + 1)
        else:
            covered.append(range(offset, offset + 1))
    return covered


def _read(
    scanner: Scanner, topic: str, number: int, stretch: range, wanted: frozenset[int]
) -> Mapping[tuple[int, int], ReceivedRecord]:
    try:
        return {
            (number, message.offset() or 0): received(message)
            for batch in scanner.scan(topic, {number: stretch})
            for message in batch
            if message.offset() in wanted
        }
    except Expired:  # meanwhile: they are named by their coordinates
        return {}


def _named(topic: str, key: tuple[int, int, str], record: ReceivedRecord | None) -> Named:
    number, offset, what = key
    if record is None:
        return Named(what=what, topic=topic, partition=number, offset=offset)
    try:
        event = from_record(record)
    except UnreadableRecord:
        return Named(what=what, topic=topic, partition=number, offset=offset, appended=record.timestamp)
    return Named(
        what=what,
        topic=topic,
        partition=number,
        offset=offset,
        id=encode_attribute(event.id).decode(),
        tenant=event.tenant,
        connection=encode_attribute(event.connection).decode(),
        appended=record.timestamp,
        received=event.received_at.timestamp(),
    )
