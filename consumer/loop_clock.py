"""The loop clock: the event loop's time, which never jumps, for what looks at it several times for every event."""

import asyncio


class LoopClock:
    """Tell the time of the event loop in which it is first asked: to ask for the running one costs a system call."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def seconds(self) -> float:
        """Give the time in seconds, since whenever."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    def milliseconds(self) -> int:
        """Give the same in milliseconds."""
        return int(self.seconds() * 1000)
