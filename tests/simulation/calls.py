"""Calls in the simulation: mirrors `consumer.calls` and `consumer.retry`, and decides how each attempt ends."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from consumer.engine.endings import Ending
from consumer.engine.lanes import Waiting
from consumer.engine.retry import Failed
from consumer.slots import Slot
from schemas.outcome import Applied, HandlerResult, Ignored
from tests.simulation.facts import Call
from tests.simulation.scheduler import Future, Steps, Task
from tests.simulation.setup import NEVER_WORKS, REFUSED
from tests.simulation.tenure import Tenure

if TYPE_CHECKING:
    from tests.simulation.member import Member

_HELD = "held"
"""The error of a call that only shows an outage."""


def handle(member: "Member", tenure: Tenure, waiting: Waiting, slot: Slot) -> Steps[None]:
    """Handle an event until it is done or its lane's budget is spent; a parked one is tried once."""
    budget = member.world.setup.budget
    budget = replace(budget, attempts=1) if waiting.parked else budget
    called, attempts = member.now, 0
    while True:
        attempts += 1
        if not (yield from _leased(member, tenure, waiting)):
            return
        result = yield from _attempt(member, tenure, waiting, attempts)
        wait = None
        if isinstance(result, Failed) and not (result.permanent or result.misconfigured):
            elapsed = (member.now - called) / 1000
            wait = budget.wait(attempts, elapsed, retry_after=result.retry_after, jitter=result.jitter)
        if wait is None:
            break
        again = yield from _between(member, tenure, waiting, slot, wait)
        if again is None:
            return
        slot = again
    _note_end(tenure, waiting, result)
    spared = attempts if isinstance(result, Failed) and result.error == _HELD else 0
    ending = Ending(result=result, attempts=attempts, called=called, ended=member.now, spared=spared)
    member.call_ended(tenure, waiting, ending)


def _note_end(tenure: Tenure, waiting: Waiting, result: HandlerResult | Failed) -> None:
    if not isinstance(result, Failed):
        tenure.facts.done.add(waiting.offset)
    if isinstance(result, Applied):
        tenure.facts.may_be_followed.add(waiting.offset)


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


def _attempt(member: "Member", tenure: Tenure, waiting: Waiting, attempts: int) -> Steps[HandlerResult | Failed]:
    """Make one call."""
    world = member.world
    seconds = _duration(member)
    call = Call(
        tenure=tenure.facts,
        offset=waiting.offset,
        starts=world.now,
        ends=world.now + seconds,
        clock=member.now,
        parked=waiting.parked,
    )
    world.note(member.process.name, lambda: f"{tenure.facts} calls {call.offset}, attempt {attempts}")
    world.handling[tenure.partition].call_starts(call, waiting, world.group.owner(tenure.partition))
    tenure.in_flight[waiting.offset] = call
    yield seconds
    tenure.in_flight.pop(waiting.offset, None)
    world.handling[tenure.partition].call_over(call)
    result = _result(member, tenure, waiting)
    world.note(member.process.name, lambda: f"{tenure.facts} has called {call.offset}: {result}")
    return result


def _between(member: "Member", tenure: Tenure, waiting: Waiting, slot: Slot, wait: float) -> Steps[Slot | None]:
    """Wait until the next attempt is due, without the slot, and for another; None if nothing may start any more."""
    if not tenure.engine.may_start:
        return None
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


def _result(member: "Member", tenure: Tenure, waiting: Waiting) -> HandlerResult | Failed:
    world = member.world
    if waiting.event.tenant in world.misconfigured:
        world.seen("call failed since its tenant is misconfigured")
        return Failed(error="misconfigured", jitter=world.rng.random(), misconfigured=True, status=401)
    if waiting.parked and member.outage.holds(waiting):
        world.seen("turn spared, its destination went down")
        return _later(member, tenure, waiting, _HELD)
    if waiting.event.type == REFUSED:
        return Failed(error="refused", jitter=world.rng.random(), permanent=True)
    if waiting.event.type == NEVER_WORKS or world.network.chance(0.25):
        return _failure(member, tenure, waiting)
    if world.rng.random() < 0.15:
        world.seen("event ignored")
        return Ignored(reason="type_not_synced")
    return Applied(status=200)


def _failure(member: "Member", tenure: Tenure, waiting: Waiting) -> Failed:
    member.world.seen("call failed")
    member.world.audit.journals[tenure.partition].faults[waiting.offset] += 1
    return _later(member, tenure, waiting, "failed")


def _later(member: "Member", tenure: Tenure, waiting: Waiting, error: str) -> Failed:
    world = member.world
    retry_after = world.rng.uniform(0.0, 6.0) if world.network.chance(0.4) else None
    if retry_after is not None:
        world.seen("call failed with Retry-After")
    # Whole milliseconds, since that is how exact the logs are.
    tenure.facts.not_before[waiting.offset] = world.now + int((retry_after or 0.0) * 1000) / 1000 - 0.001
    return Failed(error=error, jitter=world.rng.random(), retry_after=retry_after, status=503)
