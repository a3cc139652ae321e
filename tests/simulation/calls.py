"""Calls in the simulation: mirrors `consumer.calls`, and decides how each attempt ends."""

from functools import partial
from typing import TYPE_CHECKING

from consumer.engine.lanes import Waiting
from consumer.engine.partition import Ending
from consumer.slots import Slot
from schemas.outcome import Applied, HandlerResult, Ignored
from tests.simulation.audit import Call
from tests.simulation.scheduler import Future, Steps, Task
from tests.simulation.tenure import Tenure

if TYPE_CHECKING:
    from tests.simulation.member import Member


def handle(member: "Member", tenure: Tenure, waiting: Waiting, slot: Slot) -> Steps[None]:
    """Handle an event, again and again until it is done."""
    called, attempts = _milliseconds(member), 0
    result: HandlerResult | None = None
    while result is None:
        attempts += 1
        if not (yield from _leased(member, tenure, waiting)):
            return
        result = yield from _attempt(member, tenure, waiting, attempts)
        if result is None:
            again = yield from _between(member, tenure, waiting, slot, attempts)
            if again is None:
                return
            slot = again
    tenure.facts.done.add(waiting.offset)
    if isinstance(result, Applied):
        tenure.facts.may_be_followed.add(waiting.offset)
    ending = Ending(result=result, attempts=attempts, called=called, ended=_milliseconds(member))
    member.call_ended(tenure, waiting, ending)


def _leased(member: "Member", tenure: Tenure, waiting: Waiting) -> Steps[bool]:
    """Wait for the lease; False if nothing may start any more."""
    if not tenure.engine.may_start:
        return False
    while not tenure.lease.valid(member.world.now):
        member.world.seen("call waits for the lease")
        tenure.resting[waiting.offset] = None
        yield tenure.lease.renewed()
        tenure.resting.pop(waiting.offset, None)
    return True


def _attempt(member: "Member", tenure: Tenure, waiting: Waiting, attempts: int) -> Steps[HandlerResult | None]:
    """Make one call; None if it failed."""
    world = member.world
    seconds = _duration(member)
    call = Call(tenure=tenure.facts, offset=waiting.offset, starts=world.now, ends=world.now + seconds)
    world.note(member.process.name, lambda: f"{tenure.facts} calls {call.offset}, attempt {attempts}")
    world.audit.call_starts(call, waiting, world.group.owner(tenure.partition))
    tenure.in_flight[waiting.offset] = call
    yield seconds
    tenure.in_flight.pop(waiting.offset, None)
    result = _result(member)
    world.note(member.process.name, lambda: f"{tenure.facts} has called {call.offset}: {result or 'failed'}")
    return result


def _between(member: "Member", tenure: Tenure, waiting: Waiting, slot: Slot, attempts: int) -> Steps[Slot | None]:
    """Wait until the next attempt is due, without the slot, and for another; None if nothing may start any more."""
    if not tenure.engine.may_start:
        return None
    world = member.world
    retry_after = world.rng.uniform(0.0, 6.0) if world.network.chance(0.4) else None
    if retry_after is not None:
        world.seen("call failed with Retry-After")
    tenure.facts.not_before[waiting.offset] = world.now + (retry_after or 0.0)
    wait = world.backoff.wait(attempts, retry_after=retry_after, jitter=world.rng.random())
    tenure.resting[waiting.offset] = None
    slot.give_back()
    yield wait
    granted: Future[Slot] = Future()
    member.slots.request(waiting.event.tenant, partial(_grant, tenure.calls[waiting.offset], granted))
    yield granted
    tenure.resting.pop(waiting.offset, None)
    return granted.value


def _grant(call: Task[None], granted: Future[Slot], slot: Slot) -> bool:
    if call.finished.done:
        return False
    call.finished.then(lambda _: slot.give_back())
    granted.resolve(slot)
    return True


def _duration(member: "Member") -> float:
    roll = member.world.rng.random()
    if roll < 0.8 or not member.world.network.trouble:
        return member.world.rng.uniform(0.01, 0.3)
    return member.world.rng.uniform(0.5, 3.0) if roll < 0.96 else member.world.rng.uniform(5.0, 15.0)


def _result(member: "Member") -> HandlerResult | None:
    if member.world.network.chance(0.2):
        member.world.seen("call failed")
        return None
    if member.world.rng.random() < 0.15:
        member.world.seen("event ignored")
        return Ignored(reason="type_not_synced")
    return Applied(status=200)


def _milliseconds(member: "Member") -> int:
    return int(member.world.now * 1000)
