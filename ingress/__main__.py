"""`python -m ingress`: receive webhooks over HTTP until SIGTERM or SIGINT."""

import argparse
import sys
from collections.abc import Sequence

import structlog

from broker.publisher import Bounds, Publisher
from broker.topics import ensure_topics
from ingress.serve import serve
from schemas.errors import UnpublishableRecord
from schemas.live_tenants import LiveTenants, following
from schemas.process import prepare_process, run_program, stop_signal
from schemas.settings import ENVIRON, IngressSettings, load
from schemas.telemetry import LogEvent, configure_logging

_FLUSH_SHARE = 0.1
"""The share of a stop left for records whose senders nobody waits for any more."""


def main(arguments: Sequence[str]) -> int:
    """Run the ingress; give the exit status: 1 also if it could not go on."""
    _parser().parse_args(arguments)  # it takes none: whoever gives one must not think that it was heard
    return run_program(_run)


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="python -m ingress",
        description="Receive webhooks over HTTP until SIGTERM or SIGINT.",
        epilog="Its settings are environment variables, or lines of a .env: see docs/settings.md.",
    )


async def _run() -> int:
    settings = load(IngressSettings)
    prepare_process()
    configure_logging(settings.log_level, settings.log_format)
    tenants = LiveTenants(settings.tenants_file, ENVIRON)
    await ensure_topics(settings)
    stop = stop_signal()
    publisher = Publisher(settings, _bounds(settings), patient=True)
    async with publisher, following(tenants, settings.tenants_poll_seconds):
        failure = await serve(settings, tenants, publisher, stop)
    return _farewell(failure)


def _farewell(failure: UnpublishableRecord | None) -> int:
    log = structlog.get_logger()
    if failure is None:
        log.info(LogEvent.INGRESS_STOPPED)
        return 0
    log.error(LogEvent.INGRESS_STOPPED, error=str(failure))
    return 1


def _bounds(settings: IngressSettings) -> Bounds:
    return Bounds(
        messages=settings.ingress_queue_messages,
        bytes=settings.ingress_queue_bytes,
        deadline_seconds=settings.ingress_acknowledge_seconds,
        stop_seconds=settings.ingress_stop_seconds * _FLUSH_SHARE,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
