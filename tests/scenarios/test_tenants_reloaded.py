"""A tenant's API key is mended in the tenants file while a member runs."""

from pathlib import Path
from typing import Any

from sandbox.demo.pipeline import TENANTS_FILE
from sandbox.generator import Mix
from schemas.outcome import Ended, OutcomeKind
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Stage, until


async def test_a_key_that_is_mended_in_the_file_is_sent_without_a_restart(stage: Stage, tmp_path: Path) -> None:
    """Fuse refuses the wrong key; what waited for the right one is synced once that is in the file."""
    file, right = tmp_path / "tenants.toml", TENANTS_FILE.read_text(encoding="utf-8")
    key = 'api_key = "acme-sandbox-key"\naccepted_keys = ["acme-sandbox-key-before"]'
    assert key in right
    file.write_text(right.replace(key, 'api_key = "wrong"\naccepted_keys = ["acme-sandbox-key"]'), encoding="utf-8")
    given: dict[str, Any] = {
        "tenants_file": file,
        "tenants_poll_seconds": 0.2,
        "tenant_probe_seconds": 3_600,
    }
    async with stage(members=1, topic_partitions=2, **given) as scenario:
        manifest = await scenario.send(20, Mix(connections=4, other_share=0, tenants=("acme",)))

        async def refused() -> bool:
            return bool(scenario.logged(LogEvent.TENANT_MISCONFIGURED))

        await until(refused, 60, scenario.pipeline.check)
        file.write_text(right, encoding="utf-8")
        await scenario.ended({event.id for event in manifest.accepted})
        ends = [record for log in scenario.outcomes().values() for record in log if isinstance(record, Ended)]
    assert {end.outcome for end in ends} <= {OutcomeKind.APPLIED, OutcomeKind.SUPERSEDED}
