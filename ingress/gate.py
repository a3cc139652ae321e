"""The gate: how many requests are handled at once, and none that comes while the process stops."""

import asyncio
from types import TracebackType

from schemas.errors import Busy


class Gate:
    """Hold a request inside with `with gate:`; entering raises Busy when it is full or closed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.inside = 0
        self._empty = asyncio.Event()
        self.closed = False

    def __enter__(self) -> None:
        if self.closed:
            raise Busy("the process is stopping")
        if self.inside >= self._most:
            raise Busy(f"{self._most} requests are being handled, which is the most allowed")
        self.inside += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.inside -= 1
        if self.closed and not self.inside:
            self._empty.set()

    async def close(self, within: float) -> int:
        """Let nobody in any more, wait so many seconds for those inside, and count who is still there."""
        self.closed = True
        if self.inside:
            try:
                async with asyncio.timeout(within):
                    await self._empty.wait()
            except TimeoutError:
                pass
        return self.inside
