"""A Fuse that answers 200 after a fixed delay and checks nothing: lean, so that it does not hide the client.

`python -m benchmarks.lean_fuse PORT DELAY_SECONDS`; `GET /count` gives the number of calls answered so far. A body that
holds `"fails"` is answered 425: it is to be tried again, and Fuse as a whole is not down. For one that says `"at":`
when it was sent, in seconds since the epoch, the time until the call came is noted; `GET /latencies` gives pairs of the
two, as JSON, and forgets them. `GET /down/SECONDS` lets it answer 503 for so long, which does not count, and
`GET /refuse/SECONDS` lets it end all connections and take none.
"""

import asyncio
import json
import re
import sys
import time
from typing import ClassVar

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_SENT_AT = re.compile(rb'"at":([0-9.]+)')
_ANSWER, _FAILURE, _DOWN = (
    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" % status
    for status in (b"200 OK", b"425 Too Early", b"503 Service Unavailable")
)


class LeanFuse(asyncio.Protocol):
    """Answer each request of a connection after the delay; clients send the next only after the answer."""

    answered = 0
    latencies: ClassVar[list[tuple[float, float]]] = []
    connected: ClassVar[set[asyncio.BaseTransport]] = set()
    down_until = 0.0
    refusals: ClassVar[asyncio.Queue[float]] = asyncio.Queue()
    """The seconds of each time that it is to take no connections, once that is asked for."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        LeanFuse.connected.add(transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the transport."""
        LeanFuse.connected.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        if length is not None and len(body) < int(length[1]):
            return
        self._buffer = b""
        if head.startswith(b"GET /"):
            self._asked(*head.split(b" ", 2)[1].decode().split("/")[1:])
        else:
            self._called(body)

    def _asked(self, what: str, seconds: str = "") -> None:
        match what:
            case "count":
                self._say(str(LeanFuse.answered).encode())
            case "latencies":
                self._say(json.dumps(LeanFuse.latencies).encode())
                LeanFuse.latencies.clear()
            case "down":
                LeanFuse.down_until = self._loop.time() + float(seconds)
                self._say(b"")
            case "refuse":
                self._say(b"")
                LeanFuse.refusals.put_nowait(float(seconds))

    def _called(self, body: bytes) -> None:
        sent_at = _SENT_AT.search(body)
        fails = b'"fails"' in body
        if sent_at is not None and not fails:
            LeanFuse.latencies.append((float(sent_at[1]), time.time() - float(sent_at[1])))
        if self._loop.time() < LeanFuse.down_until:
            self._loop.call_later(self._delay, self._write, _DOWN)
        else:
            self._loop.call_later(self._delay, self._answer, _FAILURE if fails else _ANSWER)

    def _answer(self, answer: bytes) -> None:
        LeanFuse.answered += 1
        self._write(answer)

    def _say(self, text: bytes) -> None:
        self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

    def _write(self, data: bytes) -> None:
        if isinstance(self._transport, asyncio.WriteTransport) and not self._transport.is_closing():
            self._transport.write(data)


async def main(port: int, delay: float) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    while True:
        server = await loop.create_server(lambda: LeanFuse(delay), "127.0.0.1", port, backlog=10_000)
        seconds = await LeanFuse.refusals.get()
        server.close()
        for transport in [*LeanFuse.connected]:
            transport.close()
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
