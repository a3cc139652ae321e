"""A Fuse on a socket, which answers with whatever bytes a test gives it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

WITHIN = 20


@dataclass(slots=True)
class FakeFuse:
    """Fuse on a socket: notes each request's head, and answers with bytes, or as `answer` does with the connection."""

    answer: Callable[[asyncio.StreamWriter], object] | bytes = b""
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while head := await _head(reader):
                self.heads.append(head)
                await reader.readexactly(int(header(head, "content-length") or 0))
                if not isinstance(self.answer, bytes):
                    self.answer(writer)
                    continue
                writer.write(self.answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return ""


def header(head: str, name: str) -> str | None:
    """Give the value of a header in a request's head."""
    lines = [line.partition(":") for line in head.splitlines()]
    return next((value.strip() for found, _, value in lines if found.lower() == name), None)


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"{}") -> bytes:
    """Write an answer."""
    lines = [f"HTTP/1.1 {status} Some", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def fuse(given: FakeFuse | None = None) -> AsyncIterator[FakeFuse]:
    """Start a Fuse on a free port; whatever goes wrong in the loop unseen fails the test."""
    started = given or FakeFuse(answer(200))
    troubles: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    server = await asyncio.start_server(started.serve, "127.0.0.1", 0)
    started.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with asyncio.timeout(WITHIN):
        try:
            yield started
        finally:
            server.close()
            await asyncio.sleep(0)
    assert not troubles
