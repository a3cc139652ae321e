"""Writes in the simulation: mirrors `consumer.writes`: everything an engine asks for is written, in the tenure."""

from functools import partial
from typing import TYPE_CHECKING

from consumer.engine.commands import Command, Write, WriteDead, WriteOutcome, WritePark
from tests.simulation.scheduler import Steps, Task
from tests.simulation.tenure import Tenure

if TYPE_CHECKING:
    from tests.simulation.member import Member

_WRITE_AGAIN_SECONDS = 0.1


class Writes:
    """Write for the tenures of a member."""

    def __init__(self, member: "Member") -> None:
        self._member = member

    def write(self, tenure: Tenure, write: Write) -> None:
        """Write, and try again for as long as the tenure lasts."""
        acknowledged = self._member.producer.write(tenure.facts, write)
        tenure.writes[id(acknowledged)] = (write, acknowledged)
        acknowledged.then(partial(self._answered, tenure, write, id(acknowledged)))

    def _answered(self, tenure: Tenure, write: Write, number: int, position: int | None) -> None:
        tenure.writes.pop(number, None)
        if tenure.over:
            return
        if position is None:
            self.not_written(tenure, write)
        else:
            self.done(tenure, write, position)

    def done(self, tenure: Tenure, write: Write, position: int) -> None:
        """Tell the engine what is durable now, and do what follows."""
        self._member.carry_out(tenure, self._written(tenure, write, position))

    def _written(self, tenure: Tenure, write: Write, position: int) -> list[Command]:
        engine = tenure.engine
        match write:
            case WriteOutcome(ended=ended):
                tenure.facts.open.discard(ended.offset)
                tenure.facts.may_be_followed.add(ended.offset)
                return engine.outcome_written(ended.offset, position)
            case WritePark(offset=offset):
                tenure.parks.discard(offset)
                return engine.park_written(offset, position)
            case WriteDead(offset=offset):
                return engine.dead_written(offset)
            case _:
                return engine.settle_written(write.offset, position)

    def not_written(self, tenure: Tenure, write: Write) -> None:
        """Write again what Kafka did not take."""
        task = self._member.process.spawn(self._write_later(tenure, write))
        tenure.rewrites[id(task)] = task
        task.finished.then(partial(_forget, tenure.rewrites, id(task)))

    def _write_later(self, tenure: Tenure, write: Write) -> Steps[None]:
        yield _WRITE_AGAIN_SECONDS
        self.write(tenure, write)


def _forget(rewrites: dict[int, Task[None]], number: int, _: object) -> None:
    rewrites.pop(number, None)
