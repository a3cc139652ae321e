"""What goes wrong in a run: members crash, freeze, are cut off, come and go; clocks leap; operators reset offsets."""

from collections.abc import Collection
from functools import partial

from consumer.engine.commands import WriteDead, WriteOutcome, WritePark, WriteSettle
from tests.simulation import stranger
from tests.simulation.member import Member
from tests.simulation.scheduler import Process, Steps
from tests.simulation.setup import EPOCH, TENANTS, draw_record
from tests.simulation.world import World

_MOST_MEMBERS = 4
_OTHERS_WORK = 0.8
"""How often there are destinations that are not down, while some are."""
_LEAPS = ((0, 0), (0, 0), (0, 0), (50, 3_000), (3_000, 60_000), (3_600_000, 86_400_000), (10**11, 2 * 10**12))
"""From right, by way of seconds and hours, to years: how wrong a clock may be, in milliseconds."""
_CRASHES = {
    WriteOutcome: "crash between the end of a call and the acknowledgement of its outcome",
    WritePark: "crash between a park and its acknowledgement",
    WriteSettle: "crash between an outcome and the acknowledgement of its settle",
    WriteDead: "crash between a dead letter and its acknowledgement",
}


class Chaos:
    """Start members, bring trouble until the time for it is over, and then let everything come to rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self._operator = Process(world.scheduler, "operator")
        self._started = 0
        self._resetting = False
        self.over = False
        self.members: list[Member] = []
        for _ in range(world.setup.members):
            self._start()
        world.claimed = partial(stranger.come, world)
        self._operator.spawn(self._webhooks())
        self._operator.spawn(self._trouble())

    def _webhooks(self) -> Steps[None]:
        """Append the events of the run, in bursts."""
        left = self._world.setup.events
        while left > 0:
            for _ in range(min(left, self._rng.randint(1, 12))):
                self._append()
                left -= 1
            self._world.wake_readers()
            yield self._rng.uniform(0.0, self._world.setup.chaos / 6)

    def _append(self) -> None:
        number = self._rng.randrange(self._world.setup.partitions)
        offset = len(self._world.audit.journals[number].source)
        self._world.done = False
        self._world.audit.appended(number, draw_record(self._rng, self._world.setup, number, offset))

    def _trouble(self) -> Steps[None]:
        actions = (
            (self._crash, 4), (self._freeze, 5), (self._cut, 4), (self._join, 3), (self._leave, 2), (self._reset, 1),
            (self._misconfigure, 2), (self._hold, 3), (self._leap, 1),
        )  # fmt: skip
        choices, weights = [action for action, _ in actions], [weight for _, weight in actions]
        while self._world.now < self._world.setup.chaos:
            yield self._rng.uniform(0.2, 4.0)
            (action,) = self._rng.choices(choices, weights)
            action()
        yield from self._calm()

    def _calm(self) -> Steps[None]:
        """End all trouble: what is under way may still land late."""
        while self._resetting:
            yield 0.5
        self._note("quiet from here on")
        self._world.network.trouble = False
        for tenant in sorted(self._world.misconfigured):
            self._mend(tenant)
        for member in self._alive():
            member.process.cut_until = self._world.now
            member.outage.end()
            self._wake(member)
        if not self._alive():
            self._start()
        self._world.wake_readers()
        self.over = True

    # The single troubles.

    def _start(self) -> None:
        self._started += 1
        process = Process(self._world.scheduler, f"member-{self._started}")
        self._note(f"starts {process.name}")
        self.members.append(Member(process, self._world))

    def _join(self) -> None:
        if not self._resetting and len(self._alive()) < _MOST_MEMBERS:
            self._start()

    def _crash(self) -> None:
        member = self._choose()
        if member is None:
            return
        self._kill(member)
        self._operator.later(self._rng.uniform(0.1, 6.0), self._join)

    def _kill(self, member: Member) -> None:
        self._note(f"kills {member.process.name}")
        for tenure in member.tenures.values():
            if tenure.in_flight:
                self._world.seen("crash during a call")
            for write, _ in tenure.writes.values():
                self._world.seen(_CRASHES[type(write)])
        member.process.kill()
        self._world.over(member=member.process.name)

    def _freeze(self) -> None:
        member = self._choose()
        if member is None:
            return
        seconds = self._rng.uniform(0.2, 2.5 * self._world.setup.session)
        self._note(f"freezes {member.process.name} for {seconds:.1f} s")
        member.process.freeze()
        self._operator.later(seconds, partial(self._wake, member))

    def _wake(self, member: Member) -> None:
        if not member.process.alive or not member.process.frozen:
            return
        ended = [facts for facts in self._world.tenures if facts.member == member.process.name and facts.ended]
        if any(member.tenures.get(facts.partition) and facts.open for facts in ended):
            self._world.seen("zombie wakes with calls or outcomes open")
        if any(member.tenures.get(facts.partition) for facts in ended):
            self._world.seen("frozen past the session timeout")
        self._note(f"wakes {member.process.name}")
        member.process.wake()

    def _cut(self) -> None:
        member = self._choose()
        if member is None:
            return
        seconds = self._rng.uniform(0.2, 2.0 * self._world.setup.session)
        self._note(f"cuts {member.process.name} off for {seconds:.1f} s")
        self._world.seen("cut off from Kafka")
        member.process.cut_until = self._world.now + seconds
        self._operator.later(seconds, self._world.wake_readers)

    def _leap(self) -> None:
        """Set a member's clock wrong, as when its machine was asleep; it may stay so, or be set right by NTP."""
        alive = self._alive()
        if alive:
            member = self._rng.choice(alive)
            self._set_clock(member, self._rng.choice(_LEAPS))
            self._operator.later(
                self._rng.uniform(0.5, 15.0), partial(self._set_clock, member, self._rng.choice(_LEAPS))
            )

    def _set_clock(self, member: Member, leap: tuple[int, int]) -> None:
        if not member.process.alive:
            return
        before = member.now
        wrong_by = self._rng.choice((-1, 1)) * self._rng.randint(*leap)
        member.leap(max(wrong_by, -EPOCH))
        if member.now == before:
            return
        self._note(f"lets the clock of {member.process.name} leap by {(member.now - before) / 1000:.1f} s")
        self._world.seen("clock leaps forwards" if member.now > before else "clock leaps back")
        if member.process.frozen:
            self._world.seen("clock leaps while its process is frozen")

    def _misconfigure(self) -> None:
        tenant = self._rng.choice(TENANTS)
        self._note(f"takes the keys of {tenant}")
        self._world.misconfigured.add(tenant)
        self._operator.later(self._rng.uniform(0.5, 12.0), partial(self._mend, tenant))

    def _mend(self, tenant: str) -> None:
        self._note(f"gives {tenant} its keys again")
        self._world.misconfigured.discard(tenant)
        if self._rng.random() < 0.5:
            for member in self._alive():
                if member.doors.open_all([tenant]):
                    self._world.seen("closed door opened by a new configuration")

    def _hold(self) -> None:
        """Let a member find some destinations down, or all that there are."""
        member = self._choose()
        if member is None:
            return
        tenants = self._rng.sample(TENANTS, self._rng.randint(1, len(TENANTS)))
        seconds, others_work = self._rng.uniform(0.0, 1.5), self._rng.random() < _OTHERS_WORK
        self._note(f"holds {tenants} for {member.process.name} in {seconds:.1f} s")
        member.outage.ramp(tenants)
        self._operator.later(seconds, partial(self._go_down, member, tenants, others_work=others_work))

    def _go_down(self, member: Member, tenants: Collection[str], *, others_work: bool) -> None:
        if not self.over:
            member.outage.begin(tenants, others_work=others_work)
            self._operator.later(self._rng.uniform(0.5, 12.0), member.outage.end)

    def _leave(self) -> None:
        member = self._choose()
        if member is not None and len(self._alive()) > 1:
            self._stop(member)

    def _stop(self, member: Member) -> None:
        self._note(f"stops {member.process.name}")
        self._world.seen("stopped in good order")
        member.process.spawn(member.stop())
        self.members.remove(member)
        self._operator.later(60.0, member.process.kill)

    def _reset(self) -> None:
        """Empty the group, then reset: Kafka refuses it while there are members."""
        if not self._resetting:
            self._resetting = True
            self._operator.spawn(self._empty_and_reset())

    def _empty_and_reset(self) -> Steps[None]:
        for member in self._alive():
            if not member.process.frozen:
                (self._kill if self._rng.random() < 0.5 else self._stop)(member)
        while self._world.group.members:
            yield 0.5
        for number in range(self._world.setup.partitions):
            committed = self._world.group.committed.get(number, (0, ""))[0]
            self._world.group.reset(number, self._rng.choice((None, 0, self._rng.randint(0, committed))))
            if self._world.audit.journals[number].fold.table:
                self._world.seen("offset reset with parked events")
        self._world.done = False
        self._note(f"resets the group to {self._world.group.committed}")
        self._world.seen("offset reset")
        self._resetting = False
        self._start()

    def _choose(self) -> Member | None:
        awake = [member for member in self._alive() if not member.process.frozen]
        return self._rng.choice(awake) if awake else None

    def _alive(self) -> list[Member]:
        return [member for member in self.members if member.process.alive]

    def _note(self, text: str) -> None:
        self._world.note("chaos", lambda: text)
