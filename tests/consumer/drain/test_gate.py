"""The gate of a draining member: nothing of the new layout gets through."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.layout import Layout, Standing
from broker.subscription import Assignment, CommitRequest
from consumer.drain.gate import Gate
from schemas.record import ReceivedRecord

LAYOUT = Layout(old=2, new=3)
KEYS = st.sampled_from([b"a/%d" % number for number in range(12)] + [None])


class Member:
    """Notes what it hears of."""

    def __init__(self) -> None:
        self.tenures: dict[int, int] = {}
        self.records: list[ReceivedRecord] = []
        self.gone: list[int] = []

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        """Note the tenures."""
        self.tenures |= {assignment.partition: assignment.tenure for assignment in assignments}

    def received(self, records: Sequence[ReceivedRecord]) -> None:
        """Note the records."""
        self.records += records

    async def released(self, partitions: Sequence[int]) -> Sequence[CommitRequest]:
        """Give what to commit."""
        return [CommitRequest(partition=number, tenure=1, offset=7, metadata="") for number in partitions]

    def lost(self, partitions: Sequence[int]) -> None:
        """Note what is gone."""
        self.gone += partitions


def assignment(partition: int, tenure: int = 1) -> Assignment:
    """Assign a partition."""
    return Assignment(partition=partition, tenure=tenure, start=0, metadata="")


def record(partition: int, offset: int, key: bytes | None) -> ReceivedRecord:
    """Lay a record into a partition."""
    return ReceivedRecord(partition=partition, offset=offset, timestamp=0.0, key=key, value=b"", headers=())


@given(keys=st.tuples(st.lists(KEYS), st.lists(KEYS)), sizes=st.lists(st.integers(1, 5)))
def test_each_partition_is_handled_up_to_its_first_record_that_was_moved_in(
    keys: tuple[list[bytes | None], list[bytes | None]], sizes: list[int]
) -> None:
    """However the records come in batches; each batch that reaches beyond has the reading paused."""
    member, paused = Member(), list[tuple[int, int]]()
    gate = Gate(member, LAYOUT)
    gate.pause = lambda partition, tenure: paused.append((partition, tenure))
    gate.assigned([assignment(0, 5), assignment(1, 6), assignment(2, 7)])
    records = [record(number, offset, key) for number in (0, 1) for offset, key in enumerate(keys[number])]
    boundaries = []
    for number in (0, 1):
        standings = [LAYOUT.standing(key, number) for key in keys[number]]
        boundaries.append(standings.index(Standing.MOVED_IN) if Standing.MOVED_IN in standings else len(standings))
    for size in [*sizes, len(records)]:
        batch, records = records[:size], records[size:]
        paused.clear()
        gate.received(batch)
        beyond = {each.partition for each in batch if each.offset >= boundaries[each.partition]}
        assert {*paused} == {(number, number + 5) for number in beyond}
    assert member.tenures == {0: 5, 1: 6}
    for number in (0, 1):
        passed = [each.offset for each in member.records if each.partition == number]
        assert passed == [*range(boundaries[number])]


def test_a_partition_that_comes_back_is_read_up_to_its_boundary_again() -> None:
    """Its next tenure begins at the frontier, which is never behind the boundary."""
    member = Member()
    gate = Gate(member, LAYOUT)
    moved = next(key for number in range(99) if LAYOUT.standing(key := b"%d" % number, 0) is Standing.MOVED_IN)
    gate.assigned([assignment(0)])
    gate.received([record(0, 0, None), record(0, 1, moved), record(0, 2, None)])
    gate.assigned([assignment(0, 2)])
    gate.received([record(0, 0, None), record(0, 1, moved)])
    assert [each.offset for each in member.records] == [0, 0]


def test_what_is_let_go_is_the_members_to_commit() -> None:
    """The gate knows nothing of frontiers."""
    member = Member()
    gate = Gate(member, LAYOUT)
    (request,) = asyncio.run(gate.released([1]))
    gate.lost([0])
    assert (request.partition, request.offset, member.gone) == (1, 7, [0])


def test_nothing_gets_through_of_a_partition_that_only_the_new_layout_has() -> None:
    """It is all new, whatever key it has; nor is there a tenure of it to pause."""
    member, paused = Member(), list[tuple[int, int]]()
    gate = Gate(member, LAYOUT)
    gate.pause = lambda partition, tenure: paused.append((partition, tenure))
    gate.assigned([assignment(2)])
    gate.received([record(2, 0, None), record(2, 1, b"a/1")])
    assert (member.records, paused) == ([], [])
