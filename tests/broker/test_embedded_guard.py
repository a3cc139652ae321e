"""No process of an embedded Kafka outlives its owner. Tried with a small child, since Java would be no different."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from broker.embedded.process import GuardedProcess, last_lines

_CHILD = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()} '); time.sleep(600)"

_OWNER = """
import os, sys, time
from pathlib import Path
from broker.embedded.process import GuardedProcess

folder, child, forks = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
command = [sys.executable, "-c", child, str(folder.parent / "pid")]
process = GuardedProcess(command, directory=folder, log=folder / "log")
if forks and os.fork() == 0:
    time.sleep(20)
    os._exit(0)
print(process.pid, flush=True)
time.sleep(600)
"""


def _wait_until(done: Callable[[], object], within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Someone else's zombie answers to signals, and a machine whose first process reaps nobody keeps it.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder that the guard may remove."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    return folder


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Give the way to learn the child's process id, and see to it that nothing is left of a failed test."""
    note = tmp_path / "pid"

    def pid() -> int:
        _wait_until(lambda: note.exists() and note.read_text().endswith(" "))
        return int(note.read_text())

    yield pid
    if note.exists() and _is_alive(pid()):
        os.kill(pid(), signal.SIGKILL)


def _guarded(folder: Path) -> GuardedProcess:
    command = [sys.executable, "-c", _CHILD, str(folder.parent / "pid")]
    return GuardedProcess(command, directory=folder, log=folder / "log")


def _owner(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(folder), _CHILD, *options], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("options", [[], ["fork"]], ids=["alone", "with a fork that holds the pipe"])
def test_child_and_folder_go_when_the_owner_is_killed(
    folder: Path, child: Callable[[], int], options: list[str]
) -> None:
    """SIGKILL leaves the owner no moment to clean up; the guard does it, also where a fork keeps the pipe open."""
    with _owner(folder, *options) as owner:
        pid = child()
        owner.kill()
        _wait_until(lambda: not _is_alive(pid))
        _wait_until(lambda: not folder.exists())


def test_frozen_child_goes_with_its_owner_too(folder: Path, child: Callable[[], int]) -> None:
    """A paused node runs no code of its own, and still must not be left behind."""
    with _owner(folder) as owner:
        pid = child()
        os.kill(pid, signal.SIGSTOP)
        owner.kill()
        _wait_until(lambda: not _is_alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_child_goes_when_its_guard_is_killed(folder: Path, child: Callable[[], int]) -> None:
    """The guard itself can be killed: then the kernel ends the child."""
    process = _guarded(folder)
    pid = child()
    os.kill(process.pid, signal.SIGKILL)
    _wait_until(lambda: not _is_alive(pid))
    process.kill()


def test_child_lives_on_when_the_thread_that_started_it_ends(folder: Path, child: Callable[[], int]) -> None:
    """The kernel's parent-death signal follows the thread that forked, which is why the owner does not use it."""
    started: list[GuardedProcess] = []
    thread = Thread(target=lambda: started.append(_guarded(folder)))
    thread.start()
    thread.join()
    (process,) = started
    pid = child()
    assert process.wait(0.5) is None
    assert _is_alive(pid)
    process.kill()


def test_kill_returns_when_the_child_is_gone(folder: Path, child: Callable[[], int]) -> None:
    """Whoever removes the child's files next must not race with it."""
    process = _guarded(folder)
    pid = child()
    process.kill()
    assert not _is_alive(pid)
    assert folder.exists()


def test_signals_reach_the_child_and_its_end_is_reported(folder: Path, child: Callable[[], int]) -> None:
    """The guard passes on what it is asked to send, and ends with its child."""
    process = _guarded(folder)
    child()
    assert process.returncode is None
    process.send(signal.SIGTERM)
    assert process.wait(10) == 256 - signal.SIGTERM
    process.send(signal.SIGTERM)
    process.kill()


def test_request_to_end_the_guard_ends_the_child_first(folder: Path, child: Callable[[], int]) -> None:
    """A service manager that stops a whole session asks the guard as well."""
    process = _guarded(folder)
    pid = child()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == 256 - signal.SIGTERM
    assert not _is_alive(pid)
    process.kill()


def test_log_ends_in_its_last_lines(tmp_path: Path) -> None:
    """An error message shows the end of what the process printed, and says when that is nothing."""
    log = tmp_path / "log"
    assert last_lines(log) == "(none)"
    log.write_bytes(b"one\ntwo\nthr\xffee\n")
    assert last_lines(log, 2) == "two\nthr�ee"
