"""How much memory a member takes in bad times: `python -m benchmarks.memory`.

First a backlog waits on a real Kafka, with bodies of 1 KiB, and a member works it off; the lean Fuse takes 5 ms a call.
Then comes an outage while events keep coming: Fuse answers 503 for one half of it and takes no connections for the
other, and what waits is worked off afterwards. The outage stands for one of 30 minutes: as much as it is shorter, so
are the settings' times of retries, parking and holds. All other settings are the defaults. A member is meant to stay
below 256 MiB; what is measured is the most that it has had from its start to the end.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.member import (
    PATIENCE_SECONDS,
    Member,
    ask,
    distinct_events,
    lean_fuse,
    publish,
    running,
    settings_for,
)
from benchmarks.ports import cores, cpu_seconds
from benchmarks.result import Repetition, Series, add_output, hand_over
from broker.embedded import EmbeddedKafka
from broker.publisher import Bounds, Publisher
from schemas.record import to_record
from schemas.settings import ConsumerSettings

_PARTITIONS = 12
_FUSE_SECONDS = 0.005
_OUTAGE_SECONDS = 1800.0
"""The outage that is meant."""
_SHARES = (0.1, 0.5, 0.5, 0.1)
"""Before, answering 503, refusing connections and afterwards: how long, in lengths of the outage."""
_FIRST = 1_000
"""Events that are called before all that: by then the member works."""
_SHORTENED = (
    *("retry_initial_seconds", "retry_max_seconds", "retry_seconds", "tenant_probe_seconds"),
    *("parked_initial_seconds", "parked_max_seconds", "parked_seconds"),
    *("hold_window_seconds", "hold_probe_seconds", "hold_ramp_seconds"),
)
_SHORTEST = 0.1
"""Seconds: no setting of a hold may be less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a member is measured: Kafka, the port of its lean Fuse, a folder, and its cores."""

    servers: str
    fuse: int
    folder: Path
    on: set[int]

    def settings(self, **given: object) -> ConsumerSettings:
        """Give settings of a member on a fresh topic."""
        return settings_for(
            self.servers, self.fuse, self.folder, topic_partitions=_PARTITIONS, log_level="error", **given
        )


def main() -> None:
    """Measure, and hand the result over."""
    options = _parser().parse_args()
    other_cores, on = cores()
    with (
        EmbeddedKafka() as kafka,
        lean_fuse(_FUSE_SECONDS, other_cores) as fuse,
        tempfile.TemporaryDirectory() as folder,
    ):
        site = Site(servers=kafka.bootstrap_servers, fuse=fuse, folder=Path(folder), on=on)
        series = [*_backlog(site, options.events), *_outage(site, options.seconds, options.rate)]
    hand_over("memory", __doc__, series, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="in the backlog (default: 1,000,000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the outage, in fact (default: 60)")
    parser.add_argument("--rate", type=float, default=2_000.0, help="events per second in the outage (default: 2,000)")
    add_output(parser)
    return parser


def _backlog(site: Site, events: int) -> Iterator[Series]:
    settings = site.settings()
    began = time.monotonic()
    asyncio.run(publish(settings, distinct_events(events)))
    _say(f"{events:,} events lie there after {time.monotonic() - began:.0f} s")
    before, began = int(ask(site.fuse, "count")), time.monotonic()
    with running(settings, site.on, site.folder) as member:
        _wait_until_called(site.fuse, before + events)
        rate = events / (time.monotonic() - began)
        yield _peak(f"backlog of {events:,} events", member, events)
    yield Series(name="backlog, from the start to the last call", unit="calls/s", repetitions=[Repetition(value=rate)])


def _outage(site: Site, seconds: float, rate: float) -> Iterator[Series]:
    settings = site.settings(**_shortened(_OUTAGE_SECONDS / seconds))
    asyncio.run(publish(settings, distinct_events(_FIRST)))
    before = int(ask(site.fuse, "count")) + _FIRST
    with running(settings, site.on, site.folder) as member:
        _wait_until_called(site.fuse, before)
        events = asyncio.run(_send_through_outage(settings, site.fuse, seconds, rate))
        _say(f"{events:,} events were sent, {int(ask(site.fuse, 'count')) - before:,} have been called")
        _wait_until_called(site.fuse, before + events)
        yield _peak(f"outage, {events:,} events", member, events)


def _shortened(factor: float) -> Mapping[str, float]:
    """Shorten the settings' times by a factor, and let calls return after a hold as much faster."""
    fields = ConsumerSettings.model_fields
    times = {name: max(_SHORTEST, fields[name].default / factor) for name in _SHORTENED}
    return {**times, "hold_ramp_per_second": int(fields["hold_ramp_per_second"].default * factor)}


async def _send_through_outage(settings: ConsumerSettings, fuse: int, seconds: float, rate: float) -> int:
    """Send at a fixed rate, whatever becomes of it, before, in and after the outage; give how many were sent."""
    count = int(rate * seconds * sum(_SHARES))
    bounds = Bounds(messages=100_000, bytes=2**30, deadline_seconds=60.0, stop_seconds=60.0)
    async with Publisher(settings, bounds) as publisher, asyncio.TaskGroup() as tasks:
        tasks.create_task(_break_down(fuse, seconds))
        began = time.monotonic()
        for number, each in enumerate(distinct_events(count)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            publisher.publish(settings.topic, to_record(each))
    return count


async def _break_down(fuse: int, seconds: float) -> None:
    until, down, refusing, _ = (share * seconds for share in _SHARES)
    await asyncio.sleep(until)
    ask(fuse, f"down/{down}")
    await asyncio.sleep(down)
    ask(fuse, f"refuse/{refusing}")


def _wait_until_called(fuse: int, calls: int) -> None:
    """Wait until so many calls have been answered. Raises TimeoutError where there are no more of them for long."""
    last, since = 0, time.monotonic()
    while (now := int(ask(fuse, "count"))) < calls:
        if now > last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > PATIENCE_SECONDS:
            raise TimeoutError(f"{calls - now:,} calls are not made")
        time.sleep(0.5)


def _peak(name: str, member: Member, events: int) -> Series:
    spent, most = cpu_seconds(member.pid), member.peak_mib()
    _say(f"{name}: {most:.0f} MiB")
    repetition = Repetition(value=most, cpu_seconds_per_1000=1000 * spent / events, peak_mib=most)
    return Series(name=name, unit="MiB", repetitions=[repetition])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
