"""Reports: what a member logs of single events and records."""

from collections.abc import Sequence

import structlog

from consumer.alarms import Alarms
from consumer.engine.commands import Command, WriteDead
from consumer.engine.lanes import Waiting
from consumer.engine.retry import Failed
from schemas.errors import UnreadableRecord
from schemas.outcome import Ended, OutcomeKind
from schemas.record import ReceivedRecord, encode_attribute
from schemas.telemetry import LogEvent


def unreadable(alarms: Alarms, topic: str, record: ReceivedRecord, error: UnreadableRecord) -> None:
    """Raise an alarm for a record that does not follow the contract: the first for each reason in a minute."""
    alarms.happened(
        LogEvent.RECORD_UNREADABLE,
        error.reason,
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        reason=error.reason,
        error=str(error),
    )


def failed(waiting: Waiting, attempts: int, failure: Failed, commands: Sequence[Command]) -> None:
    """Log that an event's patience in its lane, or a turn of a parked one, is at its end, and what comes then."""
    dead = any(isinstance(command, WriteDead) for command in commands)
    structlog.get_logger().warning(
        LogEvent.EVENT_FAILED,
        event_id=waiting.event.id,
        tenant=waiting.event.tenant,
        connection=encode_attribute(waiting.event.connection).decode(),
        attempts=waiting.tried.attempts + attempts,
        error=failure.error,
        then="dead" if dead else "parked",
    )


_USUAL = frozenset({OutcomeKind.APPLIED, OutcomeKind.SUPERSEDED})


def ended(partition: int, outcome: Ended) -> None:
    """Log how an event ended, unless as usual: the outcomes topic says that of each, and a line costs as much again."""
    if outcome.outcome not in _USUAL:
        structlog.get_logger().info(
            LogEvent.EVENT_ENDED,
            event_id=outcome.id,
            partition=partition,
            offset=outcome.offset,
            outcome=outcome.outcome,
            reason=outcome.reason,
            attempts=outcome.attempts,
        )
