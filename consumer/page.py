"""The member's own page: over HTTP, read-only, what it holds and what it waits for.

GET /healthz                       whether it lives
GET /readyz                        whether it calls, or why not
GET /state                         its partitions, gauges and alarms
GET /lanes/{tenant}/{connection}   one connection
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import orjson
import structlog
from aiohttp import hdrs, web

from consumer.inspection import MemberView, Values
from consumer.why.asked import lane_key
from schemas.errors import ConfigurationError
from schemas.settings import ConsumerSettings, variable
from schemas.telemetry import LogEvent

OFF: Final = -1
"""The port that means: no page."""
_BACKLOG: Final = 16
_KEPT_SECONDS: Final = 5.0
"""How long a connection without requests is kept."""
_CLOSING_SECONDS: Final = 1.0


class Page:
    """Answer for a member, once it is there: the address has to be known before the member joins its group."""

    def __init__(self) -> None:
        self._view: MemberView | None = None

    def show(self, view: MemberView) -> None:
        """Answer for this member from now on."""
        self._view = view

    def routes(self) -> list[web.RouteDef]:
        """List what is answered."""
        return [
            web.get("/healthz", self._alive),
            web.get("/readyz", self._ready),
            web.get("/state", self._state),
            web.get("/lanes/{tenant}/{connection:.*}", self._lane),
        ]

    async def _alive(self, _: web.Request) -> web.Response:
        return _answer({"status": "alive"})

    async def _ready(self, _: web.Request) -> web.Response:
        reasons = ["has not started yet"] if self._view is None else self._view.unready()
        return _answer({"ready": not reasons, "reasons": [*reasons]}, status=503 if reasons else 200)

    async def _state(self, _: web.Request) -> web.Response:
        return _answer(self._shown.state())

    async def _lane(self, request: web.Request) -> web.Response:
        tenant, connection = request.match_info["tenant"], request.match_info["connection"]
        return _answer(self._shown.lane(lane_key(f"{tenant}/{connection}")))

    @property
    def _shown(self) -> MemberView:
        if self._view is None:
            raise web.HTTPServiceUnavailable(text="the member has not started yet")
        return self._view


@asynccontextmanager
async def open_page(settings: ConsumerSettings, page: Page) -> AsyncIterator[str | None]:
    """Serve the page, and give its address as `host:port`; None where the settings want none.

    Raises ConfigurationError where the address cannot be had.
    """
    if settings.member_port == OFF:
        yield None
        return
    application = web.Application()
    application.add_routes(page.routes())
    runner = web.AppRunner(
        application, access_log=None, keepalive_timeout=_KEPT_SECONDS, shutdown_timeout=_CLOSING_SECONDS
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.member_host, settings.member_port, backlog=_BACKLOG)
        await _start(site, settings)
        structlog.get_logger().info(LogEvent.PAGE_OPENED, host=settings.member_host, port=site.port)
        yield f"{settings.member_host}:{site.port}"
    finally:
        await runner.cleanup()


async def _start(site: web.TCPSite, settings: ConsumerSettings) -> None:
    try:
        await site.start()
    except OSError as error:
        names = f"{variable('member_host')}, {variable('member_port')}"
        address = f"{settings.member_host}:{settings.member_port}"
        raise ConfigurationError([f"{names}: cannot listen on {address}: {error.strerror}."]) from None


def _answer(values: Values, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(values),
        status=status,
        headers={hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"},
    )
