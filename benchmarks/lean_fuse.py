"""A Fuse that answers 200 after a fixed delay and checks nothing: lean, so that it does not hide the client.

`python -m benchmarks.lean_fuse PORT DELAY_SECONDS`; `GET /count` gives the number of calls answered so far. A body that
holds `"fails"` is answered 425: it is to be tried again, and Fuse as a whole is not down. For one that says `"at":`
when it was sent, in seconds since the epoch, the time until the call came is noted; `GET /latencies` gives these times,
as JSON, and forgets them.
"""

import asyncio
import json
import re
import sys
import time
from typing import ClassVar

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_SENT_AT = re.compile(rb'"at":([0-9.]+)')
_FAILURE = b"HTTP/1.1 425 Too Early\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class LeanFuse(asyncio.Protocol):
    """Answer each request of a connection after the delay; clients send the next only after the answer."""

    answered = 0
    latencies: ClassVar[list[float]] = []

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

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
        if head.startswith(b"GET /count"):
            self._say(str(LeanFuse.answered).encode())
        elif head.startswith(b"GET /latencies"):
            self._say(json.dumps(LeanFuse.latencies).encode())
            LeanFuse.latencies.clear()
        else:
            self._called(body)

    def _called(self, body: bytes) -> None:
        sent_at = _SENT_AT.search(body)
        fails = b'"fails"' in body
        if sent_at is not None and not fails:
            LeanFuse.latencies.append(time.time() - float(sent_at[1]))
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
    server = await asyncio.get_running_loop().create_server(lambda: LeanFuse(delay), "127.0.0.1", port, backlog=10_000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
