"""What is asked about: a lane, or all lanes of a tenant."""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.partitioner import partition_of
from schemas.record import encode_attribute

_NEAR = 10_000
_FAR = 100_000
"""Offsets that are looked through, the newest: at first, and where that shows nothing of a lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A tenant, and the lane's record key if it is about one."""

    tenant: str
    key: bytes | None

    def matches(self, key: bytes) -> bool:
        """Say whether a record of this key is asked about."""
        return key == self.key if self.key is not None else key.startswith(f"{self.tenant}/".encode())

    def partitions(self, count: int) -> range:
        """Name the partitions, out of so many, in which such records lie."""
        if self.key is None:
            return range(count)
        number = partition_of(self.key, count)
        return range(number, number + 1)

    def windows(self, existing: range, frontier: int, partitions: int) -> Iterator[range]:
        """Give the stretches of offsets to look through, the next where those before showed nothing.

        For a tenant only what is not settled is looked for, and all partitions share the bound.
        """
        if self.key is None:
            yield range(max(existing.start, frontier, existing.stop - max(_NEAR, _FAR // partitions)), existing.stop)
            return
        far = max(existing.start, existing.stop - _FAR)
        near = max(far, min(frontier, existing.stop - _NEAR))
        yield range(near, existing.stop)
        yield range(far, near)


def parse(name: str) -> Asked:
    """Read `TENANT` or `TENANT/CONNECTION`, the latter as logs and keys have it, or verbatim."""
    tenant, slash, _ = name.partition("/")
    return Asked(tenant=tenant, key=lane_key(name) if slash else None)


def lane_key(name: str) -> bytes:
    """Give the record key of a lane named `tenant/connection`; what stands percent-encoded already is left so."""
    return b"%".join(encode_attribute(part) for part in name.split("%"))
