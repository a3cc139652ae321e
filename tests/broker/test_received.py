"""A message copied into a record: whatever a foreign client wrote, it can be handed on."""

from typing import TYPE_CHECKING, cast

import pytest

from broker.client import received
from schemas.errors import UnreadableRecord
from schemas.record import from_record

if TYPE_CHECKING:
    from confluent_kafka import Message


class NamedInLatin1:
    """A message with a header whose name is not UTF-8: confluent-kafka cannot make a text of it, and raises."""

    def partition(self) -> int:
        """Give the partition."""
        return 3

    def offset(self) -> int:
        """Give the offset."""
        return 5

    def timestamp(self) -> tuple[int, int]:
        """Give kind and time."""
        return 2, 1_000

    def key(self) -> bytes:
        """Give the key."""
        return b"acme/one"

    def value(self) -> bytes:
        """Give the value."""
        return b"{}"

    def headers(self) -> None:
        """Raise what confluent-kafka raises."""
        raise SystemError("returned a result with an exception set")


def test_headers_that_cannot_be_told_make_a_record_unreadable_and_nothing_else() -> None:
    """Promise 12: it would otherwise end one member after another."""
    record = received(cast("Message", NamedInLatin1()))
    assert (record.partition, record.offset, record.key, record.value) == (3, 5, b"acme/one", b"{}")
    with pytest.raises(UnreadableRecord, match="ambiguous"):
        from_record(record)
