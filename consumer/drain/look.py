"""A look at a draining group, from Kafka alone: whoever looks need own nothing, and everybody may look.

The order matters: what a committed frontier has passed is in the parked log by then, or has ended.
"""

from collections.abc import Collection, Iterator, Mapping

from broker.client import received
from broker.group_offsets import CommittedOffset, committed_offsets
from broker.history import History, starting_offset
from broker.layout import Layout
from broker.scan import Scanner, open_scanner
from consumer.audit.folding import stop_at_later_version
from consumer.audit.tail import Tail
from consumer.drain.progress import Late, Progress
from consumer.engine.committed import read_committed
from schemas.errors import Retryable, UnreadableRecord
from schemas.parked import read_note
from schemas.record import ReceivedRecord
from schemas.settings import ConsumerSettings
from schemas.topics import group_topics

_MOST = 50_000
"""Records of the source that one look reads at most: a backlog of millions takes many looks, and each is short."""

Drain = Mapping[int, Progress]
"""The progress of each partition of the old layout."""


def begin_drain(layout: Layout) -> Drain:
    """Know nothing yet of any partition."""
    return {number: Progress(layout, number) for number in range(layout.old)}


def look(settings: ConsumerSettings, drain: Drain) -> Layout:
    """Bring a drain up to date; give the layout as it was when the look began.

    Raises Retryable if Kafka does not answer, or leaves something out, and UnreadableRecord for records of a later
    version than this release knows.
    """
    topics = group_topics(settings.topic, settings.group)
    with open_scanner(settings) as scanner:
        of_group = [_partitions(scanner, name) for name in (topics.outcomes, topics.parked, topics.dead)]
        layout = Layout(old=min(of_group), new=_partitions(scanner, settings.topic))
        committed = committed_offsets(settings, drain)
        source = _histories(scanner, settings.topic, drain)
        for number, history in source.items():
            _take_committed(drain[number], committed.get(number), history)
        _read_source(scanner, settings.topic, source, drain)
        _read_parked(scanner, topics.parked, drain)
    return layout


def find_late(settings: ConsumerSettings, behind: Mapping[int, Late]) -> None:
    """Read on behind the boundaries for what is misplaced there, no more than one look reads.

    Raises Retryable; what was read until then is known.
    """
    starts = {number: late.position for number, late in behind.items() if not late.is_read}
    with open_scanner(settings) as scanner:
        source = _histories(scanner, settings.topic, starts)
        for number, history in source.items():
            behind[number].source_ends(history.high)
        ends = _ends(source, starts)
        for record in _records(Tail(scanner, settings.topic, starts), ends):
            behind[record.partition].source(record.offset, record.key)
        for number, history in ends.items():
            behind[number].source_read(history.high)


def _partitions(scanner: Scanner, topic: str) -> int:
    """Count partitions; a topic that seems to have none would look as if nothing were left of it."""
    count = scanner.partitions(topic)
    if not count:
        raise Retryable(f"{topic}: its partitions are not known at the moment")
    return count


def _histories(scanner: Scanner, topic: str, wanted: Collection[int]) -> Mapping[int, History]:
    """Ask which records exist of each partition that is wanted; one that is left out would look drained."""
    found = scanner.histories(topic, wanted)
    if missing := sorted({*wanted} - found.keys()):
        raise Retryable(f"{topic}: the partitions {missing} are not known at the moment")
    return found


def _take_committed(progress: Progress, committed: CommittedOffset | None, history: History) -> None:
    start, _ = starting_offset(None if committed is None else committed.offset, history)
    known = read_committed(start, "" if committed is None else committed.metadata)
    progress.committed(known.frontier, known.parked_from or 0, known.parked_epoch or 0)


def _read_source(scanner: Scanner, topic: str, source: Mapping[int, History], drain: Drain) -> None:
    wanted = {number: history for number, history in source.items() if drain[number].reads}
    starts = {number: drain[number].position for number in wanted}
    ends = _ends(wanted, starts)
    for record in _records(Tail(scanner, topic, starts), ends):
        drain[record.partition].source(record.offset, record.key)
    for number, history in ends.items():
        drain[number].source_read(history.high, source[number].high)


def _ends(source: Mapping[int, History], starts: Mapping[int, int]) -> Mapping[int, History]:
    """Give each partition its share of what one look reads."""
    share = _MOST // max(1, len(source)) + 1
    return {
        number: History(low=history.low, high=min(history.high, starts[number] + share))
        for number, history in source.items()
    }


def _read_parked(scanner: Scanner, topic: str, drain: Drain) -> None:
    ends = _histories(scanner, topic, drain)
    starts = {number: progress.parked_position for number, progress in drain.items()}
    for record in _records(Tail(scanner, topic, starts), ends):
        _fold_parked(record, drain[record.partition])
    for number, history in ends.items():
        drain[number].parked_read(history.high)


def _fold_parked(record: ReceivedRecord, progress: Progress) -> None:
    try:
        note, parked = read_note(record)
    except UnreadableRecord as error:
        stop_at_later_version(error)
        return
    progress.parked_log(record.offset, note, parked.key)


def _records(tail: Tail, ends: Mapping[int, History]) -> Iterator[ReceivedRecord]:
    for batch in tail.read(ends):
        yield from map(received, batch)
