"""The routes: which path leads where, and the edge at which every error becomes an answer."""

from collections.abc import Container
from typing import Final

import structlog
from aiohttp import hdrs, web

from ingress.accepted import Accepted
from ingress.answers import health, no_such_path, not_stored, refused, wrong_method
from ingress.gate import Gate
from ingress.readiness import Readiness
from ingress.receive import Receiver
from schemas.errors import Rejected, Retryable
from schemas.telemetry import LogEvent

_WEBHOOKS: Final = "/webhooks/"
_ALIVE: Final = "/healthz"
_READY: Final = "/readyz"
_PROBE_METHODS: Final = (hdrs.METH_GET, hdrs.METH_HEAD)


class Routes:
    """Answer any request; no input makes it raise."""

    def __init__(
        self, receiver: Receiver, readiness: Readiness, gate: Gate, *, tenants: Container[str], retry_after: float
    ) -> None:
        self._receiver = receiver
        self._readiness = readiness
        self._gate = gate
        self._tenants = tenants
        self._retry_after = retry_after
        self._log = structlog.get_logger()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse | Accepted:
        """Answer one request, once it has been handled."""
        path = request.path
        try:
            if (tenant := _tenant_in(path)) and request.method == hdrs.METH_POST:
                with self._gate:
                    return await self._receiver.receive(request, tenant)
            return await self._answer(request, path, is_webhook=bool(tenant))
        except Rejected as error:
            return self._refused(request, error)
        except Retryable as error:
            self._log.warning(LogEvent.WEBHOOK_DELAYED, error=str(error), **self._about(request, error))
        except Exception as error:  # noqa: BLE001 - the request's edge: whatever went wrong here, the sender is to try again
            self._log.exception(LogEvent.REQUEST_FAILED, **self._about(request, error))
        return self._not_stored()

    async def _answer(self, request: web.BaseRequest, path: str, *, is_webhook: bool) -> web.Response:
        """Answer what brings no webhook."""
        if is_webhook:
            return wrong_method([hdrs.METH_POST])
        if path not in {_ALIVE, _READY}:
            return no_such_path()
        if request.method not in _PROBE_METHODS:
            return wrong_method(_PROBE_METHODS)
        return health(await self._readiness.reasons() if path == _READY else ())

    def _refused(self, request: web.BaseRequest, error: Rejected) -> web.Response:
        answer = refused(error)
        self._log.info(LogEvent.WEBHOOK_REFUSED, status=answer.status, **self._about(request, error))
        return answer

    def _not_stored(self) -> web.Response:
        answer = not_stored(self._retry_after)
        if self._gate.closed:
            answer.force_close()  # so that the next attempt goes to a process that stays
        return answer

    def _about(self, request: web.BaseRequest, error: Exception) -> dict[str, object]:
        """Say what a log line may tell: never the body, and no name that a stranger made up."""
        tenant = _tenant_in(request.path)
        return {
            "reason": type(error).__name__,
            "tenant": tenant if tenant in self._tenants else "unknown",
            "size": request.content.total_bytes,
        }


def _tenant_in(path: str) -> str:
    """Get the tenant's name out of the path of a webhook; empty if it is another path."""
    tenant = path[len(_WEBHOOKS) :] if path.startswith(_WEBHOOKS) else ""
    return "" if "/" in tenant else tenant
