"""The coordinator of a group, while it moves or begins: who asks it anything has to ask again."""

from confluent_kafka import KafkaError, KafkaException
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from broker.client import kafka_error

_MOVES = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)
_AGAIN_SECONDS = 0.2


def while_coordinator_moves(seconds: float) -> Retrying:
    """Ask again for so many seconds, as long as a KafkaException says that the coordinator is not there yet."""
    return Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, KafkaException) and kafka_error(error).code() in _MOVES
        ),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(_AGAIN_SECONDS),
        reraise=True,
    )
