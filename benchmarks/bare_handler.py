"""The yardstick: an aiohttp handler that reads the body and answers 200. `python -m benchmarks.bare_handler PORT`."""

import sys

from aiohttp import web


async def _handle(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_post("/webhooks/{tenant}", _handle)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
