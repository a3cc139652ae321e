"""The commands, as a user runs them."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sandbox.__main__ import main
from sandbox.inquiry import Inquiry
from sandbox.manifest import AcceptedWebhook, Manifest, read_manifest, write_manifest
from tests.sandbox.conftest import TENANTS_FILE


async def start(*arguments: str) -> Process:
    """Start a command."""
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "sandbox", *arguments, stdout=PIPE, stderr=PIPE)


async def run(*arguments: str) -> tuple[int | None, str]:
    """Run a command to its end; give its exit status and output."""
    process = await start(*arguments)
    output, errors = await process.communicate()
    return process.returncode, (output + errors).decode()


@asynccontextmanager
async def fuse(*arguments: str) -> AsyncIterator[str]:
    """Run `fuse` on a free port and give its URL; it has to end well on SIGTERM."""
    process = await start("fuse", "--tenants", str(TENANTS_FILE), "--port", "0", *arguments)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        yield line.removeprefix("listening on ").strip()
    finally:
        process.send_signal(signal.SIGTERM)
        output, errors = await process.communicate()
    assert (process.returncode, output, errors) == (0, b"", b"")


async def test_fuse_says_where_it_listens_answers_and_stops_on_sigterm(tmp_path: Path) -> None:
    """With a plan and a delay from the command line."""
    (tmp_path / "plan.toml").write_text('delay = 5\n[[rules]]\naction = { do = "hang" }\n')
    async with (
        fuse("--plan", str(tmp_path / "plan.toml"), "--delay", "0.01:0.02") as url,
        aiohttp.ClientSession() as session,
    ):
        assert (await Inquiry(session, url).summary()).received == 0


async def test_judge_exits_with_0_if_all_promises_were_kept_and_1_if_not(tmp_path: Path) -> None:
    """And names what was lost."""
    write_manifest(Manifest(), tmp_path / "kept.json")
    event = AcceptedWebhook(tenant="acme", connection="c", type="financial_connection.sync_data", body="b", id="e-1")
    write_manifest(Manifest(accepted=(event,)), tmp_path / "lost.json")
    async with fuse() as url:
        kept, _ = await run("judge", "--fuse", url, "--manifest", str(tmp_path / "kept.json"))
        lost, output = await run("judge", "--fuse", url, "--manifest", str(tmp_path / "lost.json"), "--wait", "0.5")
    assert (kept, lost) == (0, 1)
    assert "acme/c e-1" in output


async def accepting(request: web.BaseRequest) -> web.Response:
    """Accept what is signed."""
    signed = "fuse-verification" in request.headers
    return web.json_response({"id": "e"}) if signed else web.Response(status=403)


async def test_send_writes_the_manifest_and_exits_with_1_if_a_forgery_was_accepted(tmp_path: Path) -> None:
    """This ingress takes every signature for a good one."""
    runner = web.ServerRunner(web.Server(accepting), shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    given = ["send", "--url", url, "--tenants", str(TENANTS_FILE), "--count", "50", "--manifest"]
    good, _ = await run(*given, str(tmp_path / "good.json"))
    bad, output = await run(*given, str(tmp_path / "bad.json"), "--forged-share", "0.5")
    await runner.cleanup()
    assert (good, bad) == (0, 1)
    assert len(read_manifest(tmp_path / "good.json").accepted) == 50
    counts = read_manifest(tmp_path / "bad.json").counts
    assert counts.refused > 0
    assert f"{counts.forged_accepted}" in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fuse", "--tenants", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["fuse", "--tenants", str(TENANTS_FILE), "--plan", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["judge", "--manifest", "nowhere.json", "--fuse", "http://127.0.0.1:9"], "nowhere.json: cannot be read"),
    ],
)
def test_a_mistake_gives_one_sentence_and_status_1(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback."""
    assert main(arguments) == 1
    assert sentence in capsys.readouterr().err


def test_judge_says_so_when_the_fake_fuse_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Port 9 of this machine answers nobody."""
    write_manifest(Manifest(), tmp_path / "manifest.json")
    assert main(["judge", "--manifest", str(tmp_path / "manifest.json"), "--fuse", "http://127.0.0.1:9"]) == 1
    assert "is it running there?" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--delay", "2:1"], ["--delay", "x"], ["--keep", "0"]])
def test_an_option_out_of_its_range_is_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """By name, with status 2."""
    with pytest.raises(SystemExit) as caught:
        main(["fuse", "--tenants", str(TENANTS_FILE), *option])
    assert caught.value.code == 2
    assert option[0] in capsys.readouterr().err
