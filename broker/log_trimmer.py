"""The log trimmer: deletes the beginning of logs that nobody needs any more."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, TopicPartition

from broker.client import admin, kafka_error
from schemas.errors import Retryable
from schemas.settings import PipelineSettings

_REQUEST_SECONDS = 10.0


class LogTrimmer:
    """Delete records from the beginning of partitions. Use as an async context manager."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        self._admin = admin(self._settings, {})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._admin

    async def trim(self, topic: str, below: Mapping[int, int]) -> None:
        """Delete what lies below an offset of each partition. Raises Retryable if that could not be done."""
        places = [TopicPartition(topic, partition, offset) for partition, offset in below.items()]
        try:
            await asyncio.to_thread(self._trim, places)
        except (KafkaException, TimeoutError) as error:
            self._admin = admin(self._settings, {})  # it may wait for a leader that is dead by now
            raise Retryable(f"{topic}: records could not be deleted: {_text(error)}") from None

    def _trim(self, places: list[TopicPartition]) -> None:
        answers = self._admin.delete_records(places, request_timeout=_REQUEST_SECONDS)
        for answer in answers.values():
            answer.result(_REQUEST_SECONDS)


def _text(error: KafkaException | TimeoutError) -> str:
    return kafka_error(error).str() if isinstance(error, KafkaException) else "no answer in time"
