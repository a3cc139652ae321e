"""What every long-running program of ours does with its own process."""

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from schemas.errors import ConfigurationError, Retryable

_COLLECT_AFTER = 200_000
"""Objects made and not freed since the last collection. With thousands of calls in flight their number swings by tens
of thousands; a collection then looks at all of them, and finds nothing."""


def run_program(program: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a program to its end and give its exit status.

    What keeps it from starting goes to standard error, one sentence a line: 2 for a faulty configuration, 1 for what
    may be over at the next try.
    """
    try:
        return uvloop.run(program())
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Retryable as error:
        sys.stderr.write(f"{error}\n")
        return 1


def prepare_process() -> None:
    """Allow as many open files as the system lets us have, and collect garbage rarely.

    A connection is an open file, and a soft limit of 1,024 is usual. Thousands of requests or events are held on
    purpose, and there are no cycles among them: what ends is freed at once. Tests hold the paths of requests and of
    failed events to that. Collections are for what libraries leave: the HTTP client some eighty objects, and the body,
    for each connection that is refused; of which a hold makes few.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def stop_signal() -> asyncio.Future[None]:
    """Give a future that is done once SIGTERM or SIGINT has come. To be called in the event loop."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def stopped() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped)
    return stop
