"""Serve a fake Fuse on a port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from sandbox.admin import PREFIX, administer
from sandbox.fuse import FakeFuse

MAX_BODY = 32 * 1024 * 1024
"""Twice the largest body that the ingress can be set to accept, in bytes."""

_MAX_HEADER = 64 * 1024
_BACKLOG = 4096
_STOP_SECONDS = 0.5


@asynccontextmanager
async def serving(fuse: FakeFuse, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `fuse` and give its base URL; port 0 takes a free one. Calls still open at the end are broken off."""
    server = web.Server(
        partial(_dispatch, fuse),
        request_factory=_request,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        max_field_size=_MAX_HEADER,
    )
    runner = web.ServerRunner(server, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _dispatch(fuse: FakeFuse, request: web.BaseRequest) -> web.Response:
    if request.path.startswith(PREFIX):
        return await administer(fuse, request)
    return await fuse.sync(request)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)
