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

    def take_probe(self, door: bytes, now: int) -> bool:
        """Check the interval."""
        taken = super().take_probe(door, now)
        if taken:
            if now - self._tried[door] < self._milliseconds:
                raise Violation("door, probes", f"{door!r} is tried again too soon")
            self._world.seen("probe through a closed door")
            self._tried[door] = now
        return taken
