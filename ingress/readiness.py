"""Whether this process can publish, asked of the brokers at most once a second however many probes ask us."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from ingress.gate import Gate

_FRESH_SECONDS = 1.0
_BROKER_SECONDS = 2.0


class Brokers(Protocol):
    """Who knows about the brokers; `Publisher` is one."""

    async def faults(self, topic: str, within: float) -> Sequence[str]:
        """List what stands in the way of publishing to `topic`."""


class Readiness:
    """Tell what keeps this process from publishing; probes that come together share one look at the brokers."""

    def __init__(self, brokers: Brokers, topic: str, gate: Gate, clock: Callable[[], float]) -> None:
        self._brokers = brokers
        self._topic = topic
        self._gate = gate
        self._clock = clock
        self._looked_at: float | None = None
        self._faults: Sequence[str] = ()
        self._looking = asyncio.Lock()

    async def reasons(self) -> Sequence[str]:
        """List the reasons against sending webhooks here; none if it is ready."""
        if self._gate.closed:
            return ("this process is stopping",)
        async with self._looking:
            if self._looked_at is None or self._clock() - self._looked_at >= _FRESH_SECONDS:
                self._faults = await self._brokers.faults(self._topic, _BROKER_SECONDS)
                self._looked_at = self._clock()
        return self._faults
