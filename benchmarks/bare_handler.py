"""The yardsticks: aiohttp handlers that answer 200, one of which reads the body before.

`python -m benchmarks.bare_handler PORT hello|body`.
"""

import sys

from aiohttp import web


async def _hello(_: web.Request) -> web.Response:
    return web.Response()


async def _body(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


def main(port: int, handler: str) -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_post("/webhooks/{tenant}", {"hello": _hello, "body": _body}[handler])
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
