"""Five tenants send what five tenants send, some of it spelled oddly; a stranger forges the rest. Nothing fails."""

from sandbox.generator import Mix
from tests.scenarios.conftest import PATIENT_SECONDS, Stage

MIX = Mix(connections=300, forged_share=0.1, scrambled_share=0.4, other_share=0.1)


async def test_everything_signed_is_synced_once_and_in_order_and_nothing_else(stage: Stage) -> None:
    """Defends promises 1 to 4 on a day without trouble; then not even a repeat is allowed."""
    async with stage(members=2, session_timeout_seconds=PATIENT_SECONDS) as scenario:
        manifest = await scenario.send(3_000, MIX)
        assert manifest.counts.forged_accepted == 0
        verdict = await scenario.verdict(manifest)

    assert verdict.kept, verdict
    assert verdict.accepted + verdict.refused == 3_000
    assert verdict.refused > 200
    assert verdict.synced + verdict.superseded == verdict.accepted - verdict.ignored > 2_000
    assert (verdict.repeated, verdict.given_up, verdict.unacknowledged) == (0, 0, 0)
