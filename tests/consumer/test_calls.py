"""Calls: the handler on one event, what it is told, and what is logged of its failures."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from consumer.calls import Calls
from consumer.engine.endings import Ending
from consumer.engine.lanes import Tried, Waiting
from consumer.engine.retry import Backoff, Failed, LaneBudget
from consumer.handler import Context
from consumer.handling import Wait
from schemas.errors import Permanent, Retryable
from schemas.event import Event
from schemas.outcome import Applied, HandlerResult, Ignored
from schemas.telemetry import LogEvent
from tests.consumer.fakes import Patience, ScriptedHandler, Step, clock, event, in_virtual_time, now

BUDGET = LaneBudget(backoff=Backoff(initial=1, most=60), attempts=5, seconds=30)


def _calls(handler: ScriptedHandler) -> Calls:
    return Calls(handler=handler, budget=BUDGET, clock=clock)


async def _handle(calls: Calls, handled: Event, *, tried: Tried | None = None, lease: Wait | None = None) -> Ending:
    """Handle an event in memory; one that was tried before is here for its turn."""
    parked = tried is not None
    waiting = Waiting(offset=0, lane=b"acme/one", size=1, event=handled, tried=tried or Tried(), parked=parked)
    return await calls.handle(calls.handling(waiting, None, Patience(lease)))


async def _run(
    handler: ScriptedHandler, *steps: Step, given: Event | None = None, tried: Tried | None = None
) -> Ending:
    handled = given or event()
    handler.scripts[handled.id].extend(steps)
    return await _handle(_calls(handler), handled, tried=tried)


def test_the_ending_says_result_attempts_and_times() -> None:
    """Times are milliseconds since the epoch, the first call's and the end's."""
    ending = in_virtual_time(_run(ScriptedHandler(), Retryable("no"), Ignored(reason="why")))
    assert (ending.result, ending.attempts) == (Ignored(reason="why"), 2)
    assert ending.called == 1_800_000_000_000
    assert 1_000 <= ending.ended - ending.called < 2_000


def test_an_ending_in_real_time_has_the_time_of_day() -> None:
    """Nobody gives the clock in production."""

    async def story() -> Ending:
        calls = Calls(handler=ScriptedHandler(), budget=BUDGET)
        return await _handle(calls, event())

    before = time.time() * 1000
    ending = in_virtual_time(story())
    assert int(before) <= ending.called <= ending.ended <= time.time() * 1000


def test_the_idempotency_key_stays_and_the_attempt_counts() -> None:
    """A retry is the same call to whoever receives it."""
    told: list[Context] = []

    async def handler(_: Event, context: Context) -> HandlerResult:
        told.append(context)
        if len(told) < 3:
            raise Retryable("no")
        return Applied()

    calls = Calls(handler=handler, budget=BUDGET, clock=clock)

    async def story() -> Ending:
        return await _handle(calls, event(7, generation=2))

    in_virtual_time(story())
    assert told == [Context(idempotency_key="event-7:2", attempt=number) for number in (1, 2, 3)]


def test_a_parked_event_is_tried_once_and_its_attempts_go_on() -> None:
    """Between its turns it waits in the log, and takes nobody's memory or slot."""
    handler = ScriptedHandler()
    ending = in_virtual_time(_run(handler, Retryable("no", status=503), tried=Tried(attempts=5, turns=2)))
    assert isinstance(ending.result, Failed)
    assert (ending.result.error, ending.result.status, ending.result.permanent) == ("no", 503, False)
    assert ending.attempts == 1
    assert handler.attempts == [("event-0", 6)]


def test_a_spent_budget_ends_the_handling_with_the_last_failure() -> None:
    """And with how many attempts there were; the lane does not wait for what would come to nothing."""

    async def story() -> None:
        handler = ScriptedHandler()
        steps = [Retryable(f"no {number}", status=500 + number) for number in range(1, 6)]
        ending = await _run(handler, *steps)
        assert isinstance(ending.result, Failed)
        assert (ending.result.error, ending.result.status) == ("no 5", 505)
        assert (ending.attempts, len(handler.attempts)) == (5, 5)
        assert ending.ended == int(clock() * 1000)
        assert now() <= 30

    in_virtual_time(story())


def test_a_permanent_failure_ends_the_handling_at_once() -> None:
    """Calling again cannot help."""
    handler = ScriptedHandler()
    ending = in_virtual_time(_run(handler, Permanent("gone", status=410)))
    assert isinstance(ending.result, Failed)
    assert (ending.result.error, ending.result.status, ending.result.permanent) == ("gone", 410, True)
    assert ending.attempts == 1


def test_no_attempt_starts_without_the_lease() -> None:
    """Each one asks for it, a repeated one too: the partition may have gone while it slept."""
    handler = ScriptedHandler()
    handler.scripts["event-0"].append(Retryable("no"))
    lease = asyncio.Semaphore(0)

    async def leased() -> None:
        await lease.acquire()

    async def story() -> None:
        running = asyncio.create_task(_handle(_calls(handler), event(), lease=leased))
        for attempts in (1, 2):
            await asyncio.sleep(1000)
            assert len(handler.attempts) == attempts - 1
            lease.release()
            await asyncio.sleep(0.5)
            assert len(handler.attempts) == attempts
        await running

    in_virtual_time(story())


def test_waiting_for_the_lease_is_no_part_of_the_call_nor_of_its_budget() -> None:
    """After an hour without Kafka the first failure of every event would else park its lane."""

    async def leased() -> None:
        if not handler.attempts:
            await asyncio.sleep(3600)

    async def story() -> Ending:
        handler.scripts["event-0"].append(Retryable("no"))
        return await _handle(_calls(handler), event(), lease=leased)

    handler = ScriptedHandler()
    ending = in_virtual_time(story())
    assert ending.result == Applied(status=200)
    assert ending.called == 1_800_003_600_000


def test_a_handler_cancelled_from_within_has_failed() -> None:
    """Something that it waited for was cancelled, nobody told it to stop: its event must not be forgotten."""

    async def wait_for_what_is_cancelled() -> HandlerResult:
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other
        return Applied()

    with capture_logs() as logs:
        ending = in_virtual_time(_run(ScriptedHandler(), wait_for_what_is_cancelled, wait_for_what_is_cancelled))
    assert (ending.result, ending.attempts) == (Applied(status=200), 3)
    assert [line["error"] for line in logs] == ["the handler was cancelled from within"] * 2


def test_a_handler_told_to_stop_stops() -> None:
    """Also when it has failed before."""
    handler = ScriptedHandler()
    handler.scripts["event-0"].append(Retryable("no"))

    async def story() -> None:
        running = asyncio.create_task(_run(handler))
        await asyncio.sleep(0.5)
        handler.hold("event-0")
        await asyncio.sleep(10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    in_virtual_time(story())
    assert handler.cancelled == ["event-0"]
    assert handler.attempts == [("event-0", 1), ("event-0", 2)]


def test_each_failure_is_logged_with_whose_event_it_is_and_how_old() -> None:
    """One line a failure: enough to find the lane that waits."""
    with capture_logs() as logs:
        in_virtual_time(_run(ScriptedHandler(), Retryable("Fuse answered 500"), given=event(3, connection="c-9")))
    (line,) = logs
    assert line["event"] == LogEvent.EVENT_DELAYED
    assert (line["event_id"], line["tenant"], line["connection"]) == ("event-3", "acme", "c-9")
    assert (line["attempts"], line["error"]) == (1, "Fuse answered 500")
    assert 1 <= line["next_attempt_seconds"] < 2
    assert line["age_seconds"] > 0


def test_the_text_of_a_foreign_error_is_not_logged() -> None:
    """It may quote a key or a body."""
    with capture_logs() as logs:
        in_virtual_time(_run(ScriptedHandler(), RuntimeError("Bearer s3cr3t"), given=event(body=b"s3cr3t")))
    assert "s3cr3t" not in str(logs)
    assert logs[0]["error"] == "RuntimeError"
