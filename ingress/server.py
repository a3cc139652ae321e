"""The listening socket, and how it closes."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web

from ingress.accepted import Accepted
from ingress.answers import unreadable_request
from ingress.gate import Gate
from schemas.errors import ConfigurationError
from schemas.settings import IngressSettings, variable

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | Accepted]]

_BACKLOG = 2048
_CLOSING_SECONDS = 1.0
"""How long connections may take to close; who was on them has been answered by then, or given up."""
_OF_STOP_FOR_REQUESTS = 0.9
"""The share of a stop that requests may take; the rest is for what Kafka has not acknowledged then."""


@asynccontextmanager
async def listening(handler: Handler, gate: Gate, settings: IngressSettings) -> AsyncIterator[int]:
    """Serve `handler` and give the port; at the end refuse what is new and finish what `gate` has let in.

    Bodies are handed on as sent, compressed or not. Raises ConfigurationError where the address cannot be had.
    """
    # Accepted is no StreamResponse, but has what a connection asks of one.
    answering = cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", handler)
    server = _Connections(answering, access_log=None, auto_decompress=False)
    runner = web.ServerRunner(server, shutdown_timeout=_CLOSING_SECONDS)
    await runner.setup()
    site = web.TCPSite(
        runner,
        settings.ingress_host,
        settings.ingress_port,
        backlog=_BACKLOG,
        reuse_port=settings.ingress_reuse_port or None,
    )
    try:
        await _start(site, settings)
        yield site.port
        await site.stop()
        await gate.close(settings.ingress_stop_seconds * _OF_STOP_FOR_REQUESTS)
    finally:
        await runner.cleanup()


async def _start(site: web.TCPSite, settings: IngressSettings) -> None:
    if settings.ingress_reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigurationError([f"{variable('ingress_reuse_port')}: this system cannot share a port; say false."])
    try:
        await site.start()
    except OSError as error:
        address = f"{settings.ingress_host}:{settings.ingress_port}"
        names = f"{variable('ingress_host')}, {variable('ingress_port')}"
        raise ConfigurationError([f"{names}: cannot listen on {address}: {error.strerror}."]) from None


class _Connection(web.RequestHandler):
    """One connection; what is not even HTTP is answered in JSON too."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,  # noqa: ARG002 - as above; always 400, since the routes raise nothing
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - as above
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed; aiohttp's own way would quote it in the log."""
        if exc is not None:
            exc.__traceback__ = None  # its frames hold it, and what was sent, until garbage is collected
        return unreadable_request()


class _Connections(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)
