"""The schedule: who starts next when there is room, fair between tenants."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Schedule(Generic[T]):
    """Give out what is ready, one of each tenant in turn, and within a tenant the oldest first.

    Every item costs one call, so that deficit round robin with a quantum of one call comes down to plain round robin.
    """

    def __init__(self) -> None:
        self._ready: dict[str, deque[T]] = {}
        self._turns: deque[str] = deque()

    def __len__(self) -> int:
        return sum(len(items) for items in self._ready.values())

    def add(self, tenant: str, item: T) -> None:
        """Append what is ready to its tenant's queue."""
        items = self._ready.get(tenant)
        if items is None:
            self._ready[tenant] = deque((item,))
            self._turns.append(tenant)
        else:
            items.append(item)

    def take(self) -> T | None:
        """Give the next item; None if nothing is ready."""
        if not self._turns:
            return None
        tenant = self._turns.popleft()
        items = self._ready[tenant]
        item = items.popleft()
        if items:
            self._turns.append(tenant)
        else:
            del self._ready[tenant]
        return item
