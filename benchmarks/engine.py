"""How fast the engine of a partition decides, without any I/O, on one core: `python -m benchmarks.engine`.

Every event goes its whole way: read in batches, called (at once, in no time), its outcome written. Parked events wait
in a scratch as in production. What is measured is to stay the same whatever the number of keys or of parked events.
In the same run a loop in plain Python says how fast the machine is; ratios to it can be compared between machines.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from benchmarks.result import Repetition, Series, add_output, hand_over
from consumer.engine.commands import Command, Start, WriteOutcome, WritePark, WriteSettle
from consumer.engine.committed import Committed
from consumer.engine.endings import Ending, Place
from consumer.engine.lanes import Waiting
from consumer.engine.notes import note_waiting
from consumer.engine.parking import ParkedEntry
from consumer.engine.partition import PartitionEngine
from consumer.engine.policy import Bounds, Policy
from consumer.engine.retry import Backoff, Failed, ParkedBudget
from consumer.engine.takeover import Marks
from consumer.scratch import Scratch
from schemas.event import Environment, Event
from schemas.outcome import Applied, HandlerResult
from schemas.parked import Why
from schemas.record import record_key, to_record

_BATCH = 500
_DEEP = 10
_TENANTS = 100
_BODY = b'{"type":"financial_connection.sync_data","id":"%020d","padding":"' + b"x" * 600 + b'"}'
_RECEIVED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_WIDE = 1 << 50
_PLACE = Place(group="sync", member="fuse-sync-consumer-6c9f-7", topic="fuse.webhooks", partition=0)
_BOUNDS = Bounds(events=_WIDE, bytes=_WIDE, distance=_WIDE, turns=250, scratch=_WIDE)
_POLICY = Policy(
    parked=ParkedBudget(backoff=Backoff(initial=15, most=1_800), attempts=50, seconds=86_400),
    lane_waiting=100,
    tenant_share=0.8,
    supersede=frozenset({"financial_connection.sync_data"}),
    parked_span=100_000,
)
_APPLIED = Applied(status=200)
FAILED = Failed(error="the sync call was answered 503", jitter=0.5, status=503)
_LATER = 10_000_000
"""Milliseconds after which everything parked is due."""
_CALIBRATION_ROUNDS = 2_000_000


class Driver:
    """Carry commands out at once: a call ends as it is told to, a write lands and is acknowledged."""

    def __init__(self) -> None:
        self.scratch = Scratch()
        committed = Committed(frontier=0, epoch=1, outcomes_from=0, parked_from=0, parked_epoch=1)
        self.engine = PartitionEngine(committed, _PLACE, _POLICY, _BOUNDS, self.scratch)
        self.calls = _WIDE
        """Calls that are still made; what starts after them is left waiting."""
        self.result: HandlerResult | Failed = _APPLIED
        self.now = 1_790_000_000_000
        self.positions = 0

    def take_over(self, parked: Iterator[Waiting]) -> None:
        """Take a partition over in which these events are parked."""
        self.engine.begin()
        self.engine.claimed()
        self.engine.marked(Marks(outcomes=0, parked=_WIDE))
        while stretch := [self._entry(waiting) for waiting in islice(parked, _BATCH)]:
            self.engine.parked_read(stretch)
        self.engine.read_back()
        self.engine.read_back()

    def _entry(self, waiting: Waiting) -> ParkedEntry:
        note = replace(note_waiting(waiting, Why.BEHIND, 1, self.now), due=self.now + _LATER)
        return ParkedEntry(position=self._position(), note=note, record=to_record(waiting.event))

    def read(self, records: Sequence[Waiting]) -> None:
        """Handle what is read, until nothing is left to do."""
        self._carry_out(self.engine.records_read(records, self.now))

    def tick(self) -> None:
        """Handle what is due."""
        self._carry_out(self.engine.tick(self.now))

    def _carry_out(self, commands: Sequence[Command]) -> None:
        while commands:
            following: list[Command] = []
            for command in commands:
                following += self._answer(command)
            commands = following

    def _answer(self, command: Command) -> Sequence[Command]:
        match command:
            case Start(waiting=waiting):
                return self._call(waiting)
            case WriteOutcome(ended=ended):
                return self.engine.outcome_written(ended.offset, self._position())
            case WritePark(offset=offset):
                return self.engine.park_written(offset, self._position())
            case WriteSettle(offset=offset):
                return self.engine.settle_written(offset, self._position())
            case _:
                return ()

    def _call(self, waiting: Waiting) -> Sequence[Command]:
        superseded = self.engine.superseded(waiting, self.now)
        if superseded or not self.calls:
            return superseded
        self.calls -= 1
        return self.engine.call_ended(waiting, Ending(result=self.result, attempts=1, called=self.now, ended=self.now))

    def _position(self) -> int:
        self.positions += 1
        return self.positions


class Source(Iterator[Waiting]):
    """Give events of so many keys, each key in its turn, and for ever."""

    def __init__(self, keys: int, start: int = 0) -> None:
        self._keys = [_key(number + start) for number in range(keys)]
        self._offset = start

    def __next__(self) -> Waiting:
        offset = self._offset
        self._offset += 1
        tenant, connection = self._keys[offset % len(self._keys)]
        lane = record_key(tenant, connection)
        return Waiting(offset=offset, lane=lane, size=1_000, event=_event(offset, tenant, connection))


def _key(number: int) -> tuple[str, str]:
    return f"tenant-{number % _TENANTS}", f"{number:08d}-5d41-4c2b-8e8f-connection"


def _event(number: int, tenant: str, connection: str) -> Event:
    return Event(
        id=f"01890a5d-ac96-774b-bcce-{number:012d}",
        tenant=tenant,
        environment=Environment.PRODUCTION,
        type="financial_connection.sync_data",
        connection=connection,
        aggregator="plaid",
        received_at=_RECEIVED_AT,
        verification="c2lnbmF0dXJlLW9mLXRoZS1ib2R5LWFzLWZ1c2UtbWFrZXM=",
        body=_BODY % number,
    )


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    found: dict[str, list[Repetition]] = {}
    for _ in range(options.repetitions):
        loop = _plain_loop()
        for what, rate in _measure(options.events, options.most):
            found.setdefault(what, []).append(Repetition(value=loop / rate, cpu_seconds_per_1000=1000 / rate))
            print(f"{what}: {rate:,.0f} events/s, {loop / rate:,.0f} loops each", file=sys.stderr, flush=True)
    series = [Series(name=what, unit="loops per event", repetitions=each) for what, each in found.items()]
    hand_over("engine", __doc__, series, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument("--events", type=int, default=20_000, help="events of each measurement (default: 20,000)")
    parser.add_argument("--most", type=int, default=100_000, help="keys, and parked events, at the most; 1,000,000 too")
    add_output(parser)
    return parser


def _measure(events: int, most: int) -> Iterator[tuple[str, float]]:
    for keys in _up_to(most, 1_000, 20_000, 1_000_000):
        yield f"plain, {keys:,} keys", _plain(keys, events)
    for parked in _up_to(most, 0, 10_000, 100_000, 1_000_000):
        yield from _beside(parked, events)


def _up_to(most: int, *steps: int) -> Sequence[int]:
    return [step for step in steps if step <= most]


def _plain(keys: int, events: int) -> float:
    driver, source = Driver(), Source(keys)
    driver.take_over(iter(()))
    return _handle(driver, source, events)


def _beside(parked: int, events: int) -> Iterator[tuple[str, float]]:
    """Measure all that there is while so many events are parked, ten to a lane."""
    driver, source = Driver(), Source(max(1, parked // _DEEP))
    taking_over = _seconds(lambda: driver.take_over(islice(source, parked)))
    if parked:
        yield f"taking over {parked:,} parked", parked / taking_over
    others = Source(20_000, start=parked)
    yield f"plain, {parked:,} parked", _handle(driver, others, events)
    driver.result = FAILED
    yield f"parking, {parked:,} parked", _handle(driver, others, events)
    driver.now, driver.calls, driver.result = driver.now + 2 * _LATER, events, _APPLIED
    yield f"draining, {parked + events:,} parked", events / _seconds(driver.tick)


def _handle(driver: Driver, source: Iterator[Waiting], events: int) -> float:
    """Handle so many events; give how many a second. Making them is not counted."""
    seconds = 0.0
    for _ in range(events // _BATCH):
        batch = list(islice(source, _BATCH))
        seconds += _seconds(partial(driver.read, batch))
    return events / seconds


def _seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _plain_loop() -> float:
    """Count the turns a second of a loop as it was always written."""
    began, total = time.process_time(), 0
    for number in range(_CALIBRATION_ROUNDS):
        total += number
    return _CALIBRATION_ROUNDS / (time.process_time() - began)


if __name__ == "__main__":
    main()
