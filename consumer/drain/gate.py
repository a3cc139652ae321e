"""The gate: stands between the subscription and a member, and lets through only what the old layout has."""

from collections.abc import Callable, Sequence

from broker.layout import Layout, Standing
from broker.subscription import Assignment, CommitRequest, Member
from schemas.record import ReceivedRecord


class Gate:
    """A member while its group drains.

    It never hears of partitions that the old layout has not, and of no record at or behind the first one that was
    moved into a partition: so neither does the frontier pass that.
    """

    def __init__(self, member: Member, layout: Layout) -> None:
        self._member = member
        self._layout = layout
        self._tenures: dict[int, int] = {}
        self._shut: set[int] = set()
        self.pause: Callable[[int, int], None] = lambda _, __: None

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Pass on what the old layout has; all else stays paused as it came."""
        old = [assignment for assignment in assignments if assignment.partition < self._layout.old]
        self._tenures |= {assignment.partition: assignment.tenure for assignment in old}
        self._shut -= {assignment.partition for assignment in old}
        self._member.assigned(old)

    def received(self, records: Sequence[ReceivedRecord]) -> None:
        """Pass on what comes before the boundaries; beyond its boundary a partition is read no further."""
        passed = [record for record in records if self._passes(record)]
        for partition in {record.partition for record in records} & self._shut:
            # Each time: an engine that had paused for its own bounds has the reading resumed.
            self.pause(partition, self._tenures[partition])
        self._member.received(passed)

    async def released(self, partitions: Sequence[int]) -> Sequence[CommitRequest]:
        """Let partitions go; the member knows which of them it has."""
        return await self._member.released(partitions)

    def lost(self, partitions: Sequence[int]) -> None:
        """Forget partitions; the member knows which of them it had."""
        self._member.lost(partitions)

    def _passes(self, record: ReceivedRecord) -> bool:
        if record.partition >= self._layout.old or record.partition in self._shut:
            return False
        if self._layout.standing(record.key, record.partition) is Standing.MOVED_IN:
            self._shut.add(record.partition)
            return False
        return True
