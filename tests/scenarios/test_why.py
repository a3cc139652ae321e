"""Somebody asks at night why a connection has not been synced. `why` names what was planted, from outside the group."""

import asyncio
from collections.abc import Sequence
from typing import Any

from consumer.commands.why import explain
from consumer.why.asked import parse
from consumer.why.cause import Cause, Finding
from sandbox.demo.pipeline import TENANTS_FILE
from sandbox.generator import Mix
from sandbox.plan import Answer, Hang, Plan, Rule
from schemas.settings import ConsumerSettings, load
from tests.scenarios.conftest import Scenario, Stage, until

MIX = Mix(connections=64, other_share=0)
PLAN = Plan(
    rules=(
        Rule(connection="0*", action=Hang(do="hang")),
        Rule(connection="1*", action=Answer(do="answer", status=503)),
        Rule(connection="2*", action=Answer(do="answer", status=400)),
    )
)
SLOW: dict[str, Any] = {
    "retry_initial_seconds": 60,
    "retry_max_seconds": 60,
    "retry_seconds": 600,
    "call_timeout_seconds": 60,
    "drain_seconds": 0.5,
}
"""One failed call, and then a wait that outlasts the scenario; and a call that hangs for as long."""


async def why(scenario: Scenario, name: str) -> tuple[int, Sequence[Finding]]:
    """Ask as the command does; give its exit status and what it found."""
    given = load(
        ConsumerSettings, kafka_bootstrap_servers=scenario.servers, topic=scenario.topic, tenants_file=TENANTS_FILE
    )
    findings, status = await asyncio.to_thread(explain, given, parse(name), name)
    return status, findings


async def is_said(scenario: Scenario, name: str, cause: Cause) -> Finding:
    """Ask until the cause is named first; give what is said with it."""
    found: Sequence[Finding] = ()

    async def named() -> bool:
        nonlocal found
        _, found = await why(scenario, name)
        return found[0].cause is cause

    try:
        await until(named, 60, scenario.pipeline.check)
    except TimeoutError:
        raise AssertionError(f"{name}: {cause} is not named, but {found}") from None
    return found[0]


async def test_what_holds_a_connection_is_named_whoever_holds_it(stage: Stage) -> None:
    """With two members, each of which answers for its own connections; then with none."""
    async with stage(members=2, plan=PLAN, **SLOW) as scenario:
        manifest = await scenario.send(200, MIX)
        lanes = {event.connection[0]: f"{event.tenant}/{event.connection}" for event in manifest.accepted}
        hanging = await is_said(scenario, lanes["0"], Cause.IN_FLIGHT)
        failing = await is_said(scenario, lanes["1"], Cause.NEXT_ATTEMPT)
        given_up = await is_said(scenario, lanes["2"], Cause.DEAD)
        assert (hanging.holds, failing.holds, given_up.holds) == (True, True, False)
        assert "503" in failing.says
        assert "dead letters, at offset" in given_up.says
        await is_said(scenario, lanes["3"], Cause.APPLIED)
        assert (await why(scenario, f"{lanes['3']}x"))[1][0].cause is Cause.NEVER_SEEN
        assert (await why(scenario, "nobody/x"))[1][0].cause is Cause.TENANT_UNKNOWN
        status, of_tenant = await why(scenario, lanes["1"].partition("/")[0])
        assert (status, {found.cause for found in of_tenant}) == (1, {Cause.IN_FLIGHT, Cause.NEXT_ATTEMPT})
        for member in scenario.pipeline.running:
            await scenario.stop(member)
        await is_said(scenario, lanes["1"], Cause.NO_MEMBER)


async def test_what_is_parked_and_for_what_is_named(stage: Stage) -> None:
    """A tenant's wrong keys, and an event whose patience in the lane is spent, with what waits behind it."""
    plan = Plan(
        rules=(
            Rule(tenant="acme", action=Answer(do="answer", status=401)),
            Rule(connection="1*", action=Answer(do="answer", status=409, code="odd")),
        )
    )
    waiting: dict[str, Any] = {
        "retry_attempts": 1,
        "parked_initial_seconds": 600,
        "failures": '{"odd": "retry"}',
        "supersede": False,
    }
    async with stage(members=1, plan=plan, **waiting) as scenario:
        manifest = await scenario.send(200, MIX)
        others = [event for event in manifest.accepted if event.tenant != "acme"]
        lanes = {event.connection[0]: f"{event.tenant}/{event.connection}" for event in others}
        parked = await is_said(scenario, lanes["1"], Cause.PARKED_FAILED)
        assert "409" in parked.says
        newest = (await why(scenario, lanes["1"]))[1][-1]
        assert newest.cause in {Cause.PARKED_BEHIND, Cause.PARKED_FAILED}
        wrong = next(f"{event.tenant}/{event.connection}" for event in manifest.accepted if event.tenant == "acme")
        await is_said(scenario, wrong, Cause.TENANT_MISCONFIGURED)
        status, of_tenant = await why(scenario, "acme")
        assert (status, [found.cause for found in of_tenant]) == (1, [Cause.TENANT_MISCONFIGURED])
