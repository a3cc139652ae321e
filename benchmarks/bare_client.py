"""What a bare aiohttp client reaches without Kafka: `python -m benchmarks.bare_client PORT IN_FLIGHT SECONDS`.

Prints JSON: calls per second and CPU seconds per 1,000 calls.
"""

import asyncio
import json
import resource
import sys
import time

import aiohttp

from benchmarks.sync_calls import BODY, HEADERS, PATH


async def main(port: int, in_flight: int, seconds: float) -> None:
    """Keep `in_flight` calls going for `seconds`."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
    done = 0
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout
    ) as session:
        began = time.monotonic()

        async def keep_calling() -> None:
            nonlocal done
            while time.monotonic() - began < seconds:
                async with session.post(f"http://127.0.0.1:{port}{PATH}", data=BODY, headers=HEADERS) as response:
                    await response.read()
                    done += 1

        await asyncio.gather(*(keep_calling() for _ in range(in_flight)))
        elapsed = time.monotonic() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    print(json.dumps({"rate": done / elapsed, "cpu_seconds_per_1000": cpu / done * 1000}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
