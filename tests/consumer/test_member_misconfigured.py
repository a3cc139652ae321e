"""A member and a tenant whose configuration is wrong: parked, probed, never given up, and on again in order."""

import asyncio
from dataclasses import replace

from structlog.testing import capture_logs

from schemas.errors import Misconfigured, Permanent
from schemas.event import Environment, Event
from schemas.telemetry import LogEvent
from tests.consumer.fakes import event, until
from tests.consumer.stage import Stage, play, stage

KEYS = Misconfigured("answered 401 client_error: the tenant's keys or credentials are wrong or missing", status=401)
PROBES = 15.0


def of(tenant: str, number: int, connection: str = "one") -> Event:
    """Make an event of a tenant."""
    return event(number, tenant=tenant, connection=connection)


def break_keys(on: Stage, *names: str, times: int = 100) -> None:
    """Let every call for these events fail as it does with wrong keys."""
    for name in names:
        on.handler.scripts[name] += [KEYS] * times


def mend_keys(on: Stage) -> None:
    """Let calls work again."""
    on.handler.scripts.clear()


def test_all_of_a_tenants_events_are_parked_after_one_call_and_others_go_on() -> None:
    """Promise 11: the frontier passes them, and nobody else waits."""

    async def story() -> None:
        async with stage(tenants=2) as on:
            await on.take(0)
            break_keys(on, "event-0", "event-1", "event-2", "event-4")
            on.deliver(of("acme", 0), of("acme", 1), of("blue", 3))
            await until(lambda: len(on.log.ended()) == 1)
            on.deliver(of("acme", 2, "two"), of("acme", 4, "three"), of("blue", 5), start=3)
            await on.commits()
            await on.commits()
            assert [(park.offset, park.reason) for park in on.log.parks()] == [
                *((0, "misconfigured"), (1, "behind"), (3, "misconfigured"), (4, "misconfigured")),
            ]
            assert on.committed().frontier == 6
            assert [name for name, _ in on.handler.attempts] == ["event-0", "event-3", "event-5"]
            assert on.log.ended() == [(2, "applied"), (5, "applied")]

    play(story())


def test_one_event_in_an_interval_tries_whether_it_works_and_then_all_are_called_in_order() -> None:
    """However long that takes: nothing is given up for it, and no attempt is counted against an event."""

    async def story() -> None:
        async with stage(tenants=2, parked_attempts=2, parked_seconds=30) as on:
            await on.take(0)
            names = [f"event-{number}" for number in range(6)]
            break_keys(on, *names)
            on.deliver(*(of("acme", number, "one" if number < 3 else f"c-{number}") for number in range(6)))
            await asyncio.sleep(600)
            calls = len(on.handler.attempts)
            assert calls <= 600 / PROBES + 6
            assert calls >= 600 / PROBES - 2
            assert not on.log.ended()
            mend_keys(on)
            await until(lambda: len(on.log.ended()) == 6)
            assert {kind for _, kind in on.log.ended()} == {"applied"}
            first = [name for name, _ in on.handler.attempts[calls:] if name in {"event-0", "event-1", "event-2"}]
            assert first == ["event-0", "event-1", "event-2"]

    play(story())


def test_a_new_configuration_lets_all_go_on_at_once() -> None:
    """Nobody waits for the next probe."""

    async def story() -> None:
        async with stage(tenants=2, tenant_probe_seconds=3_600) as on:
            await on.take(0, 1)
            break_keys(on, "event-0", "event-1", "event-2")
            on.deliver(of("acme", 0))
            await until(lambda: len(on.log.parks()) == 1)
            on.deliver(of("acme", 1, "two"), start=1)
            on.deliver(of("acme", 2, "three"), partition=1)
            await asyncio.sleep(100)
            assert len(on.handler.attempts) == 1
            mend_keys(on)
            on.member.reopen(["acme"])
            began = asyncio.get_running_loop().time()
            await until(lambda: len(on.log.ended()) + len(on.log.ended(1)) == 3)
            assert asyncio.get_running_loop().time() - began < 5

    play(story())


def test_the_alarm_is_raised_on_change_and_not_for_each_event() -> None:
    """It names the tenant and the environment; a measurement counts the accounts concerned."""

    async def story() -> None:
        async with stage(tenants=2) as on:
            await on.take(0)
            break_keys(on, *(f"event-{number}" for number in range(9)))
            with capture_logs() as logs:
                on.deliver(*(of("acme", number, f"c-{number}") for number in range(9)))
                await asyncio.sleep(100)
                assert on.member.gauges().misconfigured_accounts == 1
                mend_keys(on)
                await until(lambda: len(on.log.ended()) == 9)
            lines = [
                line for line in logs if line["event"] in {LogEvent.TENANT_MISCONFIGURED, LogEvent.TENANT_RECOVERED}
            ]
            assert [(line["event"], line["tenant"], line["environment"]) for line in lines] == [
                (LogEvent.TENANT_MISCONFIGURED, "acme", "sandbox"),
                (LogEvent.TENANT_RECOVERED, "acme", "sandbox"),
            ]
            assert "keys" in lines[0]["error"]
            assert on.member.gauges().misconfigured_accounts == 0

    play(story())


def test_the_other_environment_of_a_tenant_has_keys_of_its_own() -> None:
    """What is wrong with one says nothing of the other."""

    async def story() -> None:
        async with stage() as on:
            await on.take(0)
            break_keys(on, "event-0")
            on.deliver(of("acme", 0))
            await until(lambda: len(on.log.parks()) == 1)
            on.deliver(replace(of("acme", 1, "two"), environment=Environment.PRODUCTION), start=1)
            await until(lambda: len(on.log.ended()) == 1)
            assert on.member.gauges().misconfigured_accounts == 1

    play(story())


def test_what_waits_for_a_slot_when_the_door_closes_is_turned_away() -> None:
    """It would be one more call that cannot work, for each event that waits."""

    async def story() -> None:
        async with stage(max_in_flight=1) as on:
            await on.take(0)
            break_keys(on, *(f"event-{number}" for number in range(50)))
            on.deliver(*(of("acme", number, f"c-{number}") for number in range(50)))
            await asyncio.sleep(PROBES - 1)
            assert len(on.handler.attempts) == 1
            assert len(on.log.parks()) == 50

    play(story())


def test_an_answer_about_the_event_itself_shows_that_the_keys_work() -> None:
    """Not only success: whoever is refused for its own sake was let in."""

    async def story() -> None:
        async with stage(tenants=2) as on:
            await on.take(0)
            break_keys(on, "event-0", "event-1", times=1)
            on.handler.scripts["event-0"].append(Permanent("answered 422", status=422))
            on.deliver(of("acme", 0), of("acme", 1, "two"))
            await until(lambda: len(on.log.ended()) == 2)
            assert asyncio.get_running_loop().time() < 2 * PROBES
            assert on.log.ended() == [(0, "dead"), (1, "applied")]

    play(story())
