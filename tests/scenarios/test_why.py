"""Somebody asks at night why a connection has not been synced. `why` names what was planted, from outside the group."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from sandbox.demo.pipeline import TENANTS_FILE
from sandbox.generator import Mix
from sandbox.plan import Answer, Hang, Plan, Rule
from schemas.settings import ENVIRON, PREFIX, variable
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


async def why(scenario: Scenario, name: str, servers: str | None = None) -> tuple[int, list[Mapping[str, Any]]]:
    """Run the command as a person would; give its exit status and what it found."""
    given = {"kafka_bootstrap_servers": servers or scenario.servers, "topic": scenario.topic}
    own = {variable(setting): str(value) for setting, value in {**given, "tenants_file": TENANTS_FILE}.items()}
    environment = {key: value for key, value in ENVIRON.items() if not key.startswith(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "consumer", "why", name, "--json"),
        env={**environment, **own},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, json.loads(said)


async def is_said(scenario: Scenario, name: str, cause: str) -> Mapping[str, Any]:
    """Ask until the cause is named first; give what is said with it."""
    found: list[Mapping[str, Any]] = []

    async def named() -> bool:
        nonlocal found
        _, found = await why(scenario, name)
        return bool(found[0]["cause"] == cause)

    try:
        await until(named, 60, scenario.pipeline.check)
    except TimeoutError:
        raise AssertionError(f"{name}: {cause} is not named, but {found}") from None
    return found[0]


async def test_what_holds_a_connection_is_named_whoever_holds_it(stage: Stage) -> None:
    """With two members, each of which answers for its own connections; then with none."""
    async with stage(members=2, plan=PLAN, **SLOW) as scenario:
        manifest = await scenario.send(400, MIX)
        lanes = {event.connection[0]: f"{event.tenant}/{event.connection}" for event in manifest.accepted}
        hanging = await is_said(scenario, lanes["0"], "in_flight")
        failing = await is_said(scenario, lanes["1"], "next_attempt")
        given_up = await is_said(scenario, lanes["2"], "dead")
        assert (hanging["holds"], failing["holds"], given_up["holds"]) == (True, True, False)
        assert "503" in failing["says"]
        assert "dead letters, at offset" in given_up["says"]
        await is_said(scenario, lanes["3"], "applied")
        assert (await why(scenario, lanes["3"]))[0] == 0
        assert (await why(scenario, lanes["1"]))[0] == 1
        assert (await why(scenario, f"{lanes['3']}x"))[1][0]["cause"] == "never_seen"
        assert (await why(scenario, "nobody/x"))[1][0]["cause"] == "tenant_unknown"
        status, of_tenant = await why(scenario, lanes["1"].partition("/")[0])
        assert (status, {found["cause"] for found in of_tenant}) == (1, {"in_flight", "next_attempt"})
        for member in scenario.pipeline.running:
            await scenario.stop(member)
        await is_said(scenario, lanes["1"], "no_member")


async def test_what_is_parked_and_for_what_is_named(stage: Stage) -> None:
    """A tenant's wrong keys, and an event whose patience in the lane is spent, with what waits behind it."""
    plan = Plan(
        rules=(
            Rule(tenant="acme", action=Answer(do="answer", status=401)),
            Rule(connection="1*", action=Answer(do="answer", status=409, code="odd")),
        )
    )
    waiting = {"retry_attempts": 1, "parked_initial_seconds": 600, "failures": '{"odd": "retry"}', "supersede": False}
    async with stage(members=1, plan=plan, **waiting) as scenario:
        manifest = await scenario.send(400, MIX)
        lanes = {
            event.connection[0]: f"{event.tenant}/{event.connection}"
            for event in manifest.accepted
            if event.tenant != "acme"
        }
        parked = await is_said(scenario, lanes["1"], "parked_failed")
        assert "409" in parked["says"]
        newest = (await why(scenario, lanes["1"]))[1][-1]
        assert newest["cause"] in {"parked_behind", "parked_failed"}
        wrong = next(f"{event.tenant}/{event.connection}" for event in manifest.accepted if event.tenant == "acme")
        await is_said(scenario, wrong, "tenant_misconfigured")
        status, of_tenant = await why(scenario, "acme")
        assert (status, [found["cause"] for found in of_tenant]) == (1, ["tenant_misconfigured"])
