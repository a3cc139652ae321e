"""The group coordinator: members, generations, cooperative rebalances in short form, and who may commit.

A commit is judged when it lands, as Kafka does: by member and generation, not by who owns the partition.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from random import Random

from tests.simulation.scheduler import Scheduler


class Phase(Enum):
    """How far a rebalance is."""

    STABLE = auto()
    JOINING = auto()
    COMPLETING = auto()


class Beat(Enum):
    """The answer to a heartbeat."""

    FINE = auto()
    REJOIN = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """What a rebalance gave to a member."""

    generation: int
    partitions: tuple[int, ...]


Answer = Callable[[Assigned], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Membership:
    """A member as the coordinator knows it; `holding` are the partitions that nobody else may get."""

    heard: float
    joined: bool = False
    holding: tuple[int, ...] = ()
    owned: tuple[int, ...] = ()
    answer: Answer | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Coordinator:
    """Keep one group. `evicted` is told of members that have not been heard of for a session timeout."""

    scheduler: Scheduler
    rng: Random
    partitions: int
    session: float
    evicted: Callable[[str], None]
    generation: int = 0
    phase: Phase = Phase.STABLE
    members: dict[str, Membership] = field(default_factory=dict)
    committed: dict[int, tuple[int, str]] = field(default_factory=dict)
    ids: int = 0

    def join(self, member: str, owned: Iterable[int], answer: Answer) -> str:
        """Take a member in, or again; give its id, empty for one that is not known any more."""
        if member and member not in self.members:
            return ""
        if not member:
            self.ids += 1
            member = f"id-{self.ids}"
            self.members[member] = Membership(heard=self.scheduler.now)
            self._expire_later(member, self.session)
        known = self.members[member]
        known.heard, known.joined, known.answer = self.scheduler.now, True, answer
        known.owned = known.holding = tuple(owned)
        self._rebalance(keep=member)
        return member

    def heartbeat(self, member: str) -> Beat:
        """Note that a member lives, and tell it what it has to do."""
        known = self.members.get(member)
        if known is None:
            return Beat.UNKNOWN
        known.heard = self.scheduler.now
        return Beat.REJOIN if self.phase is not Phase.STABLE and not known.joined else Beat.FINE

    def may_commit(self, member: str, generation: int) -> bool:
        """Judge a commit at its landing; one that is taken restarts the session."""
        known = self.members.get(member)
        if known is None or generation != self.generation or self.phase is Phase.COMPLETING:
            return False
        known.heard = self.scheduler.now
        return True

    def leave(self, member: str) -> bool:
        """Let a member go."""
        if self.members.pop(member, None) is not None:
            self._rebalance(keep="")
        return True

    def owner(self, partition: int) -> str | None:
        """Say which member holds a partition; None between two."""
        return next((name for name, known in self.members.items() if partition in known.holding), None)

    def reset(self, partition: int, offset: int | None) -> None:
        """Set the group back as an operator does: without metadata; None forgets the offset altogether."""
        if offset is None:
            self.committed.pop(partition, None)
        else:
            self.committed[partition] = (offset, "")

    def _expire_later(self, member: str, seconds: float) -> None:
        self.scheduler.later(seconds, partial(self._expire, member))

    def _expire(self, member: str) -> None:
        known = self.members.get(member)
        if known is None:
            return
        left = known.heard + self.session - self.scheduler.now
        if left > 1e-9:
            self._expire_later(member, left)
            return
        self.evicted(member)
        self.leave(member)

    def _rebalance(self, keep: str) -> None:
        """Ask everybody to join; `keep` just did."""
        if self.phase is not Phase.JOINING:
            self.phase = Phase.JOINING
            for name, known in self.members.items():
                known.joined = known.joined and name == keep
        if all(known.joined for known in self.members.values()):
            self._complete()

    def _complete(self) -> None:
        self.generation += 1
        self.phase = Phase.COMPLETING
        assignment = self._assignment()
        seconds = self.rng.uniform(0.005, 0.2)
        self.scheduler.later(seconds, partial(self._stabilise, self.generation, assignment))

    def _stabilise(self, generation: int, assignment: dict[str, tuple[int, ...]]) -> None:
        if generation != self.generation or self.phase is not Phase.COMPLETING:
            return
        self.phase = Phase.STABLE
        for name, known in self.members.items():
            partitions = assignment[name]
            known.joined = False
            known.holding = (*known.owned, *(new for new in partitions if new not in known.owned))
            if known.answer is not None:
                known.answer(Assigned(generation=generation, partitions=partitions))

    def _assignment(self) -> dict[str, tuple[int, ...]]:
        """Balance with as few moves as possible, and give nobody what another one has not given back yet."""
        owners = {number: name for name, known in self.members.items() for number in known.owned}
        target = _balanced(list(self.members), owners, self.partitions)
        return {
            name: tuple(number for number in numbers if owners.get(number, name) == name)
            for name, numbers in target.items()
        }


def _balanced(members: Sequence[str], owners: dict[int, str], partitions: int) -> dict[str, list[int]]:
    target: dict[str, list[int]] = {name: [] for name in members}
    for number in range(partitions):
        if number in owners:
            target[owners[number]].append(number)
    for number in range(partitions):
        if number not in owners and members:
            min(target.values(), key=len).append(number)
    while members:
        fullest, emptiest = max(target.values(), key=len), min(target.values(), key=len)
        if len(fullest) - len(emptiest) <= 1:
            break
        emptiest.append(fullest.pop())
    return target
