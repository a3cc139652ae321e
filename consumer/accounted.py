"""Which events of a range are accounted for in a group: they ended, or are parked, so that they will end by themselves.

One bit for each: a range of eight million events costs one megabyte.
"""

from collections.abc import Iterator, Mapping

from broker.group_offsets import CommittedOffset
from broker.history import starting_offset
from consumer.engine.committed import read_committed
from consumer.watching import Watched
from schemas.errors import UnreadableRecord
from schemas.outcome import Ended, Taken, read_outcome
from schemas.parked import Park, Settle, read_note

CLOCKS_MILLISECONDS = 300_000
"""How far the clocks of brokers may lie apart, for finding in one topic by time what belongs to another."""


class Accounted:
    """Remember offsets within one stretch of each partition."""

    def __init__(self, stretches: Mapping[int, range]) -> None:
        self._stretches = stretches
        self._bits = {number: bytearray(-(-len(stretch) // 8)) for number, stretch in stretches.items()}

    def add(self, partition: int, offset: int) -> None:
        """Remember an offset; one beyond the stretches matters to nobody."""
        stretch = self._stretches.get(partition, range(0))
        if offset in stretch:
            at = offset - stretch.start
            self._bits[partition][at >> 3] |= 1 << (at & 7)

    def missing(self, partition: int, offset: int) -> bool:
        """Say whether an offset lies within its partition's stretch and is not accounted for."""
        stretch = self._stretches.get(partition, range(0))
        at = offset - stretch.start
        return offset in stretch and not self._bits[partition][at >> 3] & 1 << (at & 7)


class ParkedFold:
    """Fold one partition's parked log: a park under an epoch lower than the current one is void."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def parked(self, note: Park | Settle | Taken) -> int | None:
        """Give the offset of the event that a note accounts for, None if it does for none."""
        match note:
            case Taken(epoch=epoch):
                self._epoch = max(self._epoch, epoch)
                return None
            case Park(epoch=epoch, offset=offset):
                return offset if epoch >= self._epoch else None
            case Settle(offset=offset):
                return offset


def settled_stretches(stretches: Mapping[int, range], committed: Mapping[int, CommittedOffset]) -> Mapping[int, range]:
    """Cut stretches to what the group has passed, and so may have lost.

    Beyond the committed frontier events are in progress; in front of where the group began they are none of its own.
    """
    return {
        number: _settled(stretch, committed[number]) for number, stretch in stretches.items() if number in committed
    }


def _settled(stretch: range, committed: CommittedOffset) -> range:
    start = max(stretch.start, read_committed(committed.offset, committed.metadata).events_from or 0)
    return range(start, max(start, min(stretch.stop, committed.offset)))


def read_accounted(
    logs: Watched, stretches: Mapping[int, range], committed: Mapping[int, CommittedOffset], since: int
) -> Accounted:
    """Read both logs of the group, after `committed` was asked for: what it passed is in them by now.

    `since` is the time of the first event, in milliseconds: no outcome is older. The parked log comes first: what is
    parked may end meanwhile, and its outcome is found then. Raises Retryable and UnreadableRecord("unknown-version").
    """
    accounted = Accounted(stretches)
    for partition, offset in _parked(logs, committed):
        accounted.add(partition, offset)
    for partition, outcome in read_ended(logs, since):
        accounted.add(partition, outcome.offset)
    return accounted


def _parked(logs: Watched, committed: Mapping[int, CommittedOffset]) -> Iterator[tuple[int, int]]:
    topic = logs.topics.parked
    known = {number: read_committed(each.offset, each.metadata) for number, each in committed.items()}
    folds = {number: ParkedFold(each.parked_epoch or 0) for number, each in known.items()}
    stretches = {
        number: range(starting_offset(known[number].parked_from or None, history)[0], history.high)
        for number, history in logs.scanner.histories(topic).items()
        if number in known
    }
    for record in logs.records(topic, stretches):
        try:
            offset = folds[record.partition].parked(read_note(record)[0])
        except UnreadableRecord as error:
            _pass_garbage(error)
        else:
            if offset is not None:
                yield record.partition, offset


def read_ended(logs: Watched, since: int) -> Iterator[tuple[int, Ended]]:
    """Read the group's outcomes from a time in milliseconds on, each with its partition; raises as above."""
    topic = logs.topics.outcomes
    histories = logs.scanner.histories(topic)
    starts = logs.scanner.offsets_at(topic, max(0, since - CLOCKS_MILLISECONDS), histories)
    for record in logs.records(topic, {number: range(starts[number], each.high) for number, each in histories.items()}):
        try:
            outcome = read_outcome(record.value)
        except UnreadableRecord as error:
            _pass_garbage(error)
        else:
            if isinstance(outcome, Ended):
                yield record.partition, outcome


def _pass_garbage(error: UnreadableRecord) -> None:
    """Let garbage stop nothing; what a later version wrote might account for anything."""
    if error.reason == "unknown-version":
        raise error
