"""Doors: whose events may be called. A door is a tenant's account in one environment.

A door is closed while the tenant's configuration is wrong: its events wait in the parked log, but for one in every
interval that tries whether it works by now. It is held while the destination behind it is down: nothing is parked for
that, and what is parked gets no turn.
"""

from collections.abc import Collection, Iterable, Sequence

from consumer.engine.lanes import Waiting
from schemas.event import Event
from schemas.parked import Why

_HELD_MILLISECONDS = 1_000
"""So long a held door's parked events are not looked at again."""


def door_of(event: Event) -> bytes:
    """Name the door that an event goes through."""
    return f"{event.tenant}/{event.environment}".encode()


class Doors:
    """Say which doors are shut. Shared by all partitions of a member; times and `interval` are in milliseconds."""

    def __init__(self, interval: int = 15_000) -> None:
        self._interval = interval
        self._probes: dict[bytes, int] = {}
        """For each closed door, when it is to be tried next."""
        self._changes: list[tuple[bytes, bool]] = []
        self.held: Collection[bytes] = frozenset()
        """The doors whose destination is down."""
        self.others_work = False
        """Whether there are destinations that are not down while some are."""

    @property
    def all_open(self) -> bool:
        """Whether there is no door that anybody has to wait at, so that nobody needs to be asked which is theirs."""
        return not self._probes and not self.held

    @property
    def closed(self) -> Collection[bytes]:
        """Name the doors that are closed."""
        return self._probes.keys()

    def is_closed(self, door: bytes) -> bool:
        """Say whether events at this door have to be parked."""
        return door in self._probes

    def is_shut(self, door: bytes) -> bool:
        """Say whether parked events at this door get no turn, but for a probe."""
        return door in self._probes or door in self.held

    def why_stopped(self, waiting: Waiting, *, full: bool) -> Why | None:
        """Say why an event that waits to be called has to wait in the parked log instead; `full` is the memory.

        What is parked already gives its turn back, however much room there is: others may need it.
        """
        if self.all_open:
            return None
        door = door_of(waiting.event)
        if door in self._probes and not waiting.probe:
            return Why.MISCONFIGURED
        has_to_go = door in self.held if waiting.parked else full and self.is_in_the_way(door)
        return Why.DESTINATION_FULL if has_to_go else None

    def is_in_the_way(self, door: bytes) -> bool:
        """Say whether events at this door may not fill the memory, since others could be called."""
        return self.others_work and door in self.held

    def close(self, door: bytes, now: int) -> bool:
        """Close a door, since a call has shown that nothing can work; say whether it was open."""
        was_open = door not in self._probes
        self._probes[door] = now + self._interval
        if was_open:
            self._changes.append((door, True))
        return was_open

    def take_probe(self, door: bytes, now: int) -> bool:
        """Let one event through a closed door, if the time has come; the next has to wait for an interval again."""
        # What is further off than an interval was set by a clock that has leapt back since.
        if door in self.held or now < self._probes.get(door, now + 1) <= now + self._interval:
            return False
        self._probes[door] = now + self._interval
        return True

    def next_look(self, door: bytes, now: int) -> int:
        """Say when a door that is shut is worth looking at again."""
        if door in self.held:
            return now + _HELD_MILLISECONDS
        return min(self._probes.get(door, now), now + self._interval)

    def open(self, door: bytes) -> bool:
        """Open a door, since a call worked; say whether it was closed."""
        was_closed = self._probes.pop(door, None) is not None
        if was_closed:
            self._changes.append((door, False))
        return was_closed

    def take_changes(self) -> Sequence[tuple[bytes, bool]]:
        """Give the doors that were closed (True) or opened since this was last asked, in order."""
        changes, self._changes = self._changes, []
        return changes

    def open_all(self, tenants: Iterable[str]) -> Collection[bytes]:
        """Open the doors of tenants whose configuration has changed; give those that were closed."""
        prefixes = tuple(f"{tenant}/".encode() for tenant in tenants)
        return [door for door in [*self._probes] if door.startswith(prefixes) and self.open(door)]
