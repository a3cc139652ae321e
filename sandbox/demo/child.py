"""A process of the pipeline: started under a guard, followed through its log."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from broker.embedded.process import GuardedProcess, last_lines
from schemas.errors import Permanent

_POLL_SECONDS = 0.05
_Found = TypeVar("_Found")


class ChildEnded(Permanent):
    """A process ended, or did not start, although nobody asked it to; the message has its last lines."""


class Child:
    """`python -m ARGUMENTS` in a process that ends with this one, however that happens.

    `environment` is set for it, `without` are the variables that it does not inherit. It writes to `log`, a file in
    `directory`, which is removed should this process die.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        without: Sequence[str],
        directory: Path,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self.expected_to_end = False
        self._read = 0
        unset = [part for variable in without for part in ("-u", variable)]
        assignments = [f"{variable}={value}" for variable, value in environment.items()]
        command = ["env", *unset, *assignments, sys.executable, "-m", *arguments]
        self._process = GuardedProcess(command, directory=directory, log=self.log)

    @property
    def returncode(self) -> int | None:
        """The exit status once it has ended; 256 - n where signal n ended it."""
        return self._process.returncode

    @property
    def running(self) -> bool:
        """Say whether it has not ended, frozen or not."""
        return self.returncode is None

    def check(self) -> None:
        """Raise ChildEnded if it has ended without having been asked to."""
        if not self.running and not self.expected_to_end:
            status, printed = self.returncode, last_lines(self.log)
            raise ChildEnded(f"{self.name} ended with status {status}. Its last lines:\n{printed}")

    def new_lines(self) -> Iterator[bytes]:
        """Give the complete lines that it has logged since the last look."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                yield line

    async def say(self, find: Callable[[bytes], _Found | None], within: float) -> _Found:
        """Wait for a line in which `find` finds something. Raises ChildEnded, also after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while True:
                    self.check()
                    for line in self.new_lines():
                        if (found := find(line)) is not None:
                            return found
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            printed = last_lines(self.log)
            raise ChildEnded(f"{self.name} was not ready after {within:.0f} s. Its last lines:\n{printed}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP freezes it, SIGCONT lets it go on."""
        self._process.send(number)

    def kill(self) -> None:
        """End it by SIGKILL, at once."""
        self.expected_to_end = True
        self.send(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it by SIGTERM to end."""
        self.expected_to_end = True
        self.send(signal.SIGTERM)

    async def ended(self, within: float) -> int | None:
        """Wait up to `within` seconds for its end and give the exit status; None if it goes on."""
        return await asyncio.to_thread(self._process.wait, within)

    def remove(self) -> None:
        """Make sure that it is gone."""
        self.expected_to_end = True
        self._process.kill()
