"""`python -m ingress`: receive webhooks over HTTP until SIGTERM or SIGINT."""

import asyncio
import gc
import signal
import sys

import structlog

from broker.publisher import Bounds, Publisher
from broker.topics import ensure_topics
from ingress.serve import serve
from schemas.errors import ConfigurationError, Retryable, UnpublishableRecord
from schemas.settings import ENVIRON, IngressSettings, load
from schemas.telemetry import LogEvent, configure_logging
from schemas.tenants import load_tenants

_FLUSH_SHARE = 0.1
"""The share of a stop left for records whose senders nobody waits for any more."""
_COLLECT_AFTER = 50_000
"""Objects made and not yet gone; Python's own 700 costs some 5 % of the time, with thousands of requests open."""


def main() -> int:
    """Run the ingress; give the exit status: 1 if it could not start or go on, 2 for a faulty configuration."""
    try:
        return asyncio.run(_run(load(IngressSettings)))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Retryable as error:
        sys.stderr.write(f"{error}\n")
        return 1


async def _run(settings: IngressSettings) -> int:
    configure_logging(settings.log_level, settings.log_format)
    tenants = load_tenants(settings.tenants_file, ENVIRON)
    await ensure_topics(settings)
    _collect_rarely()
    stop = _stop_signal()
    async with Publisher(settings, _bounds(settings)) as publisher:
        failure = await serve(settings, tenants, publisher, stop)
    return _farewell(failure)


def _farewell(failure: UnpublishableRecord | None) -> int:
    log = structlog.get_logger()
    if failure is None:
        log.info(LogEvent.INGRESS_STOPPED)
        return 0
    log.error(LogEvent.INGRESS_STOPPED, error=str(failure))
    return 1


def _collect_rarely() -> None:
    """Leave what start-up made out of every collection, and collect less often: a request leaves no cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _bounds(settings: IngressSettings) -> Bounds:
    return Bounds(
        messages=settings.ingress_queue_messages,
        bytes=settings.ingress_queue_bytes,
        deadline_seconds=settings.ingress_acknowledge_seconds,
        stop_seconds=settings.ingress_stop_seconds * _FLUSH_SHARE,
    )


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _set, stop)
    return stop


def _set(stop: asyncio.Future[None]) -> None:
    if not stop.done():
        stop.set_result(None)


if __name__ == "__main__":
    sys.exit(main())
