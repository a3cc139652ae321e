"""A member whose destination is down: it holds its calls, probes, ramps up, and gives up nothing."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from structlog.testing import capture_logs

from consumer.handler import HasDestination
from schemas.errors import Misconfigured, Retryable
from schemas.event import Event
from schemas.telemetry import LogEvent
from tests.consumer.fakes import ScriptedHandler, event, now, settle, until
from tests.consumer.stage import Stage, play, stage

DOWN, WELL = "http://down", "http://well"
QUICK: dict[str, Any] = {
    "hold_min_failures": 5,
    "hold_window_seconds": 10,
    "hold_probe_seconds": 5,
    "hold_ramp_per_second": 3,
    "hold_ramp_seconds": 4,
    "retry_attempts": 2,
    "retry_seconds": 5,
    "parked_initial_seconds": 2,
    "parked_attempts": 2,
    "parked_seconds": 3_600,
    "max_in_flight": 10,
}
BEFORE_IT_IS_HELD = QUICK["max_in_flight"] + QUICK["hold_min_failures"]
"""Each failure frees a slot for another call, until there are enough of them."""


def crowd(tenant: str, lanes: int, each: int = 1) -> list[Event]:
    """Make events in so many lanes of a tenant, so many in each."""
    return [
        event(0, id=f"{tenant}-{lane}-{at}", tenant=tenant, connection=f"{lane}", body=b'{"at": %d}' % at)
        for at in range(each)
        for lane in range(lanes)
    ]


def starts_of(on: Stage, tenant: str) -> list[float]:
    """List when calls for a tenant started."""
    attempts = zip(on.handler.attempts, on.handler.started_at, strict=True)
    return [at for (name, _), at in attempts if name.startswith(tenant)]


def in_order(on: Stage, tenant: str, lane: int) -> bool:
    """Say whether a lane's events were called in their order, with any number of attempts."""
    called = [int(name.rsplit("-", 1)[1]) for name, _ in on.handler.attempts if name.startswith(f"{tenant}-{lane}-")]
    return all(earlier <= later for earlier, later in pairwise(called))


def most_in_a_second(starts: Sequence[float]) -> int:
    """Count the starts of the busiest second."""
    return max(sum(first <= at < first + 1 for at in starts) for first in starts)


def send_out(on: Stage) -> None:
    """Let one tenant's destination be down."""
    on.handler.destinations = {"acme": DOWN, "blue": WELL}
    on.handler.down = {DOWN}


def test_an_outage_parks_and_kills_nothing_once_it_is_held_and_ends_in_a_ramp() -> None:
    """Promises 4 and 6: a few calls, then probes; in order; and nobody else notices (promise 11)."""

    async def story() -> None:
        async with stage(tenants=2, **QUICK) as on:
            await on.take(0)
            send_out(on)
            with capture_logs() as logs:
                on.deliver(*crowd("acme", 30, each=2), *crowd("blue", 30))
                await asyncio.sleep(3)
                assert len(starts_of(on, "acme")) <= BEFORE_IT_IS_HELD
                assert len(starts_of(on, "blue")) == 30
                assert on.member.gauges().held_destinations == 1
                await asyncio.sleep(600 - now())
                before = len(starts_of(on, "acme"))
                assert before <= BEFORE_IT_IS_HELD + 600 // QUICK["hold_probe_seconds"]
                on.handler.down = set()
                await until(lambda: len(on.log.ended()) == 90)
                await asyncio.sleep(QUICK["hold_ramp_seconds"])
            after = starts_of(on, "acme")[before:]
            assert on.log.parks() == []
            assert {kind for _, kind in on.log.ended()} == {"applied"}
            assert all(in_order(on, "acme", lane) for lane in range(30))
            ramp = [at for at in after[1:] if at < after[0] + QUICK["hold_ramp_seconds"]]
            assert 1 <= sum(at < after[0] + 1 for at in ramp) <= QUICK["hold_ramp_per_second"]
            assert most_in_a_second(ramp) <= QUICK["hold_ramp_seconds"] * QUICK["hold_ramp_per_second"]
            changes = [line for line in logs if line["event"].startswith("destination.")]
            assert [line["event"] for line in changes] == [LogEvent.DESTINATION_HELD, LogEvent.DESTINATION_RELEASED]
            assert [changes[0][name] for name in ("destination", "failures", "share")] == [DOWN, 5, 1.0]
            assert on.member.gauges().held_destinations == 0

    play(story())


def test_what_was_parked_before_waits_in_its_turn_and_uses_up_none() -> None:
    """An outage of hours is nothing that counts against an event."""

    async def story() -> None:
        async with stage(**{**QUICK, "hold_min_failures": 8}) as on:
            await on.take(0)
            send_out(on)
            on.deliver(*crowd("acme", 3))
            await until(lambda: len(on.log.parks()) == 3)
            on.deliver(*crowd("acme", 10)[3:], start=3)
            await asyncio.sleep(1_800)
            turns = {park.offset: park.turns for park in on.log.parks()}
            assert max(turns.values()) <= 1
            on.handler.down = set()
            await until(lambda: len(on.log.ended()) == 10)
            assert {kind for _, kind in on.log.ended()} == {"applied"}

    play(story())


def test_a_destination_that_is_down_does_not_fill_the_memory_while_others_work() -> None:
    """Promise 11: its events wait in the parked topic, none of them is given a turn, and all are called in the end."""

    async def story() -> None:
        async with stage(tenants=3, **{**QUICK, "max_held_events": 100}) as on:
            await on.take(0)
            on.handler.destinations = {"acme": DOWN, "coral": DOWN, "blue": WELL}
            on.handler.down = {DOWN}
            on.deliver(*crowd("blue", 1), *crowd("acme", 30))
            await until(lambda: on.member.gauges().held_destinations == 1)
            on.deliver(*crowd("coral", 60), *crowd("acme", 50)[30:], start=31)
            await until(lambda: len(on.log.parks()) > 0)
            assert {park.reason for park in on.log.parks()} == {"destination_full"}
            await until(lambda: on.member.gauges().paused_partitions == 0)
            on.deliver(*crowd("blue", 40)[1:], start=111)
            await until(lambda: len(starts_of(on, "blue")) == 40)
            called = len(starts_of(on, "acme")) + len(starts_of(on, "coral"))
            await asyncio.sleep(100)
            probes = 100 / QUICK["hold_probe_seconds"] + 1
            assert len(starts_of(on, "acme")) + len(starts_of(on, "coral")) <= called + probes
            on.handler.down = set()
            await until(lambda: len(on.log.ended()) == 150)
            assert {kind for _, kind in on.log.ended()} == {"applied"}

    play(story())


def test_a_destination_alone_that_is_down_pauses_the_reading_and_parks_nothing() -> None:
    """There is nobody for whom to make room."""

    async def story() -> None:
        async with stage(**{**QUICK, "max_held_events": 100}) as on:
            await on.take(0)
            send_out(on)
            on.deliver(*crowd("acme", 120))
            await asyncio.sleep(60)
            assert on.member.gauges().paused_partitions == 1
            assert on.log.parks() == []

    play(story())


def test_a_tenants_wrong_keys_hold_nobody() -> None:
    """Promise 11: its own events are parked, and the destination that both share goes on."""

    async def story() -> None:
        async with stage(tenants=2, **QUICK) as on:
            await on.take(0)
            on.handler.destinations = {"acme": WELL, "blue": WELL}
            for each in crowd("acme", 30):
                on.handler.scripts[each.id] += [Misconfigured("wrong keys", status=401)] * 2
            on.deliver(*crowd("acme", 30), *crowd("blue", 30))
            await until(lambda: len(on.log.parks()) == 30)
            await until(lambda: len(starts_of(on, "blue")) == 30)
            assert on.member.gauges().held_destinations == 0

    play(story())


def test_a_probe_that_is_refused_shows_that_the_destination_works() -> None:
    """The answer is about the event or its tenant."""

    async def story() -> None:
        async with stage(**QUICK) as on:
            await on.take(0)
            send_out(on)
            on.deliver(*crowd("acme", 30))
            await until(lambda: on.member.gauges().held_destinations == 1)
            on.handler.down = set()
            for each in crowd("acme", 30):
                on.handler.scripts[each.id].append(Retryable("too many", status=429))
            await until(lambda: on.member.gauges().held_destinations == 0)
            assert now() < 2 * QUICK["hold_probe_seconds"]

    play(story())


def test_letting_go_ends_at_once_what_waits_and_none_of_it_is_called_again() -> None:
    """Neither those in a queue nor those between two attempts; and the probes go on for whom is left."""

    async def story() -> None:
        async with stage(**QUICK) as on:
            await on.take(0, 1)
            send_out(on)
            on.deliver(*crowd("acme", 30))
            on.deliver(event(0, id="left", connection="left"), partition=1)
            await asyncio.sleep(7)
            began = now()
            await on.release(0)
            assert now() - began < 1
            called = len(on.handler.attempts)
            on.handler.down = set()
            await until(lambda: "left" in {name for name, _ in on.handler.attempts[called:]})
            await settle()
            assert {name for name, _ in on.handler.attempts[called:]} == {"left"}

    play(story())


def test_the_usual_handler_of_these_tests_says_whom_it_calls() -> None:
    """Else the stories above would hold nothing."""
    assert isinstance(ScriptedHandler(), HasDestination)
