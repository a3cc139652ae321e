"""The ledger: every call that the fake Fuse received, and running counts of them."""

from collections import Counter
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from sandbox.calls import Call, Ending, event_name
from sandbox.inspection import Inspected


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts at a moment. The keys of `statuses`, `endings` and `refusals` are HTTP statuses, endings, error codes.

    `synced` counts events with at least one 200, `repeated` calls of an event after it, `overlapping` calls that came
    while another of their lane was open, and `unrecorded` calls beyond the ledger's capacity: where it is not 0, no
    verdict can be given.
    """

    received: int
    open: int
    synced: int
    repeated: int
    overlapping: int
    unrecorded: int
    statuses: dict[str, int]
    endings: dict[str, int]
    refusals: dict[str, int]
    synced_by_tenant: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a call ended: `status` if it was answered, `code` if with an error."""

    ending: Ending
    status: int | None = None
    code: str | None = None


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Calls by number, in the order in which they were read; `capacity` bounds how many are kept."""

    capacity: int
    calls: list[Call] = field(default_factory=list)
    _received: int = 0
    _repeated: int = 0
    _overlapping: int = 0
    _attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)
    _synced: set[tuple[str, str]] = field(default_factory=set)
    _statuses: Counter[str] = field(default_factory=Counter)
    _endings: Counter[str] = field(default_factory=Counter)
    _refusals: Counter[str] = field(default_factory=Counter)
    _synced_by_tenant: Counter[str] = field(default_factory=Counter)

    def begin(self, inspected: Inspected, arrived: float) -> Call:
        """Record that a call came."""
        event = inspected.tenant, event_name(inspected.key, inspected.connection, inspected.digest)
        self._attempts[event] += 1
        call = Call(
            number=self._received,
            arrived=arrived,
            tenant=inspected.tenant,
            environment=inspected.environment,
            connection=inspected.connection,
            body=inspected.digest,
            key=inspected.key,
            attempt=self._attempts[event],
        )
        self._received += 1
        self._repeated += event in self._synced
        self._overlapping += bool(call.tenant) and self._open[call.lane] > 0
        self._open[call.lane] += 1
        if len(self.calls) < self.capacity:
            self.calls.append(call)
        return call

    def end(self, call: Call, end: End, ended: float) -> None:
        """Record how a call ended."""
        if call.number < len(self.calls):
            self.calls[call.number] = replace(call, ended=ended, ending=end.ending, status=end.status, code=end.code)
        self._open[call.lane] -= 1
        if not self._open[call.lane]:
            del self._open[call.lane]
        self._endings[end.ending.value] += 1
        if end.status is not None:
            self._statuses[str(end.status)] += 1
        if end.code is not None:
            self._refusals[end.code] += 1
        if end.status == HTTPStatus.OK:
            self._count_synced(call)

    def summary(self) -> Summary:
        """Count, in time that does not depend on the number of calls."""
        return Summary(
            received=self._received,
            open=sum(self._open.values()),
            synced=len(self._synced),
            repeated=self._repeated,
            overlapping=self._overlapping,
            unrecorded=self._received - len(self.calls),
            statuses=dict(self._statuses),
            endings=dict(self._endings),
            refusals=dict(self._refusals),
            synced_by_tenant=dict(self._synced_by_tenant),
        )

    def _count_synced(self, call: Call) -> None:
        event = call.tenant, call.event
        if event not in self._synced:
            self._synced.add(event)
            self._synced_by_tenant[call.tenant] += 1
