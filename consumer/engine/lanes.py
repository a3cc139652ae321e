"""Lanes in memory: the events of one key that wait here, at most one of them being handled, in log order."""

from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice

from schemas.event import Event
from schemas.structs import struct


@struct
class Tried:
    """What has been done for an event so far: calls, those of them made when it was parked, and when it all began.

    Times are milliseconds since the epoch; `since` is when it was first parked.
    """

    attempts: int = 0
    turns: int = 0
    called: int | None = None
    since: int | None = None


UNTRIED = Tried()


@struct
class Waiting:
    """An event in memory: where it lies in the source partition, its lane, its cost in bytes, and its past.

    `parked` events are here for their turn only: they are in the parked log all the while. A `probe` is called although
    its tenant's door is closed.
    """

    offset: int
    lane: bytes
    size: int
    event: Event
    tried: Tried = UNTRIED
    parked: bool = False
    probe: bool = False


class Lanes:
    """Keep events by lane; a lane's head is the event being handled, and keeps the lane until it is dropped."""

    def __init__(self) -> None:
        self._lanes: dict[bytes, deque[Waiting]] = {}
        self._of_tenant: Counter[str] = Counter()
        self.events = 0
        self.bytes = 0

    def __contains__(self, lane: bytes) -> bool:
        """Say whether an event of the lane is being handled."""
        return lane in self._lanes

    def waiting(self, lane: bytes) -> Sequence[Waiting]:
        """List the events of a lane that are here, its head first."""
        return tuple(self._lanes.get(lane, ()))

    def add(self, waiting: Waiting) -> int:
        """Append an event to its lane; give how many wait behind the head now, 0 if this is the head."""
        self._count(waiting, 1)
        lane = self._lanes.setdefault(waiting.lane, deque())
        lane.append(waiting)
        return len(lane) - 1

    def advance(self, lane: bytes, heads: int = 1) -> Waiting | None:
        """Drop so many events from the lane's head on, and give the one that is next, if it is here."""
        queue = self._lanes[lane]
        for _ in range(heads):
            self._count(queue.popleft(), -1)
        if queue:
            return queue[0]
        del self._lanes[lane]
        return None

    def take_all(self, lane: bytes) -> list[Waiting]:
        """Take out the lane as a whole, in order."""
        taken = [*self._lanes.pop(lane)]
        for waiting in taken:
            self._count(waiting, -1)
        return taken

    def take_behind(self, lane: bytes) -> list[Waiting]:
        """Take out all that waits behind the lane's head."""
        queue = self._lanes[lane]
        taken = list(islice(queue, 1, None))
        for waiting in taken:
            self._count(waiting, -1)
        self._lanes[lane] = deque((queue[0],))
        return taken

    def covered(self, lane: bytes) -> list[Waiting]:
        """List the first events of a lane, as far as each has one behind it that says the same."""
        if len(self._lanes[lane]) == 1:
            return []
        queue = list(self._lanes[lane])
        covered = 0
        while any(_alike(queue[covered].event, later.event) for later in islice(queue, covered + 1, None)):
            covered += 1
        return queue[:covered]

    def held_by(self, tenant: str) -> int:
        """Count the events of a tenant that are here."""
        return self._of_tenant[tenant]

    def _count(self, waiting: Waiting, one: int) -> None:
        self.events += one
        self.bytes += one * waiting.size
        tenant = waiting.event.tenant
        self._of_tenant[tenant] += one
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]


def _alike(one: Event, other: Event) -> bool:
    """Say whether a call for the other covers the one: a body may be signed in either environment.

    What was sent again for some group covers only what was so too: where it is for another group, nobody calls.
    """
    alike = one.body == other.body and one.environment == other.environment
    return alike and other.group in {None, one.group}
