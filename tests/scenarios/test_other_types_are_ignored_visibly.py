"""Half of the webhooks announce something else than new data.

They are published like all others, never synced, and each has an outcome that says so.
"""

from collections import Counter

from sandbox.generator import Mix
from schemas.outcome import Ended
from schemas.telemetry import LogEvent
from schemas.webhook import WebhookType
from tests.scenarios.conftest import Stage

MIX = Mix(connections=100, other_share=0.5)


async def test_other_types_are_ignored_and_their_outcomes_say_so(stage: Stage) -> None:
    """Defends promises 2 and 6."""
    async with stage(members=1) as scenario:
        manifest = await scenario.send(1_000, MIX)
        verdict = await scenario.verdict(manifest)
        logs = scenario.outcomes().values()
        logged = {str(line["event_id"]) for line in scenario.logged(LogEvent.EVENT_ENDED)}

    outcomes = [record for log in logs for record in log if isinstance(record, Ended)]
    others = {event.id for event in manifest.accepted if event.type != WebhookType.SYNC_DATA}
    assert verdict.kept, verdict
    assert len(others) == verdict.ignored > 400
    assert {outcome.id for outcome in outcomes if outcome.outcome == "ignored"} == others
    assert {outcome.reason for outcome in outcomes if outcome.outcome == "ignored"} == {"type_not_synced"}
    assert others <= logged
    counts = Counter(str(outcome.outcome) for outcome in outcomes)
    assert (counts["ignored"], counts["applied"], counts["superseded"], counts["dead"]) == (
        len(others),
        verdict.synced,
        verdict.superseded,
        0,
    )
