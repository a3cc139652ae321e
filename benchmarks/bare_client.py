"""What a bare aiohttp client reaches without Kafka: `python -m benchmarks.bare_client PORT IN_FLIGHT SECONDS`.

Prints JSON: calls per second, CPU seconds per 1,000 calls and peak memory. As with the member beside it, the calls in
which connections are opened do not count, and the loop is uvloop's.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass

import aiohttp
import uvloop

from benchmarks.ports import cpu_seconds, peak_mib
from benchmarks.sync_calls import BODY, HEADERS, PATH


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


async def main(port: int, in_flight: int, seconds: float) -> None:
    """Keep `in_flight` calls going, and count for `seconds` once two rounds of them have been answered."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
    count, warm = _Count(), asyncio.Event()
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout
    ) as session:

        async def keep_calling() -> None:
            while True:
                async with session.post(f"http://127.0.0.1:{port}{PATH}", data=BODY, headers=HEADERS) as response:
                    await response.read()
                count.calls += 1
                if count.calls == 2 * in_flight:
                    warm.set()

        callers = [asyncio.create_task(keep_calling()) for _ in range(in_flight)]
        await warm.wait()
        count.start()
        await asyncio.wait(callers, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        print(json.dumps(count.report()))
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
