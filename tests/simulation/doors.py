"""A member's doors in the simulation, watched: a closed one is tried once in an interval."""

from consumer.engine.doors import Doors
from tests.simulation.facts import Violation
from tests.simulation.world import World


class AuditedDoors(Doors):
    """Check the probes of each door, from its closing to its opening (promise 11)."""

    def __init__(self, world: World) -> None:
        self._milliseconds = int(world.setup.door_interval * 1000)
        super().__init__(self._milliseconds)
        self._world = world
        self._tried: dict[bytes, int] = {}

    def close(self, door: bytes, now: int) -> bool:
        """Note when nothing may pass."""
        self._tried[door] = now
        return super().close(door, now)

    def clock_leapt(self) -> None:
        """Forget what was noted by the clock as it was."""
        self._tried.clear()

    def take_probe(self, door: bytes, now: int) -> bool:
        """Check the interval."""
        taken = super().take_probe(door, now)
        if taken:
            # An engine hears of a leap at its next tick: until then its time may lie behind or before the others'.
            if 0 <= now - self._tried.get(door, -self._milliseconds) < self._milliseconds:
                raise Violation("door, probes", f"{door!r} is tried again too soon")
            self._world.seen("probe through a closed door")
            self._tried[door] = now
        return taken
