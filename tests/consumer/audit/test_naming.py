"""What is said of an event that is named: for people and machines, whatever the event holds."""

import orjson
import pytest

from consumer.audit.naming import _named
from schemas.record import to_record
from tests.consumer.fakes import event, received


@pytest.mark.parametrize("connection", ["\x1b[2Jall is well", "two\nlines", "\ud800", "ä"])
def test_an_event_is_named_as_logs_and_record_keys_have_it(connection: str) -> None:
    """Neither does a text from outside steer a terminal, nor does half a character end the audit."""
    record = received(to_record(event(1, connection=connection)), 0, 7)
    named = _named("source", (0, 7, "unaccounted"), record)
    assert f"{named.tenant}/{named.connection}".encode() == record.key
    assert named.connection.isascii()
    assert named.connection.isprintable()
    orjson.dumps(named)
