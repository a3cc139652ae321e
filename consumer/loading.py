"""Loading: which handler a group runs, by the name that `--handler` gives. See docs/handlers.md."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Any

from consumer.handler import Handler
from consumer.handlers.relay import open_relay
from consumer.handlers.sync import open_sync
from schemas.errors import ConfigurationError
from schemas.settings import ConsumerSettings
from schemas.tenants import Tenants

Opener = Callable[[ConsumerSettings, Tenants], AbstractAsyncContextManager[Handler]]
"""Opens a handler and whatever it needs, and closes that at the end."""

_OURS: dict[str, Opener] = {"sync": open_sync, "relay": open_relay}


def load_handler(name: str) -> Opener:
    """Find the handler `sync`, `relay` or `package.module:name`; what opens it is given in any case.

    Raises ConfigurationError with a sentence about what is wrong with the name.
    """
    return _OURS[name] if name in _OURS else _opener(name, _find(name))


def superseded_by(handler: object) -> frozenset[str]:
    """Give the types of events that the handler lets be superseded: its attribute `supersedes`, or none."""
    return frozenset(getattr(handler, "supersedes", ()))


def _find(name: str) -> object:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise _fault(name, "is no handler; write sync, relay or package.module:name")
    try:
        found = import_module(module_name)
    except Exception as error:  # the module's own code runs here, and may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise _fault(name, f"the module {module_name} cannot be imported ({reason})") from error
    if not hasattr(found, attribute):
        raise _fault(name, f"the module {module_name} has no {attribute}")
    return getattr(found, attribute)


def _opener(name: str, found: Any) -> Opener:  # noqa: ANN401 - whatever stands in somebody's module
    if not callable(found):
        raise _fault(name, "cannot be called; give an async function of (event, context), or what opens one")

    @asynccontextmanager
    async def open_(settings: ConsumerSettings, tenants: Tenants) -> AsyncIterator[Handler]:
        if _is_handler(found):
            yield found
            return
        async with _context(name, found(settings, tenants)) as handler:
            if not _is_handler(handler):
                raise _fault(name, "gives something else than an async function of (event, context)")
            yield handler

    return open_


def _is_handler(found: object) -> bool:
    """Say whether calling this gives something to wait for: an async function, or an object that is called as one."""
    return inspect.iscoroutinefunction(found) or (
        not inspect.isclass(found) and inspect.iscoroutinefunction(getattr(found, "__call__", None))  # noqa: B004 - what it is
    )


def _context(name: str, opened: object) -> AbstractAsyncContextManager[Handler]:
    if not isinstance(opened, AbstractAsyncContextManager):
        raise _fault(name, "is neither an async function of (event, context) nor an async context manager giving one")
    return opened


def _fault(name: str, sentence: str) -> ConfigurationError:
    return ConfigurationError([f"handler {name}: {sentence}."])
