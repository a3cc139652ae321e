"""One process of an embedded Kafka: started under a guard, signalled, waited for."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from broker.embedded import guard

_GUARD = Path(guard.__file__)
_KILLED_WITHIN = 10.0
"""Seconds for the kernel and the guard to report a killed child."""


class GuardedProcess:
    """A child process that ends when this process ends, however that happens.

    The guard (see there) and its child have a session of their own: Ctrl-C at the terminal reaches this process
    only, which then stops them in order. Their output goes to `log`. Should this process die, the guard removes
    `directory`.
    """

    def __init__(self, command: Sequence[str], *, directory: Path, log: Path) -> None:
        with log.open("ab") as output:
            self._guard = subprocess.Popen(  # noqa: S603 - our own interpreter, our own script
                [sys.executable, "-I", "-S", str(_GUARD), str(directory), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                bufsize=0,
            )

    @property
    def pid(self) -> int:
        """The guard's process id, which is that of the process group too."""
        return self._guard.pid

    @property
    def returncode(self) -> int | None:
        """The exit status once the process has ended; 256 - n where signal n ended it."""
        return self._guard.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child; do nothing when it has ended."""
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(bytes([number]))

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds for the end and return the exit status, or None if there was none."""
        try:
            return self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Kill the child at once and return when it is gone."""
        # By the guard, so that the child itself has been waited for; by force only should that not answer.
        self.send(signal.SIGKILL)
        if self.wait(_KILLED_WITHIN) is None:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def last_lines(log: Path, count: int = 15) -> str:
    """Return the last lines of a log, for an error message."""
    if not log.exists():
        return "(none)"
    with log.open(errors="replace") as lines:
        return "".join(deque(lines, count)).rstrip() or "(none)"
