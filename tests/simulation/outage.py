"""Outages in the simulation: mirrors `consumer.holds` and `consumer.starts`, without probes: a hold ends by itself."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from consumer.engine.doors import door_of
from consumer.engine.lanes import Waiting
from schemas.event import Environment
from tests.simulation.facts import Violation
from tests.simulation.scheduler import Steps
from tests.simulation.tenure import Tenure

if TYPE_CHECKING:
    from tests.simulation.member import Member

_TICK = 0.3


def _doors(tenants: Collection[str]) -> Collection[bytes]:
    return frozenset(f"{tenant}/{Environment.SANDBOX.value}".encode() for tenant in tenants)


class Outage:
    """What a member may not call for now: its doors are held, and events wait without a slot."""

    def __init__(self, member: "Member") -> None:
        self._member = member
        self._waiting: list[tuple[Tenure, Waiting]] = []
        self._releasing = False
        self._ramp: Collection[bytes] = frozenset()

    def ramp(self, tenants: Collection[str]) -> None:
        """Give no permissions for these tenants for now, as when a ramp is at its rate: their doors are not held."""
        self._ramp = _doors(tenants)

    def begin(self, tenants: Collection[str], *, others_work: bool) -> None:
        """Hold the doors of these tenants, and of nobody else."""
        self._ramp = frozenset()
        self._member.doors.held = _doors(tenants)
        self._member.doors.others_work = others_work

    def end(self) -> None:
        """Let everything be called."""
        self.begin((), others_work=False)

    def holds(self, waiting: Waiting) -> bool:
        """Say whether an event's destination is down."""
        return door_of(waiting.event) in self._member.doors.held

    def stops(self, waiting: Waiting) -> bool:
        """Say whether there is no permission to call an event's destination."""
        return self.holds(waiting) or door_of(waiting.event) in self._ramp

    def wait(self, tenure: Tenure, waiting: Waiting) -> None:
        """Let an event wait for a permission."""
        self._member.world.seen("event waits for a destination that is down")
        self._waiting.append((tenure, waiting))
        if not self._releasing:
            self._releasing = True
            self._member.process.spawn(self._release())

    def _release(self) -> Steps[None]:
        """Let start what may start, and drop what is settled otherwise, for as long as there is anything."""
        while self._waiting:
            yield _TICK
            waiting, self._waiting = self._waiting, []
            for tenure, each in waiting:
                self._look_at(tenure, each)
        self._releasing = False

    def _look_at(self, tenure: Tenure, waiting: Waiting) -> None:
        if not self._member.is_wanted(tenure, waiting):
            return
        if not self.stops(waiting):
            self._member.request(tenure, waiting)
        elif waiting.parked and self.holds(waiting):
            raise Violation("promise 11, turns", f"{tenure.facts}: {waiting.offset} keeps its turn, and is held")
        else:
            self._waiting.append((tenure, waiting))
