"""A tail: one topic that is read on and on, each record once, while others write to it and delete its beginning."""

from collections.abc import Iterator, Mapping

from broker.history import History
from broker.scan import Batch, Expired, Scanner
from schemas.errors import Retryable

_ATTEMPTS = 10


class Tail:
    """Read a topic from `starts` on; `has_gaps` says that something was deleted before it could be read."""

    def __init__(self, scanner: Scanner, topic: str, starts: Mapping[int, int]) -> None:
        self._scanner = scanner
        self.topic = topic
        self._next = dict(starts)
        self.has_gaps = False

    def skip_to(self, starts: Mapping[int, int]) -> None:
        """Leave out what lies below these offsets: it does not count any more."""
        for number, start in starts.items():
            self._next[number] = max(start, self._next.get(number, 0))

    def read(self, histories: Mapping[int, History]) -> Iterator[Batch]:
        """Give what exists and has not been read, up to the ends in `histories`. Raises Retryable."""
        for _ in range(_ATTEMPTS):
            self._pass_over(histories)
            try:
                yield from self._scan({number: history.high for number, history in histories.items()})
            except Expired:
                histories = self._still_existing(histories)
            else:
                return
        raise Retryable(f"{self.topic}: it is being deleted faster than it can be read")

    def _pass_over(self, histories: Mapping[int, History]) -> None:
        for number, history in histories.items():
            if self._next.setdefault(number, 0) < history.low:
                self._next[number] = history.low
                self.has_gaps = True

    def _scan(self, ends: Mapping[int, int]) -> Iterator[Batch]:
        stretches = {number: range(self._next[number], end) for number, end in ends.items()}
        for batch in self._scanner.scan(self.topic, stretches):
            yield batch
            self._next.update({message.partition() or 0: (message.offset() or 0) + 1 for message in batch})
        for number, stretch in stretches.items():
            self._next[number] = max(self._next[number], stretch.stop)

    def _still_existing(self, histories: Mapping[int, History]) -> Mapping[int, History]:
        now = self._scanner.histories(self.topic)
        return {
            number: History(low=now[number].low if number in now else history.high, high=history.high)
            for number, history in histories.items()
        }
