"""The fake Fuse: checks sync calls, fails them by plan, and records what it received.

It has to be faster than whoever calls it, so it is a handler for aiohttp's low-level server, without routing.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web

from sandbox.answers import Refusal, failure, refusal_for_status, success
from sandbox.calls import Call, Ending
from sandbox.inspection import Inspected, KnownAccounts, Request, inspect
from sandbox.ledger import End, Ledger
from sandbox.plan import Answer, Attempt, Decision, Hang, Plan, Reset, decide, retry_after

CAPACITY = 2_000_000
"""Calls kept by default, so that a load test of days ends with an honest "not all recorded" and not without memory."""

_LINGER_NOT = struct.pack("ii", 1, 0)
_AT_ONCE = Decision(delay=0.0)


@dataclass(slots=True, kw_only=True)
class FakeFuse:
    """The state of a fake Fuse, and what it does with one call. `clock` gives monotonic seconds."""

    accounts: KnownAccounts
    plan: Plan = field(default_factory=Plan)
    capacity: int = CAPACITY
    clock: Callable[[], float] = time.monotonic
    ledger: Ledger = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all calls and let the plan begin anew."""
        self.ledger = Ledger(capacity=self.capacity)
        self.follow(self.plan)

    def follow(self, plan: Plan) -> None:
        """Replace the plan; its windows of time begin now."""
        self.plan = plan
        self._since = self.clock()

    async def sync(self, request: web.BaseRequest) -> web.Response:
        """Handle one call. One whose client vanishes before its body is complete leaves no trace."""
        arrived = self.clock()
        inspected = inspect(await _receive(request), self.accounts)
        ledger = self.ledger  # a reset puts another in place, and this call ends in the one that it began in
        call = ledger.begin(inspected, arrived)
        decision = self._decide(call, inspected)
        end = End(ending=Ending.HUNG if isinstance(decision.action, Hang) else Ending.GONE)
        try:
            await _wait(decision)
            end, response = _respond(request, call, inspected.refusal, decision)
        finally:
            ledger.end(call, end, self.clock())
        return response

    def _decide(self, call: Call, inspected: Inspected) -> Decision:
        if inspected.refusal is not None:
            return _AT_ONCE
        attempt = Attempt(
            tenant=call.tenant,
            connection=call.connection,
            event=call.event,
            number=call.attempt,
            elapsed=call.arrived - self._since,
        )
        return decide(self.plan, attempt)


async def _receive(request: web.BaseRequest) -> Request:
    return Request(method=request.method, path=request.path, headers=request.headers, body=await request.read())


async def _wait(decision: Decision) -> None:
    if isinstance(decision.action, Hang):
        # The server cancels the handler when the client closes the connection.
        await asyncio.Event().wait()
    if decision.delay > 0:
        await asyncio.sleep(decision.delay)


def _respond(
    request: web.BaseRequest, call: Call, refusal: Refusal | None, decision: Decision
) -> tuple[End, web.Response]:
    request_id = f"sandbox-{call.number}"
    match decision.action:
        case Reset():
            _break(request)
            return End(ending=Ending.RESET), web.Response()
        case Answer() as answer:
            asked = refusal_for_status(answer.status, type_=answer.type, code=answer.code, source=answer.source)
            return _refuse(asked, request_id, retry_after(answer, datetime.now(UTC)))
    if refusal is not None:
        return _refuse(refusal, request_id, None)
    response = web.Response(body=success(request_id), content_type="application/json")
    return End(ending=Ending.ANSWERED, status=HTTPStatus.OK), response


def _refuse(refusal: Refusal, request_id: str, wait: str | None) -> tuple[End, web.Response]:
    headers = {} if wait is None else {"Retry-After": wait}
    body = failure(refusal, request_id)
    response = web.Response(status=refusal.status, body=body, content_type="application/json", headers=headers)
    return End(ending=Ending.ANSWERED, status=refusal.status, code=refusal.code), response


def _break(request: web.BaseRequest) -> None:
    if request.transport is None:
        return
    # Without lingering the kernel sends a reset, not an orderly end of the stream.
    connection = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    request.transport.abort()
