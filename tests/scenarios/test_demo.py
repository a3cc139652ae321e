"""The demo, as a newcomer runs it: to its end, or until Ctrl-C, and nothing of it is left behind."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.scenarios.conftest import until

pytestmark = pytest.mark.timeout(360)
_OUTPUT_WITHIN = 150.0
"""Alone on two idle cores it takes some 40 s in all; other tests may share them."""
_GONE_WITHIN = 10.0


@pytest.mark.usefixtures("embeddable")
async def test_the_demo_ends_with_a_verdict_and_status_0_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Without a terminal."""
    async with demo(tmp_path) as process:
        output = await asyncio.wait_for(read_to_end(process), _OUTPUT_WITHIN)
        assert await process.wait() == 0, output

    assert "with SIGKILL" in output
    assert "Every promise was kept" in output
    await nothing_left(tmp_path)


@pytest.mark.usefixtures("embeddable")
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Starting Kafka", signal.SIGINT),
        ("Running on", signal.SIGINT),
        ("The sandbox's Fuse is at", signal.SIGKILL),
        ("with SIGKILL", signal.SIGINT),
    ],
)
async def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    """Not even when it has no chance to clear up itself."""
    async with demo(tmp_path) as process:
        await saying(process, moment)
        process.send_signal(number)
        output = await asyncio.wait_for(read_to_end(process), _GONE_WITHIN)
        assert await process.wait() == (130 if number is signal.SIGINT else -signal.SIGKILL), output

    assert "Traceback" not in output
    await nothing_left(tmp_path)


@asynccontextmanager
async def demo(directory: Path) -> AsyncIterator[Process]:
    """Run the demo with all its temporary files in `directory`."""
    environment = {**os.environ, "TMPDIR": str(directory)}
    environment.pop("FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "demo", stdout=PIPE, stderr=STDOUT, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def read_to_end(process: Process) -> str:
    """Read what is still to come."""
    assert process.stdout is not None
    return (await process.stdout.read()).decode()


async def saying(process: Process, text: str) -> None:
    """Wait until it says a text."""
    assert process.stdout is not None
    async with asyncio.timeout(_OUTPUT_WITHIN):
        while text.encode() not in (line := await process.stdout.readline()):
            assert line, f"the demo ended before it said {text!r}"


async def nothing_left(directory: Path) -> None:
    """Wait until neither a file nor a process of the demo is there."""

    async def gone() -> bool:
        return not leftovers(directory)

    with suppress(TimeoutError):
        await until(gone, _GONE_WITHIN)
    assert leftovers(directory) == []


def leftovers(directory: Path) -> list[str]:
    """Name files in `directory`, and processes that have it in their environment, where the system shows that."""
    return [*(path.name for path in directory.iterdir()), *processes_of(directory)]


def processes_of(directory: Path) -> list[str]:
    """Find processes that were told to keep their temporary files in `directory`."""
    marker = f"TMPDIR={directory}".encode()
    return [entry.name for entry in Path("/proc").glob("[0-9]*") if marker in _environment(entry)]


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it is somebody else's, or has just ended
        return b""
