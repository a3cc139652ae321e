"""A hold and what changes under it: partitions that go, destinations that move, turns that were under way."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from schemas.errors import Retryable
from schemas.telemetry import LogEvent
from tests.consumer.fakes import now, until
from tests.consumer.stage import play, stage
from tests.consumer.test_member_holds import DOWN, QUICK, crowd, send_out, starts_of

ELSEWHERE = "http://elsewhere"
PARKED_SOON: dict[str, Any] = {**QUICK, "hold_min_failures": 8, "parked_initial_seconds": 20}


def test_what_is_parked_is_probed_with_when_nobody_else_waits_any_more() -> None:
    """Whoever waited went with a partition; without a probe the hold would never end (promise 6)."""

    async def story() -> None:
        async with stage(**PARKED_SOON) as on:
            await on.take(0, 1)
            send_out(on)
            on.deliver(*crowd("acme", 3), partition=1)
            await until(lambda: len(on.log.parks(1)) == 3)
            on.deliver(*crowd("acme", 30)[3:], partition=0)
            await until(lambda: on.member.gauges().held_destinations == 1)
            await on.release(0)
            await asyncio.sleep(600)
            assert len(starts_of(on, "acme")) <= 60 + 600 // QUICK["hold_probe_seconds"]
            assert max(park.turns for park in on.log.parks(1)) == 0
            on.handler.down = set()
            await until(lambda: len(on.log.ended(1)) == 3)
            assert {kind for _, kind in on.log.ended(1)} == {"applied"}

    play(story())


def test_events_follow_a_destination_that_is_given_anew() -> None:
    """The remedy for a wrong URL: nothing waits for the old one, and its alarm ends."""

    async def story() -> None:
        async with stage(tenants=2, **QUICK) as on:
            await on.take(0)
            send_out(on)
            on.deliver(*crowd("acme", 40, each=2), *crowd("blue", 1))
            await until(lambda: on.member.gauges().held_destinations == 1)
            await asyncio.sleep(12)
            on.handler.destinations["acme"] = ELSEWHERE
            on.member.reopen({"acme"})
            began = now()
            with capture_logs() as logs:
                await until(lambda: len(on.log.ended()) == 81)
                assert now() - began < 3
                await asyncio.sleep(600)
            assert [line["destination"] for line in logs if line["event"] == LogEvent.DESTINATION_RELEASED] == [DOWN]
            assert on.member.gauges().held_destinations == 0

    play(story())


def test_turns_for_a_destination_that_is_down_take_nobody_elses_turn() -> None:
    """Promise 11: those under way when it is held give their place back, and are not counted."""

    async def story() -> None:
        async with stage(tenants=2, **PARKED_SOON) as on:
            await on.take(0)
            send_out(on)
            on.deliver(*crowd("acme", 4))
            await until(lambda: len(on.log.parks()) == 4)
            on.handler.hold(*(each.id for each in crowd("acme", 4)))
            await until(lambda: len(on.handler.inside) == QUICK["max_in_flight"] // 4)
            on.handler.scripts["blue-0-0"] += [Retryable("later")] * 2
            on.deliver(*crowd("acme", 30)[4:], *crowd("blue", 1), start=4)
            await until(lambda: on.member.gauges().held_destinations == 1)
            on.handler.release(*(each.id for each in crowd("acme", 4)))
            await until(lambda: any(park.id == "blue-0-0" for park in on.log.parks()))
            await asyncio.sleep(60)
            assert "applied" in {kind for _, kind in on.log.ended()}
            on.handler.down = set()
            await until(lambda: len(on.log.ended()) == 31)
            assert {kind for _, kind in on.log.ended()} == {"applied"}

    play(story())


def test_calls_that_wait_for_a_slot_when_it_goes_down_again_are_held_again() -> None:
    """A permission from before must not send a whole memory of events to whom is down."""

    async def story() -> None:
        async with stage(**{**QUICK, "max_in_flight": 4}) as on:
            await on.take(0)
            send_out(on)
            on.deliver(*crowd("acme", 200))
            await until(lambda: on.member.gauges().held_destinations == 1)
            on.handler.down = set()
            slow = [each.id for each in crowd("acme", 200)]
            await until(lambda: len(on.log.ended()) > 1)
            on.handler.hold(*slow)
            await asyncio.sleep(QUICK["hold_ramp_seconds"] + 1)
            before = len(on.handler.attempts)
            on.handler.down = {DOWN}
            on.handler.release(*slow)
            await asyncio.sleep(30)
            assert on.member.gauges().held_destinations == 1
            assert len(on.handler.attempts) <= before + 60

    play(story())
