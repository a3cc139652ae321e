"""Run one child process that must not outlive the process which asked for it.

Started by path, with nothing but the standard library: `python guard.py DIRECTORY COMMAND...`. The owner holds the
other end of standard input. A byte on it is the number of a signal for the child; its end means that the owner is
gone, however it died, and then the child is killed and DIRECTORY removed.

The guard exists because the kernel's parent-death signal alone does not do: it follows the *thread* that forked, so
a child started from a worker thread dies when that thread ends, and it is known to Linux only. Here it is the second
line: should the guard itself be killed, its child goes too, since the guard forks from the only thread it has.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL = 0.1
"""Seconds between two looks at the child and the owner."""


def _die_with(guard: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)


def _orders() -> bytes | None:
    """Wait a moment for orders; none at all is no longer to be expected when the answer is None."""
    readable, _, _ = select.select([0], [], [], _POLL)
    if not readable:
        return b""
    return os.read(0, 64) or None


def _watch(child: subprocess.Popen[bytes], owner: int) -> bool:
    """Carry out orders until the child has ended; say whether the owner was there to the end."""
    while child.poll() is None:
        orders = _orders()
        # A process forked off the owner may still hold the pipe, so its end alone is not proof enough.
        if orders is None or os.getppid() != owner:
            return False
        for number in orders:
            child.send_signal(number)
    return True


def main(directory: str, *command: str) -> int:
    """Run `command` and return its exit status, or 1 when the owner went away first."""
    owner, guard = os.getppid(), os.getpid()
    child = subprocess.Popen(  # noqa: S603 - the owner's own command line
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: _die_with(guard),  # noqa: PLW1509 - this process has one thread
    )
    # A stop of the whole session reaches the child as well; the guard stays until it has ended.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: child.send_signal(received))
    if _watch(child, owner):
        return child.wait()
    child.kill()
    child.wait()
    # Each node's guard clears the cluster's whole folder, after its own child: the last one leaves nothing.
    shutil.rmtree(directory, ignore_errors=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
