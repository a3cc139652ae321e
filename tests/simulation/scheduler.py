"""Virtual time: a heap of what happens next, and processes that freeze, wake and die as real ones do.

Work within a process is written as generators: `yield 0.5` sleeps, `yield future` waits for its value.
"""

import heapq
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Steps = Generator["float | Future[Any]", Any, T]
Act = Callable[[], None]


class Scheduler:
    """Do one thing after another, in the order of their virtual times (seconds); at equal times as they were asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Process | None, Act]] = []
        self._soon: deque[tuple[Process | None, Act]] = deque()
        """What is to happen at the present time: behind everything in the heap with that time, since asked later."""
        self._sequence = 0

    def later(self, seconds: float, act: Act) -> None:
        """Do `act` after so many seconds."""
        self.at(self.now + seconds, act)

    def at(self, time: float, act: Act, process: "Process | None" = None) -> None:
        """Do `act` at this time, within a process if one is given.

        What has to stay in order needs an exact time: adding a difference to another one would round.
        """
        if time <= self.now:
            self._soon.append((process, act))
        else:
            self._sequence += 1
            heapq.heappush(self._heap, (time, self._sequence, process, act))

    def run(self, until: float, done: Callable[[], bool]) -> bool:
        """Go on until `done`, which is True then, or until this time."""
        heap, soon = self._heap, self._soon
        while soon or (heap and heap[0][0] <= until):
            if soon and not (heap and heap[0][0] <= self.now):
                process, act = soon.popleft()
            else:
                self.now, _, process, act = heapq.heappop(heap)
            if process is None:
                act()
            elif process.alive:
                process.do(act)
            if done():
                return True
        return done()


class Future(Generic[T]):
    """A value that comes later; the first one counts."""

    __slots__ = ("_callbacks", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: T | None = None
        self._callbacks: list[Callable[[Any], None]] = []

    def resolve(self, value: T) -> None:
        """Give the value, unless there is one."""
        if self.done:
            return
        self.done, self.value = True, value
        for callback in self._callbacks:
            callback(value)
        self._callbacks.clear()

    def then(self, callback: Callable[[Any], None]) -> None:
        """Call back with the value, at once if it is there."""
        if self.done:
            callback(self.value)
        else:
            self._callbacks.append(callback)


class Process:
    """Whatever runs here waits while the process is frozen, and never happens once it is dead."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.alive = True
        self.frozen = False
        self.cut_until = 0.0
        self._deferred: list[Act] = []

    def later(self, seconds: float, act: Act) -> None:
        """Do `act` within this process after so many seconds, or once it is awake."""
        self.scheduler.at(self.scheduler.now + seconds, act, self)

    def at(self, time: float, act: Act) -> None:
        """Do `act` within this process at this time, or once it is awake."""
        self.scheduler.at(time, act, self)

    def spawn(self, steps: "Steps[T]") -> "Task[T]":
        """Run a generator within this process; its first step comes later, at the same time."""
        return Task(self, steps)

    def freeze(self) -> None:
        """Stop as SIGSTOP does: what the network has already taken goes on without the process."""
        self.frozen = True

    def wake(self) -> None:
        """Go on: everything that was due happens now, in its order."""
        self.frozen = False
        deferred, self._deferred = self._deferred, []
        for act in deferred:
            self.later(0.0, act)

    def kill(self) -> None:
        """End as SIGKILL does."""
        self.alive = False
        self._deferred.clear()

    def do(self, act: Act) -> None:
        """Do `act` now, or once it is awake."""
        if self.frozen:
            self._deferred.append(act)
        else:
            act()


class Task(Generic[T]):
    """A generator being run; `finished` gives what it returned, None if it was cancelled."""

    __slots__ = ("_process", "_steps", "finished")

    def __init__(self, process: Process, steps: Steps[T]) -> None:
        self._process = process
        self._steps = steps
        self.finished: Future[T | None] = Future()
        process.later(0.0, self._step)

    def cancel(self) -> None:
        """End it where it waits."""
        if not self.finished.done:
            self._steps.close()
            self.finished.resolve(None)

    def _step(self, value: object = None) -> None:
        if self.finished.done:
            return
        try:
            wanted = self._steps.send(value)
        except StopIteration as stop:
            self.finished.resolve(stop.value)
            return
        if isinstance(wanted, Future):
            wanted.then(self._continue)
        else:
            self._process.later(wanted, self._step)

    def _continue(self, value: object) -> None:
        self._process.later(0.0, partial(self._step, value))


def wait_for_all(process: Process, futures: "list[Future[Any]]", seconds: float) -> Steps[None]:
    """Wait for all of these, but no longer than so many seconds."""
    waiting = [future for future in futures if not future.done]
    if not waiting:
        return
    over: Future[None] = Future()
    left = len(waiting)

    def one_less(_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            over.resolve(None)

    for future in waiting:
        future.then(one_less)
    process.later(seconds, partial(over.resolve, None))
    yield over
