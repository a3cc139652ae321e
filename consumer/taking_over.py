"""Taking over: carries out the commands of a takeover, one after another: claim, mark, read back."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import structlog

from broker.history import History, starting_offset
from broker.subscription import CommitRefused, CommitRequest
from consumer import reports
from consumer.alarms import Alarms
from consumer.clients import Clients
from consumer.engine.commands import Claim, Command, Log, Mark, ReadBack
from consumer.engine.parking import ParkedEntry
from consumer.engine.takeover import Marks, OutcomeEntry
from consumer.tenure import Tenure
from schemas.errors import Retryable, UnreadableRecord
from schemas.outcome import Taken, read_outcome
from schemas.parked import Park, read_note
from schemas.record import ReceivedRecord, Record, from_record
from schemas.telemetry import LogEvent

_TRY_AGAIN_SECONDS = 0.2

Garbage = Callable[[ReceivedRecord, UnreadableRecord], None]
"""Told of what cannot be read; raises the error if a later version wrote it."""


async def take_over(tenure: Tenure, clients: Clients, alarms: Alarms) -> list[Command]:
    """Take a partition over; give the commands with which handling begins.

    What fails is tried again for as long as the tenure lasts: the subscription ends it by cancelling this. Raises
    UnreadableRecord if a log holds records of a later version than this release knows.
    """
    commands = tenure.engine.begin()
    while not tenure.engine.running:
        try:
            commands = await _step(tenure, commands[0], clients, alarms)
        except Retryable as error:
            structlog.get_logger().warning(LogEvent.TAKEOVER_DELAYED, partition=tenure.partition, error=str(error))
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
    return commands


async def _step(tenure: Tenure, command: Command, clients: Clients, alarms: Alarms) -> list[Command]:
    """Carry out one command; Retryable leaves the takeover where it was."""
    match command:
        case Claim():
            await _claim(tenure, command, clients)
            return tenure.engine.claimed()
        case Mark(taken=taken):
            return tenure.engine.marked(await _mark(tenure.partition, taken, clients))
        case ReadBack():
            await _read_back(tenure, command, clients, alarms)
            return tenure.engine.read_back()
        case _:
            raise TypeError(f"{command} has no place in a takeover")


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


async def _mark(partition: int, taken: Taken, clients: Clients) -> Marks:
    # Coroutines, not futures: where one log takes no record at all, somebody still hears of the other's.
    outcomes, parked = await asyncio.gather(
        clients.mark(partition, Log.OUTCOMES, taken), clients.mark(partition, Log.PARKED, taken)
    )
    return Marks(outcomes=outcomes.offset, parked=parked.offset)


async def _read_back(tenure: Tenure, wanted: ReadBack, clients: Clients, alarms: Alarms) -> None:
    stretch = await _existing(tenure, wanted, clients)
    if not stretch:  # usual for both logs after a stop in order: only our own mark is there
        return
    topic = clients.topic(wanted.log)
    garbage = partial(_pass_garbage, alarms, topic)
    async for records in clients.logs.read(topic, tenure.partition, stretch):
        if wanted.log is Log.PARKED:
            tenure.engine.parked_read(list(_parked_entries(records, garbage)))
        else:
            tenure.engine.outcomes_read(list(_outcome_entries(records, garbage)))
    if wanted.log is Log.PARKED:
        history = await clients.logs.history(topic, tenure.partition)
        tenure.engine.parked_cut(history.low)


async def _existing(tenure: Tenure, wanted: ReadBack, clients: Clients) -> range:
    """Bound what is to be read back to what exists, and report what has expired: nobody knows how that ended."""
    if wanted.start == wanted.until:
        return range(0)
    topic = clients.topic(wanted.log)
    history = await clients.logs.history(topic, tenure.partition)
    # Position 0 stands for the beginning, wherever that is by now.
    start, gone = starting_offset(wanted.start or None, History(low=history.low, high=wanted.until))
    if gone:
        structlog.get_logger().error(
            LogEvent.HISTORY_EXPIRED,
            topic=topic,
            partition=tenure.partition,
            first_gone=gone.start,
            last_gone=gone.stop - 1,
        )
    return range(start, wanted.until)


def _outcome_entries(records: Sequence[ReceivedRecord], garbage: Garbage) -> Iterator[OutcomeEntry]:
    for record in records:
        try:
            yield OutcomeEntry(position=record.offset, record=read_outcome(record.value))
        except UnreadableRecord as error:
            garbage(record, error)


def _parked_entries(records: Sequence[ReceivedRecord], garbage: Garbage) -> Iterator[ParkedEntry]:
    for record in records:
        try:
            note, parked = read_note(record)
            if isinstance(note, Park):
                _check_event(note, parked)
            yield ParkedEntry(position=record.offset, note=note, record=parked)
        except UnreadableRecord as error:
            garbage(record, error)


def _check_event(note: Park, parked: Record) -> None:
    """Refuse what we cannot have written: a park whose event cannot be read, or is another one."""
    received = ReceivedRecord(
        partition=0, offset=note.offset, timestamp=0.0, key=parked.key, value=parked.value, headers=parked.headers
    )
    try:
        event = from_record(received)
    except UnreadableRecord as error:
        raise UnreadableRecord("bad-note", f"a park whose event cannot be read: {error}") from None
    if event.id != note.id:
        raise UnreadableRecord("bad-note", "the note names another event than the record holds")


def _pass_garbage(alarms: Alarms, topic: str, record: ReceivedRecord, error: UnreadableRecord) -> None:
    """Let garbage stop nothing, and a later version stop the takeover."""
    if error.reason == "unknown-version":
        raise error
    reports.unreadable(alarms, topic, record, error)
