"""Taking over: carries out the commands of a takeover, one after another: claim, mark, read back."""

import asyncio
from dataclasses import dataclass

import structlog

from broker.history import History, starting_offset
from broker.log_reader import LogReader
from broker.publisher import Position, Publisher
from broker.subscription import CommitRefused, CommitRequest, Subscription
from consumer.engine.commands import Claim, Command, Mark, ReadBack, Survey
from consumer.engine.takeover import HistoryEntry
from consumer.tenure import Tenure
from schemas.errors import Retryable, UnreadableRecord
from schemas.outcome import Ended, Taken, read_outcome, write_outcome
from schemas.record import ReceivedRecord, Record
from schemas.telemetry import LogEvent

_TRY_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """What a member reads with and writes with, and the name of its group's outcomes topic."""

    subscription: Subscription
    publisher: Publisher
    logs: LogReader
    outcomes: str

    def write(self, partition: int, record: Ended | Taken) -> asyncio.Future[Position]:
        """Write a record to the outcomes log of a partition. Raises what `Publisher.publish` raises."""
        value = Record(key=b"", value=write_outcome(record), headers=())
        return self.publisher.publish(self.outcomes, value, partition=partition)


async def take_over(tenure: Tenure, clients: Clients) -> list[Command]:
    """Take a partition over; give the commands with which handling begins.

    What fails is tried again for as long as the tenure lasts: the subscription ends it by cancelling this. Raises
    UnreadableRecord if the log holds records of a later version than this release knows.
    """
    commands = tenure.engine.begin()
    while not tenure.engine.running:
        try:
            commands = await _step(tenure, commands[0], clients)
        except Retryable as error:
            structlog.get_logger().warning(LogEvent.TAKEOVER_DELAYED, partition=tenure.partition, error=str(error))
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
    return commands


async def _step(tenure: Tenure, command: Command, clients: Clients) -> list[Command]:
    """Carry out one command; Retryable leaves the takeover where it was."""
    match command:
        case Survey():
            return tenure.engine.surveyed(await _survey(tenure, clients))
        case Claim():
            await _claim(tenure, command, clients)
            return tenure.engine.claimed()
        case Mark(taken=taken):
            return tenure.engine.marked((await clients.write(tenure.partition, taken)).offset)
        case ReadBack():
            await _read(tenure, await _existing(tenure, command, clients), clients)
            return tenure.engine.read_back()
        case _:
            raise TypeError(f"{command} has no place in a takeover")


async def _survey(tenure: Tenure, clients: Clients) -> int:
    history = await clients.logs.history(clients.outcomes, tenure.partition)
    await _read(tenure, range(history.low, history.high), clients)
    return history.high


async def _existing(tenure: Tenure, wanted: ReadBack, clients: Clients) -> range:
    """Bound what is to be read back to what exists, and report what has expired: nobody knows how that ended."""
    history = await clients.logs.history(clients.outcomes, tenure.partition)
    # Position 0 stands for the beginning, wherever that is by now.
    start, gone = starting_offset(wanted.start or None, History(low=history.low, high=wanted.until))
    if gone:
        structlog.get_logger().error(
            LogEvent.HISTORY_EXPIRED,
            topic=clients.outcomes,
            partition=tenure.partition,
            first_gone=gone.start,
            last_gone=gone.stop - 1,
        )
    return range(start, wanted.until + 1)


async def _claim(tenure: Tenure, claim: Claim, clients: Clients) -> None:
    request = CommitRequest(
        partition=tenure.partition, tenure=tenure.number, offset=claim.offset, metadata=claim.metadata
    )
    sent_at = asyncio.get_running_loop().time()
    try:
        taken = await clients.subscription.commit([request])
    except CommitRefused as error:
        raise Retryable(f"the claim was refused: {error}") from None
    if tenure.number not in taken:
        raise Retryable("the claim was not taken: the partition is about to go")
    tenure.lease.renew(sent_at)


async def _read(tenure: Tenure, stretch: range, clients: Clients) -> None:
    async for records in clients.logs.read(clients.outcomes, tenure.partition, stretch):
        entries = (_entry(record, clients.outcomes) for record in records)
        tenure.engine.history_read([entry for entry in entries if entry is not None])


def _entry(record: ReceivedRecord, topic: str) -> HistoryEntry | None:
    """Read a record of the outcomes log; garbage stops nothing, a later version stops the takeover."""
    try:
        return HistoryEntry(position=record.offset, record=read_outcome(record.value))
    except UnreadableRecord as error:
        if error.reason == "unknown-version":
            raise
        structlog.get_logger().error(
            LogEvent.RECORD_UNREADABLE,
            topic=topic,
            partition=record.partition,
            offset=record.offset,
            reason=error.reason,
        )
        return None
