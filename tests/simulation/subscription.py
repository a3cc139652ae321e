"""The subscription in the simulation: mirrors `broker.subscription`, with what librdkafka does behind it.

One "thread" owns the consumer: it makes commits one after another and waits for each answer, serves rebalances, and
hands batches over to the member. What it tells the member arrives a little later, in order, as between threads.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulation.coordinator import Assigned, Beat
from tests.simulation.facts import Facts
from tests.simulation.scheduler import Act, Future, Steps
from tests.simulation.world import BATCHES_AHEAD, Commit

if TYPE_CHECKING:
    from tests.simulation.member import Member

_BEATS_PER_SESSION = 5
_JOIN_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A partition given to this member: where to start, what was committed with it, and the facts of the tenure."""

    facts: Facts
    start: int
    metadata: str


class Subscription:
    """Read the source as a member of the group."""

    def __init__(self, member: "Member") -> None:
        self._member = member
        self._world = member.world
        self._process = member.process
        self._commands: deque[Steps[None]] = deque()
        self._rebalances: deque[Steps[None]] = deque()
        self._work: Future[None] = Future()
        self._tenures: dict[int, int] = {}
        self._facts: dict[int, Facts] = {}
        self._begun = 0
        self._positions: dict[int, int] = {}
        self._reading: dict[int, None] = {}
        self._ahead = 0
        self._told_until = 0.0
        self._stopping = False
        self._stopped: Future[None] = Future()
        self._id = ""
        self._generation = 0
        self._news: Future[Assigned | None] = Future()
        self._disturbed = False
        self._joins = 0
        self._world.wakers.append(partial(self._soon, self._wake))
        self._process.spawn(self._own_consumer())
        self._process.spawn(self._stay_member())
        self._process.spawn(self._beat())

    def commit(self, requests: Sequence[Commit]) -> Future[frozenset[int] | None]:
        """Commit; the future gives the tenures whose commit was taken, None if it was refused or not answered."""
        answered: Future[frozenset[int] | None] = Future()
        self._command(self._commit(requests, answered))
        return answered

    def pause(self, facts: Facts) -> None:
        """Stop reading a partition."""
        self._command(self._if_held(facts, lambda: self._reading.pop(facts.partition, None)))

    def resume(self, facts: Facts) -> None:
        """Read a partition, from the start or from where it was paused."""
        self._command(self._if_held(facts, lambda: self._reading.setdefault(facts.partition)))

    def stop(self) -> Future[None]:
        """Leave the group after letting everything go."""
        self._stopping = True
        self._wake()
        return self._stopped

    def holds(self, facts: Facts) -> bool:
        """Say whether a command is of a present tenure; the others are dropped."""
        return self._tenures.get(facts.partition) == facts.number

    # The thread.

    def _command(self, command: Steps[None]) -> None:
        self._commands.append(command)
        self._wake()

    def _wake(self) -> None:
        self._work.resolve(None)

    def _soon(self, act: Act) -> None:
        self._process.later(self._world.rng.uniform(0.001, 0.02), act)

    def _tell(self, act: Act) -> None:
        """Run something in the event loop: in order, and now and then late because the loop is busy."""
        delay = self._world.rng.uniform(0.5, 2.0) if self._world.network.chance(0.02) else 0.0
        self._told_until = max(self._told_until, self._world.now + delay)
        self._process.at(self._told_until, act)

    def _own_consumer(self) -> Steps[None]:
        while not self._stopping:
            self._work = Future()
            yield from self._run_commands()
            if self._rebalances:
                yield from self._rebalances.popleft()
            elif not self._hand_over():
                yield self._work
            yield self._world.rng.uniform(0.0, 0.01)
        yield from self._run_commands()
        yield from self._revoke(list(self._tenures))
        yield self._world.network.request(self._process, partial(self._world.group.leave, self._id))
        self._stopped.resolve(None)

    def _run_commands(self) -> Steps[None]:
        while self._commands:
            yield from self._commands.popleft()

    def _hand_over(self) -> bool:
        """Read a batch of one partition and pass it on; False if there is nothing, or too much is on its way."""
        if self._ahead >= BATCHES_AHEAD or self._process.cut_until > self._world.now:
            return False
        for number in list(self._reading):
            position = self._positions[number]
            source = self._world.audit.journals[number].source
            batch = source[position : position + self._world.rng.randint(1, self._world.setup.batch)]
            if batch:
                self._positions[number] = position + len(batch)
                self._reading[number] = self._reading.pop(number)
                self._ahead += 1
                self._tell(partial(self._deliver, number, batch))
                return True
        return False

    def _deliver(self, number: int, batch: Sequence[Any]) -> None:
        self._ahead -= 1
        self._wake()
        self._member.received(number, batch)

    def _commit(self, requests: Sequence[Commit], answered: Future[frozenset[int] | None]) -> Steps[None]:
        held = [request for request in requests if self.holds(request.tenure)]
        if len(held) < len(requests):
            self._world.seen("commit of a past tenure dropped")
        taken = (yield from self._commit_now(held)) if held else True
        numbers = frozenset(request.tenure.number for request in held)
        self._tell(partial(answered.resolve, numbers if taken else None))

    def _commit_now(self, requests: Sequence[Commit]) -> Steps[bool]:
        sender = (self._id, self._generation)
        answer: Any = yield self._world.network.request(
            self._process, partial(self._world.commit, self._process, sender, list(requests))
        )
        if answer is None:
            self._world.seen("commit not answered")
        return bool(answer)

    def _if_held(self, facts: Facts, act: Act) -> Steps[None]:
        if self.holds(facts):
            act()
        yield 0.0

    # Rebalances, served by the thread.

    def _assign(self, membership: str, numbers: Sequence[int]) -> Steps[None]:
        places: Any = None
        while places is None:
            if membership != self._id:
                return
            places = yield self._world.network.request(self._process, lambda: dict(self._world.group.committed))
        assignments = [self._begin_tenure(number, places.get(number, (0, ""))) for number in numbers]
        self._tell(partial(self._member.assigned, assignments))

    def _begin_tenure(self, number: int, place: tuple[int, str]) -> Assignment:
        self._begun += 1
        facts = Facts(
            member=self._process.name, membership=self._id, partition=number, number=self._begun, start=place[0]
        )
        self._world.tenures.append(facts)
        self._tenures[number] = facts.number
        self._positions[number] = place[0]
        self._world.note(self._process.name, lambda: f"{facts} begins, as {self._id}, at {place}")
        return Assignment(facts=facts, start=place[0], metadata=place[1])

    def _revoke(self, numbers: Sequence[int]) -> Steps[None]:
        """Let the member let go; the partitions that stay still have to be committed meanwhile."""
        released: Future[list[Commit]] = Future()
        self._tell(lambda: self._process.spawn(self._member.released(numbers)).finished.then(released.resolve))
        released.then(lambda _: self._wake())
        while not released.done:
            self._work = Future()
            yield from self._run_commands()
            if not released.done:
                yield self._work
        if released.value:
            yield from self._commit_now(released.value)
        self._forget(numbers)

    def _lose(self) -> Steps[None]:
        numbers = list(self._tenures)
        self._forget(numbers)
        self._tell(partial(self._member.lost, numbers))
        yield 0.0

    def _forget(self, numbers: Sequence[int]) -> None:
        self._world.note(self._process.name, lambda: f"forgets {numbers}")
        for number in numbers:
            self._tenures.pop(number, None)
            self._reading.pop(number, None)

    def _serve(self, rebalance: Steps[None]) -> Steps[None]:
        """Let the thread serve a rebalance, and wait for its end."""
        served: Future[None] = Future()
        self._rebalances.append(_then(rebalance, served))
        self._wake()
        yield served

    # librdkafka's own thread: joining, heartbeats.

    def _stay_member(self) -> Steps[None]:
        while not self._stopping:
            assigned = yield from self._join()
            if assigned is None:
                continue
            owned = list(self._tenures)
            revoked = [number for number in owned if number not in assigned.partitions]
            if revoked:
                self._world.seen("partition moves to another member")
                yield from self._serve(self._revoke(revoked))
            added = [number for number in assigned.partitions if number not in owned]
            if added:
                yield from self._serve(self._assign(self._id, added))
            if not revoked:
                yield from self._until_disturbed()

    def _join(self) -> Steps[Assigned | None]:
        """Join, or join again; None to try again, after losing everything if the group does not know us any more."""
        if not self._id and self._tenures:
            yield from self._serve(self._lose())
        self._news, self._disturbed = Future(), False
        self._joins += 1
        joined: Any = yield self._world.network.request(self._process, self._joining())
        if joined is None:
            yield _JOIN_AGAIN_SECONDS
            return None
        if not joined:
            yield from self._unknown()
            return None
        self._id = joined
        news: Assigned | None = yield self._news
        return news

    def _joining(self) -> Callable[[], str | None]:
        """Make the request; one that a later one has overtaken does nothing, as on one connection."""
        number, news, member, owned = self._joins, self._news, self._id, tuple(self._tenures)

        def answer(given: Assigned) -> None:
            self._world.network.send(self._process, partial(self._assigned, news, given))

        return lambda: self._world.group.join(member, owned, answer) if number == self._joins else None

    def _assigned(self, news: Future[Assigned | None], given: Assigned) -> None:
        if self._news is news:
            self._generation = given.generation
            news.resolve(given)

    def _until_disturbed(self) -> Steps[None]:
        while not self._disturbed:
            self._news = Future()
            yield self._news

    def _unknown(self) -> Steps[None]:
        self._id = ""
        yield from self._serve(self._lose())

    def _beat(self) -> Steps[None]:
        """Send heartbeats; the session ends here too when no answer has come for as long as it lasts."""
        heard = self._world.now
        while True:
            yield self._world.setup.session / _BEATS_PER_SESSION
            if not self._id:
                heard = self._world.now
                continue
            sender = self._id
            beat: Any = yield self._world.network.request(self._process, partial(self._world.group.heartbeat, self._id))
            heard = self._world.now if beat is not None else heard
            silent = self._world.now - heard > self._world.setup.session
            if sender == self._id and (beat is Beat.UNKNOWN or silent):
                yield from self._unknown()
                self._disturb()
            elif beat is Beat.REJOIN:
                self._disturb()

    def _disturb(self) -> None:
        self._disturbed = True
        self._news.resolve(None)


def _then(steps: Steps[None], served: Future[None]) -> Steps[None]:
    yield from steps
    served.resolve(None)
