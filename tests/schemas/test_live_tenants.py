"""Tenants of a running process follow their file, all or nothing, and keep what has not changed."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.event import Environment
from schemas.live_tenants import LiveTenants, following
from tests.ingress.conftest import until

HEAD = "allow_literals = true\n"


def entry(name: str, key: str, extra: str = "") -> str:
    """Write a tenant with an account."""
    return f'[tenants.{name}]\n{extra}\n[tenants.{name}.sandbox]\nclient_id = "id"\napi_key = "{key}"\n'


def key_of(tenants: LiveTenants, name: str) -> str:
    """Give a tenant's key."""
    return tenants[name].accounts[Environment.SANDBOX].api_key.get_secret_value()


def is_key(tenants: LiveTenants, key: str) -> bool:
    """Say whether that is the key of the tenant a."""
    return key_of(tenants, "a") == key


async def test_a_reload_names_what_changed_and_keeps_the_rest(tmp_path: Path) -> None:
    """What is remembered for an account, such as its headers, stays with unchanged accounts alone."""
    path = tmp_path / "tenants.toml"
    limit = "ingest_limit = 3"
    path.write_text(HEAD + entry("a", "1") + entry("b", "1") + entry("c", "1") + entry("d", "1"))
    tenants = LiveTenants(path, {})
    told: list[frozenset[str]] = []
    kept = tenants["a"]
    with tenants.telling(told.append):
        path.write_text(HEAD + entry("a", "1") + entry("b", "2") + entry("d", "1", limit) + entry("e", "1"))
        await tenants.reload()
        assert told == [{"b", "c", "d", "e"}]
        assert tenants["a"] is kept
        assert list(tenants) == ["a", "b", "d", "e"]
        assert (key_of(tenants, "b"), tenants["d"].ingest_limit) == ("2", 3)
        await tenants.reload()
        assert len(told) == 1
    path.write_text(HEAD + entry("a", "3"))
    await tenants.reload()
    assert len(told) == 1


async def test_a_file_with_faults_changes_nothing(tmp_path: Path) -> None:
    """It is logged with its faults, and without any secret."""
    path = tmp_path / "tenants.toml"
    path.write_text(HEAD + entry("a", "s3cr3t"))
    tenants = LiveTenants(path, {})
    path.write_text(HEAD + entry("a", "s3cr3t-2") + entry("B", "s3cr3t-3"))
    with capture_logs() as logs:
        await tenants.reload()
    [line] = logs
    assert line["event"] == "tenants.refused"
    assert "tenants.B" in str(line["faults"])
    assert "s3cr3t" not in str(logs)
    assert key_of(tenants, "a") == "s3cr3t"


@pytest.mark.parametrize("poll", [0.0, 2.0])
def test_a_signal_reads_the_files_that_are_referred_to_again(tmp_path: Path, poll: float) -> None:
    """Although the tenants file itself is as it was."""
    path, secret = tmp_path / "tenants.toml", tmp_path / "key"
    secret.write_text("1")
    path.write_text(HEAD + entry("a", "file:key"))

    async def story() -> None:
        tenants = LiveTenants(path, {})
        async with following(tenants, poll):
            secret.write_text("2")
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: is_key(tenants, "2"), 30)

    asyncio.run(story())


def test_a_change_of_the_file_is_seen_and_nobody_elses_failure_ends_that(tmp_path: Path) -> None:
    """Within the time between two looks; also when it is replaced, as by a rename."""
    path = tmp_path / "tenants.toml"
    path.write_text(HEAD + entry("a", "1"))

    def fail(_: frozenset[str]) -> None:
        raise RuntimeError("told in vain")

    async def story() -> None:
        tenants = LiveTenants(path, {})
        with tenants.telling(fail):
            async with following(tenants, 0.02):
                for key in ("2", "3"):
                    (tmp_path / "new").write_text(HEAD + entry("a", key))
                    (tmp_path / "new").rename(path)
                    await until(partial(is_key, tenants, key), 30)

    asyncio.run(story())
