"""An idempotent producer: what it writes lands in its order, maybe late, maybe after its process has died."""

from collections import deque
from dataclasses import dataclass
from functools import partial

from schemas.outcome import Ended, Taken
from tests.simulation.audit import Facts
from tests.simulation.scheduler import Future, Process, Steps
from tests.simulation.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A record on its way, and whom it is for; `acknowledged` gives its position, None if it failed."""

    tenure: Facts
    record: Ended | Taken
    acknowledged: Future[int | None]


class Producer:
    """Write to the outcomes logs. What has left the process lands; what has not dies with it."""

    def __init__(self, process: Process, world: World) -> None:
        self._process = process
        self._world = world
        self._queue: deque[Write] = deque()
        self._leaving = False
        self._lands_at = 0.0
        self.unacknowledged = 0

    def write(self, tenure: Facts, record: Ended | Taken) -> Future[int | None]:
        """Queue a record."""
        acknowledged: Future[int | None] = Future()
        if self._world.network.chance(0.02):
            self._world.seen("write refused by a full queue")
            self._process.later(0.001, partial(acknowledged.resolve, None))
            return acknowledged
        self._queue.append(Write(tenure=tenure, record=record, acknowledged=acknowledged))
        self.unacknowledged += 1
        if not self._leaving:
            self._leaving = True
            self._process.spawn(self._send())
        return acknowledged

    def _send(self) -> Steps[None]:
        while self._queue:
            yield self._world.rng.uniform(0.001, 0.005)
            while self._process.cut_until > self._world.now:
                yield self._process.cut_until - self._world.now
            for _ in range(min(len(self._queue), self._world.rng.randint(1, 4))):
                self._depart(self._queue.popleft())
        self._leaving = False

    def _depart(self, write: Write) -> None:
        now = self._world.now
        self._lands_at = max(self._lands_at, now + self._world.network.latency())
        self._world.scheduler.later(self._lands_at - now, partial(self._land, write))

    def _land(self, write: Write) -> None:
        position = self._world.audit.outcome_landed(write.tenure, write.record, self._world.now)
        self._world.note(
            "kafka", lambda: f"outcomes[{write.tenure.partition}][{position}] = {_text(write.record)} {self._state()}"
        )
        if not self._process.alive:
            self._world.seen("write of a dead member lands")
        self._process.later(self._world.network.latency(), partial(self._acknowledge, write, position))

    def _acknowledge(self, write: Write, position: int) -> None:
        self.unacknowledged -= 1
        write.acknowledged.resolve(position)

    def _state(self) -> str:
        state = "dead " if not self._process.alive else "frozen " if self._process.frozen else ""
        return f"by {state}{self._process.name}"


def _text(record: Ended | Taken) -> str:
    if isinstance(record, Taken):
        return f"taken(epoch {record.epoch})"
    return f"ended({record.offset}, {record.outcome}, epoch {record.epoch})"
