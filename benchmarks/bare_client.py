"""What a bare aiohttp client reaches without Kafka: `python -m benchmarks.bare_client PORT IN_FLIGHT`.

Prints JSON: calls per second, CPU seconds per 1,000 calls and peak memory. As with the member beside it, the calls in
which connections are opened do not count, and the loop is uvloop's; `--seconds` is for how long the others do. With
`--zipf EVENTS KEYS` it makes so many calls, of one connection one at a time, and prints nothing: whoever started it
watches.
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import uvloop

from benchmarks.ports import cpu_seconds, peak_mib
from benchmarks.sync_calls import BODY, HEADERS, PATH
from benchmarks.zipf import connections

_Call = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Count:
    """Calls made, and when and at what cost those that count began: `since` so many calls."""

    calls: int = 0
    since: int = 0
    began: float = 0.0
    cpu: float = 0.0

    def start(self) -> None:
        """Begin to count."""
        self.since, self.began, self.cpu = self.calls, time.monotonic(), cpu_seconds(os.getpid())

    def report(self) -> dict[str, float]:
        """Say what came of it."""
        calls, elapsed = self.calls - self.since, time.monotonic() - self.began
        return {
            "value": calls / elapsed,
            "cpu_seconds_per_1000": (cpu_seconds(os.getpid()) - self.cpu) / calls * 1000,
            "peak_mib": peak_mib(os.getpid()),
        }


@asynccontextmanager
async def _client(port: int, in_flight: int) -> AsyncIterator[_Call]:
    """Give what makes one call."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
    url = f"http://127.0.0.1:{port}{PATH}"
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout
    ) as session:

        async def call() -> None:
            async with session.post(url, data=BODY, headers=HEADERS) as response:
                await response.read()

        yield call


async def keep_calling(port: int, in_flight: int, seconds: float) -> None:
    """Keep `in_flight` calls going, and count for `seconds` once two rounds of them have been answered."""
    count, warm = _Count(), asyncio.Event()
    async with _client(port, in_flight) as call:

        async def work() -> None:
            while True:
                await call()
                count.calls += 1
                if count.calls == 2 * in_flight:
                    warm.set()

        callers = [asyncio.create_task(work()) for _ in range(in_flight)]
        await warm.wait()
        count.start()
        await asyncio.wait(callers, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        print(json.dumps(count.report()))
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


async def call_in_order(port: int, in_flight: int, events: int, keys: int) -> None:
    """Call for each event, of one connection one at a time: the connections take turns."""
    left = Counter(connections(events, keys))
    ready = deque(left)
    async with _client(port, in_flight) as call:

        async def work() -> None:
            while ready:  # if not, each connection that has events left is another caller's
                connection = ready.popleft()
                await call()
                left[connection] -= 1
                if left[connection]:
                    ready.append(connection)

        await asyncio.gather(*(work() for _ in range(in_flight)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_client", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("in_flight", type=int)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--zipf", type=int, nargs=2, metavar=("EVENTS", "KEYS"))
    return parser


def main() -> None:
    """Call."""
    options = _parser().parse_args()
    if options.zipf:
        uvloop.run(call_in_order(options.port, options.in_flight, *options.zipf))
    else:
        uvloop.run(keep_calling(options.port, options.in_flight, options.seconds))


if __name__ == "__main__":
    main()
