"""An idempotent producer: what it writes lands in each log's order, maybe late, maybe after its process has died."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from consumer.engine.commands import Write, WriteDead, WriteOutcome, WritePark
from schemas.outcome import Taken
from tests.simulation.facts import Facts
from tests.simulation.scheduler import Future, Process, Steps
from tests.simulation.world import World


class Topic(StrEnum):
    """Where a group writes to."""

    OUTCOMES = "outcomes"
    PARKED = "parked"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A record on its way to a topic, and whom it is for; `acknowledged` gives its position, None if it failed."""

    tenure: Facts
    topic: Topic
    record: Write | Taken
    acknowledged: Future[int | None]


@dataclass(slots=True, kw_only=True, eq=False)
class _Lane:
    """One partition of a topic: what is behind lands later, and is acknowledged later."""

    queue: deque[Sent]
    leaving: bool = False
    lands_at: float = 0.0
    acknowledged_at: float = 0.0


class Producer:
    """Write to the logs of the group. What has left the process lands; what has not dies with it."""

    def __init__(self, process: Process, world: World) -> None:
        self._process = process
        self._world = world
        self._lanes: dict[tuple[Topic, int], _Lane] = {}
        self.unacknowledged = 0

    def write(self, tenure: Facts, write: Write) -> Future[int | None]:
        """Queue what an engine wants to be written."""
        return self._send_to(tenure, topic_of(write), write)

    def mark(self, tenure: Facts, topic: Topic, taken: Taken) -> Future[int | None]:
        """Queue a mark."""
        return self._send_to(tenure, topic, taken)

    def _send_to(self, tenure: Facts, topic: Topic, record: Write | Taken) -> Future[int | None]:
        acknowledged: Future[int | None] = Future()
        if self._world.network.chance(0.02):
            self._world.seen("write refused by a full queue")
            self._process.later(0.001, partial(acknowledged.resolve, None))
            return acknowledged
        lane = self._lanes.setdefault((topic, tenure.partition), _Lane(queue=deque()))
        lane.queue.append(Sent(tenure=tenure, topic=topic, record=record, acknowledged=acknowledged))
        self.unacknowledged += 1
        if not lane.leaving:
            lane.leaving = True
            self._process.spawn(self._send(lane))
        return acknowledged

    def _send(self, lane: _Lane) -> Steps[None]:
        while lane.queue:
            yield self._world.rng.uniform(0.001, 0.005)
            while self._process.cut_until > self._world.now:
                yield self._process.cut_until - self._world.now
            for _ in range(min(len(lane.queue), self._world.rng.randint(1, 4))):
                self._depart(lane, lane.queue.popleft())
        lane.leaving = False

    def _depart(self, lane: _Lane, sent: Sent) -> None:
        now = self._world.now
        lane.lands_at = max(lane.lands_at, now + self._world.network.latency())
        self._world.scheduler.at(lane.lands_at, partial(self._land, lane, sent))

    def _land(self, lane: _Lane, sent: Sent) -> None:
        position = self._append(sent)
        self._world.note(
            "kafka", lambda: f"{sent.topic}[{sent.tenure.partition}][{position}] = {_text(sent.record)} {self._state()}"
        )
        if not self._process.alive:
            self._world.seen("write of a dead member lands")
        now = self._world.now
        lane.acknowledged_at = max(lane.acknowledged_at, now + self._world.network.latency())
        self._process.at(lane.acknowledged_at, partial(self._acknowledge, sent, position))

    def _append(self, sent: Sent) -> int:
        audit = self._world.audit
        match sent.record:
            case WriteDead() as write:
                return audit.dead_landed(sent.tenure, write)
            case WriteOutcome(ended=ended):
                return audit.outcome_landed(sent.tenure, ended, self._world.now)
            case Taken() as taken if sent.topic is Topic.OUTCOMES:
                return audit.outcome_landed(sent.tenure, taken, self._world.now)
            case Taken() as taken:
                return audit.parked_landed(sent.tenure, taken)
            case _ as write:
                return audit.parked_landed(sent.tenure, write.record)

    def _acknowledge(self, sent: Sent, position: int) -> None:
        self.unacknowledged -= 1
        sent.acknowledged.resolve(position)

    def _state(self) -> str:
        state = "dead " if not self._process.alive else "frozen " if self._process.frozen else ""
        return f"by {state}{self._process.name}"


def topic_of(write: Write) -> Topic:
    """Say where a write goes."""
    match write:
        case WriteOutcome():
            return Topic.OUTCOMES
        case WriteDead():
            return Topic.DEAD
        case _:
            return Topic.PARKED


def _text(record: Write | Taken) -> str:
    match record:
        case Taken(epoch=epoch):
            return f"taken(epoch {epoch})"
        case WriteOutcome(ended=ended):
            return f"ended({ended.offset}, {ended.outcome}, epoch {ended.epoch})"
        case WritePark(offset=offset, record=parked):
            return f"park({offset}, {(parked.headers[-1][1] or b'').decode()})"
        case _:
            return f"{type(record).__name__}({record.offset})"
