"""The world of one run: time, chance, the network, Kafka, the audit and the trace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from consumer.engine.committed import Committed, begun_at
from tests.simulation.audit import Audit
from tests.simulation.coordinator import Coordinator
from tests.simulation.facts import Facts
from tests.simulation.handling import Handling
from tests.simulation.network import Network
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.setup import Setup

BATCHES_AHEAD = 2
"""So many batches of records may be on their way from the subscription to the member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit of one partition, of which tenure it is, and what it says."""

    tenure: Facts
    offset: int
    metadata: str
    committed: Committed
    claims: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class World:
    """All that members share. `trace` takes a line for each thing that happens; None to go faster.

    `done` says whether there was nothing left to do at the latest commit; `misconfigured` are tenants for whom no call
    works. `claimed` is told of each claim that is taken.
    """

    setup: Setup
    rng: Random
    trace: Callable[[str], None] | None
    scheduler: Scheduler = field(default_factory=Scheduler)
    network: Network = field(init=False)
    audit: Audit = field(init=False)
    group: Coordinator = field(init=False)
    wakers: list[Callable[[], None]] = field(default_factory=list)
    tenures: list[Facts] = field(default_factory=list)
    done: bool = False
    misconfigured: set[str] = field(default_factory=set)
    claimed: Callable[[Facts], None] = field(init=False)
    handling: list[Handling] = field(init=False)

    def __post_init__(self) -> None:
        self.network = Network(rng=self.rng)
        self.audit = Audit(self.setup.partitions)
        on_the_way = self.setup.batch * (BATCHES_AHEAD + 1)
        self.handling = [
            Handling(journal, self.audit.seen, on_the_way, self.setup.turns) for journal in self.audit.journals
        ]
        self.group = Coordinator(
            scheduler=self.scheduler,
            rng=self.rng,
            partitions=self.setup.partitions,
            session=self.setup.session,
            evicted=self._evicted,
            # As `run --from` commits it, for one half; the others never committed.
            committed={number: (0, begun_at(0)) for number in range(0, self.setup.partitions, 2)},
        )

    @property
    def now(self) -> float:
        """Give the virtual time in seconds."""
        return self.scheduler.now

    def note(self, who: str, text: Callable[[], str]) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace(f"{self.now:9.3f}  {who:<10} {text()}")

    def seen(self, what: str) -> None:
        """Count something interesting."""
        self.audit.seen[what] += 1

    def over(self, *, member: str | None = None, membership: str | None = None) -> None:
        """Note that a process, or a member of the group, owns nothing any more."""
        for facts in self.tenures:
            if facts.member == member or facts.membership == membership:
                facts.end(self.now)

    def commit(self, process: Process, sender: tuple[str, int], commits: list[Commit]) -> bool:
        """Let a commit land; it is taken as a whole or refused as a whole."""
        taken = self.group.may_commit(*sender)
        verb = "takes" if taken else "REFUSES"
        self.note("kafka", lambda: f"{verb} {_text(commits)} from {process.name} as {sender}")
        if not taken:
            self.seen("claim refused" if commits[0].claims else "commit refused")
            return False
        if not process.alive:
            self.seen("commit of a dead member is taken")
        for commit in commits:
            self._taken(commit)
        self.done = self._all_done()
        return True

    def _taken(self, commit: Commit) -> None:
        number = commit.tenure.partition
        if commit.claims:
            self.audit.claim_landed(commit.tenure, commit.committed.epoch, self.now)
            self.claimed(commit.tenure)
        self.audit.commit_landed(commit.tenure, commit.offset, commit.metadata)
        self.audit.start_carried_on(commit.tenure, self.group.committed.get(number), (commit.offset, commit.metadata))
        if commit.offset < self.group.committed.get(number, (0, ""))[0]:
            self.seen("older commit lands after a newer one")
        self.group.committed[number] = (commit.offset, commit.metadata)

    def trim(self, process: Process, partition: int, below: int) -> bool:
        """Let a deletion in the parked log land."""
        self.note("kafka", lambda: f"deletes parked[{partition}] below {below} for {process.name}")
        self.audit.deletion_landed(partition, below)
        return True

    def _evicted(self, membership: str) -> None:
        self.note("kafka", lambda: f"evicts {membership}")
        self.over(membership=membership)

    def wake_readers(self) -> None:
        """Tell every member, a little later, that there is something new in the source."""
        for waker in self.wakers:
            waker()

    def _all_done(self) -> bool:
        """Say whether every partition is committed to its end, with nothing missing and nothing parked."""
        return all(
            self.group.committed.get(number, (0, ""))[0] == len(journal.source) and journal.quiet
            for number, journal in enumerate(self.audit.journals)
        )

    def check_end(self) -> None:
        """Check what has to be true when all is quiet."""
        for number in range(self.setup.partitions):
            self.audit.finished(number, self.group.committed.get(number, (0, ""))[0])


def _text(commits: list[Commit]) -> str:
    return ", ".join(
        f"{'claim ' if commit.claims else ''}p{commit.tenure.partition}={commit.offset} {commit.metadata}"
        for commit in commits
    )
