"""The tenant's budget of webhooks: the generic cell rate algorithm, which needs one number per tenant."""

from dataclasses import dataclass
from math import ceil

from schemas.errors import OverLimit
from schemas.tenants import Tenant

_ROUNDING_SECONDS = 1e-6
"""Less than this is no wait, but what is left over when times since the start of the clock are subtracted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`limit` webhooks per second in the long run, and up to `burst` of them at once."""

    limit: float
    burst: int


def spend(rate: Rate, *, paid_until: float, now: float) -> float:
    """Take one webhook from the budget and give the new `paid_until`.

    Times are seconds of one clock. `paid_until` is when the budget would be full again if nothing more came (the
    theoretical arrival time of ITU-T I.371, annex A). Raises OverLimit with the seconds until there is room again;
    what is refused costs nothing.
    """
    interval = 1 / rate.limit
    start = max(paid_until, now)
    wait = start - now - (rate.burst - 1) * interval
    if wait > _ROUNDING_SECONDS:
        raise OverLimit(wait)
    return start + interval


class Budgets:
    """What each tenant has spent, in this process alone: several processes each grant the whole limit."""

    def __init__(self) -> None:
        self._paid_until: dict[str, float] = {}

    def spend(self, tenant: Tenant, now: float) -> None:
        """Take one webhook from the tenant's budget, if it has one; its burst is a second's worth unless it says so.

        Raises OverLimit.
        """
        if tenant.ingest_limit is None:
            return
        rate = Rate(limit=tenant.ingest_limit, burst=tenant.ingest_burst or ceil(tenant.ingest_limit))
        paid_until = self._paid_until.get(tenant.name, now)
        self._paid_until[tenant.name] = spend(rate, paid_until=paid_until, now=now)
