"""One of two destinations is down as a whole, and recovers: its calls are held, probed, and let go bit by bit.

Both are the same fake Fuse under two names: calls of the production environment go to `localhost`. The tenant that has
accounts in both environments is left out, since the fake Fuse fails a tenant and not an environment.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from sandbox.calls import Call
from sandbox.generator import Mix
from sandbox.plan import Answer, Plan, Rule
from sandbox.sender import Pace, send
from schemas.event import Environment
from schemas.outcome import Ended, OutcomeKind
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Scenario, Stage, until, webhooks

EVENTS = 300
MIX = Mix(connections=100, other_share=0)
OUT, WELL = (
    Plan(rules=(Rule(tenant="[ce]*", action=Answer(do="answer", status=503)),)),
    Plan(),
)
IN_FLIGHT, FAILURES, PROBE, RAMP = 20, 10, 0.5, 20
SETTINGS: dict[str, Any] = {
    "max_in_flight": IN_FLIGHT,
    "hold_min_failures": FAILURES,
    "hold_probe_seconds": PROBE,
    "hold_ramp_per_second": RAMP,
    "hold_ramp_seconds": 3,
    "parked_initial_seconds": 0.5,
    "parked_max_seconds": 1,
    "supersede": False,
}


async def test_a_destination_that_is_down_is_held_and_the_other_is_not(stage: Stage) -> None:
    """Defends promises 4, 6 and 11."""
    async with stage(members=1, plan=OUT, **SETTINGS) as scenario:
        await with_two_destinations(scenario)
        sent = (each for each in webhooks(MIX, 1) if each.tenant != "acme")
        manifest = await send(islice(sent, EVENTS), scenario.pipeline.ingress_url, Pace(rate=250))
        await scenario.ended({event.id for event in manifest.accepted if event.tenant in {"borealis", "dune"}})
        await probed(scenario)
        outage = of_production(await scenario.calls())
        await scenario.inquiry.follow(WELL)
        verdict = await scenario.verdict(manifest)
        after = [call for call in of_production(await scenario.calls()) if call.synced]
        held = {str(line["destination"]) for line in scenario.logged(LogEvent.DESTINATION_HELD)}
        kinds = {record.outcome for log in scenario.outcomes().values() for record in log if isinstance(record, Ended)}

    seconds = outage[-1].arrived - outage[0].arrived
    assert verdict.kept, verdict
    assert verdict.synced == EVENTS
    assert kinds == {OutcomeKind.APPLIED}
    assert len(held) == 1
    assert all("localhost" in destination for destination in held)
    assert len(outage) <= IN_FLIGHT + FAILURES + 1 + seconds / PROBE
    # The ramp begins when a probe is answered, and no call arrives before it was started.
    assert 1 < sum(call.arrived < after[0].arrived + 1 for call in after) <= 1 + RAMP


async def with_two_destinations(scenario: Scenario) -> None:
    """Replace the member by one that calls production under the other name."""
    (first,) = scenario.pipeline.members
    scenario.pipeline.join(fuse_production_url=scenario.pipeline.fuse_url.replace("127.0.0.1", "localhost"))
    await scenario.stop(first)
    await scenario.pipeline.shared()


async def probed(scenario: Scenario) -> None:
    """Wait until the destination has been probed a few times."""

    async def several() -> bool:
        return len(of_production(await scenario.calls())) > before + 3

    before = len(of_production(await scenario.calls()))
    await until(several, 30, scenario.pipeline.check)


def of_production(calls: Sequence[Call]) -> list[Call]:
    """List the calls that went to the destination that is down, as they arrived."""
    return sorted((call for call in calls if call.environment == Environment.PRODUCTION), key=lambda call: call.arrived)
