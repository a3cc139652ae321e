"""What a member reads with and writes with, and where each thing that its engines ask for is written."""

import asyncio
from dataclasses import dataclass

from broker.log_reader import LogReader
from broker.log_trimmer import LogTrimmer
from broker.publisher import Position, Publisher
from broker.subscription import Subscription
from consumer.engine.commands import Log, Write, WriteDead, WriteOutcome, WritePark, WriteSettle
from schemas.outcome import Ended, Taken, write_outcome
from schemas.parked import write_note
from schemas.record import Record
from schemas.topics import GroupTopics


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The clients of one member, and the topics of its group."""

    subscription: Subscription
    publisher: Publisher
    logs: LogReader
    trimmer: LogTrimmer
    topics: GroupTopics

    def topic(self, log: Log) -> str:
        """Name the topic of a log."""
        return self.topics.outcomes if log is Log.OUTCOMES else self.topics.parked

    def write(self, partition: int, write: Write) -> asyncio.Future[Position]:
        """Write what an engine asks for. Raises what `Publisher.publish` raises."""
        match write:
            case WriteOutcome(ended=ended):
                return self.publisher.publish(self.topics.outcomes, _outcome(ended), partition=partition)
            case WritePark(record=record) | WriteSettle(record=record):
                return self.publisher.publish(self.topics.parked, record, partition=partition)
            case WriteDead(record=record):
                return self.publisher.publish(self.topics.dead, record, partition=partition)

    async def mark(self, partition: int, log: Log, taken: Taken) -> Position:
        """Write a mark to a log; give where it lies. Raises what `Publisher.publish` and its future raise."""
        record = _outcome(taken) if log is Log.OUTCOMES else write_note(taken)
        return await self.publisher.publish(self.topic(log), record, partition=partition)


def _outcome(record: Ended | Taken) -> Record:
    return Record(key=b"", value=write_outcome(record), headers=())
