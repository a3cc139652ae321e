"""The tenants of a running process: read again on SIGHUP and when the file changes, all or nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import structlog

from schemas.errors import ConfigurationError
from schemas.telemetry import LogEvent
from schemas.tenants import Tenant, Tenants, load_tenants, same_tenant

Changed = Callable[[frozenset[str]], None]


class LiveTenants(Tenants):
    """Tenants that follow their file. What is unchanged stays the same object, and so does what is derived from it."""

    __slots__ = ("_environ", "_path", "_stamp", "_subscribers")

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        """Read the file. Raises ConfigurationError with every fault."""
        self._path, self._environ = path, environ
        self._stamp = _stamp(path)  # before reading: what changes meanwhile is seen as a change
        self._subscribers: list[Changed] = []
        super().__init__(load_tenants(path, environ))

    @contextmanager
    def telling(self, changed: Changed) -> Iterator[None]:
        """Call `changed` in the event loop after each reload that changes, adds or removes tenants, with those."""
        self._subscribers.append(changed)
        try:
            yield
        finally:
            self._subscribers.remove(changed)

    @property
    def is_outdated(self) -> bool:
        """Say whether the file is another than the one read last."""
        return _stamp(self._path) != self._stamp

    async def reload(self) -> None:
        """Read the file, and all that it refers to, again; one with faults is logged and changes nothing."""
        self._stamp = _stamp(self._path)
        try:
            loaded = await asyncio.to_thread(load_tenants, self._path, self._environ)
        except ConfigurationError as error:
            structlog.get_logger().error(LogEvent.TENANTS_REFUSED, faults=error.faults)
            return
        self._take(loaded)

    def _take(self, loaded: Mapping[str, Tenant]) -> None:
        before = self._by_name
        changed = changes(before, loaded)
        self._by_name = {name: loaded[name] if name in changed else before[name] for name in loaded}
        structlog.get_logger().info(LogEvent.TENANTS_LOADED, tenants=len(loaded), changed=len(changed))
        if changed:
            for subscriber in self._subscribers:
                subscriber(changed)


def changes(before: Mapping[str, Tenant], after: Mapping[str, Tenant]) -> frozenset[str]:
    """Name the tenants that differ, in any value, or are in one of the two only."""
    both = before.keys() & after.keys()
    return frozenset(
        (before.keys() ^ after.keys()) | {name for name in both if not same_tenant(before[name], after[name])}
    )


@asynccontextmanager
async def following(tenants: LiveTenants, poll_seconds: float) -> AsyncIterator[None]:
    """Reload on SIGHUP, and within `poll_seconds` of a change of the file; 0 is for SIGHUP alone."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    task = asyncio.create_task(_follow(tenants, asked, poll_seconds or None))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _follow(tenants: LiveTenants, asked: asyncio.Event, poll_seconds: float | None) -> None:
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), poll_seconds)
        if asked.is_set() or tenants.is_outdated:
            asked.clear()
            await _reload(tenants)


async def _reload(tenants: LiveTenants) -> None:
    try:
        await tenants.reload()
    except Exception as error:  # noqa: BLE001 - the task's edge: whoever is told of changes must not end the following of them
        structlog.get_logger().exception(LogEvent.TENANTS_REFUSED, faults=(type(error).__name__,))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
