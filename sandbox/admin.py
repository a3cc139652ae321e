"""The sandbox's own endpoints beside Fuse's: what was received, and the failure plan, at run time."""

from dataclasses import asdict
from http import HTTPStatus
from itertools import islice

import orjson
from aiohttp import web

from sandbox.calls import write_calls
from sandbox.fuse import FakeFuse
from sandbox.plan import parse_plan
from schemas.errors import ConfigurationError

PREFIX = "/_sandbox/"
MAX_PAGE = 10_000


async def administer(fuse: FakeFuse, request: web.BaseRequest) -> web.Response:
    """Answer a request below PREFIX."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "summary":
            return _json(asdict(fuse.ledger.summary()))
        case "GET", "calls":
            return _calls(fuse, request)
        case "PUT", "plan":
            return await _follow(fuse, request)
        case "POST", "reset":
            fuse.reset()
            return web.Response(status=HTTPStatus.NO_CONTENT)
    return _fault(HTTPStatus.NOT_FOUND, ["there is GET summary, GET calls, PUT plan and POST reset here."])


def _calls(fuse: FakeFuse, request: web.BaseRequest) -> web.Response:
    try:
        first = int(request.query.get("from", "0"))
        count = int(request.query.get("limit", str(MAX_PAGE)))
    except ValueError:
        return _fault(HTTPStatus.BAD_REQUEST, ["from and limit have to be numbers."])
    if first < 0 or not 0 < count <= MAX_PAGE:
        return _fault(HTTPStatus.BAD_REQUEST, [f"from has to be 0 or more, limit 1 to {MAX_PAGE}."])
    page = islice(fuse.ledger.calls, first, first + count)
    return web.Response(body=write_calls(page), content_type="application/jsonl")


async def _follow(fuse: FakeFuse, request: web.BaseRequest) -> web.Response:
    try:
        fuse.follow(parse_plan(await request.read(), json=request.content_type == "application/json"))
    except ConfigurationError as error:
        return _fault(HTTPStatus.BAD_REQUEST, error.faults)
    return web.Response(status=HTTPStatus.NO_CONTENT)


def _json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


def _fault(status: int, faults: list[str] | tuple[str, ...]) -> web.Response:
    return _json({"faults": faults}, status)
