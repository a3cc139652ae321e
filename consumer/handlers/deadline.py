"""The deadline: no call takes longer than it may.

One timer looks after all calls. With one of its own, as the HTTP client would set it, a call costs a twentieth more.
"""

import asyncio
from types import TracebackType

_TICK_SECONDS = 0.1


class Deadline:
    """End what takes longer than `seconds`, at most a tenth of a second later: use `with deadline.held():`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._held: dict[Held, None] = {}
        self._is_ticking = False

    def held(self) -> "Held":
        """Give what holds the code within to the deadline: it raises TimeoutError there."""
        return Held(self)

    def begin(self, held: "Held", loop: asyncio.AbstractEventLoop) -> float:
        """Look after somebody; give the time at which it has to be over."""
        self._held[held] = None
        if not self._is_ticking:
            self._is_ticking = True
            loop.call_later(_TICK_SECONDS, self._tick, loop)
        return loop.time() + self._seconds

    def end(self, held: "Held") -> None:
        """Look after it no more."""
        self._held.pop(held, None)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is late: the oldest, since all have the same time."""
        now = loop.time()
        while self._held and (oldest := next(iter(self._held))).until <= now:
            self.end(oldest)
            oldest.expire()
        self._is_ticking = bool(self._held)
        if self._is_ticking:
            loop.call_later(_TICK_SECONDS, self._tick, loop)


class Held:
    """One that is held to a deadline; as asyncio's own Timeout, but without a timer."""

    __slots__ = ("_cancelling", "_deadline", "_is_late", "_task", "until")

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._is_late = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline holds within a task only")
        self._task = task
        self._cancelling = task.cancelling()
        self.until = self._deadline.begin(self, task.get_loop())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._deadline.end(self)
        # Cancelled by us alone it was late; by somebody else too, it has to stop.
        if self._is_late and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """Interrupt what takes too long."""
        self._is_late = True
        self._task.cancel()
