"""The network between a process and Kafka: requests arrive late, or get lost, and so do their answers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar

from tests.simulation.scheduler import Act, Future, Process

T = TypeVar("T")
GIVEN_UP = 3.0
"""After so many seconds a process stops waiting for an answer; its request may still land."""


@dataclass(slots=True, kw_only=True, eq=False)
class Network:
    """Carry requests and answers; all is well as long as there is no `trouble`."""

    rng: Random
    trouble: bool = True

    def latency(self) -> float:
        """Draw how long one way takes."""
        roll = self.rng.random()
        if not self.trouble or roll < 0.9:
            return self.rng.uniform(0.001, 0.03)
        return self.rng.uniform(0.2, 2.0) if roll < 0.98 else self.rng.uniform(3.0, 12.0)

    def chance(self, probability: float) -> bool:
        """Decide whether something goes wrong."""
        return self.trouble and self.rng.random() < probability

    def request(self, process: Process, land: Callable[[], T]) -> Future[T | None]:
        """Do `land` at the broker, and give what it returns; None if no answer came in time."""
        answered: Future[T | None] = Future()
        process.later(GIVEN_UP, partial(answered.resolve, None))
        if process.cut_until > process.scheduler.now or self.chance(0.01):
            return answered
        process.scheduler.later(self.latency(), partial(self._landed, process, land, answered))
        return answered

    def send(self, process: Process, act: Act) -> None:
        """Tell a process something that reaches it surely: once it is connected."""
        wait = max(0.0, process.cut_until - process.scheduler.now)
        process.later(wait + self.rng.uniform(0.001, 0.03), act)

    def _landed(self, process: Process, land: Callable[[], T], answered: Future[T | None]) -> None:
        answer = land()
        if process.cut_until <= process.scheduler.now and not self.chance(0.02):
            process.later(self.latency(), partial(answered.resolve, answer))
