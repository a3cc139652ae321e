"""Folding: batches of the three logs into ledgers.

A record of ours is read without models, since there may be millions; what looks odd is left to those who know.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields

import orjson

from broker.client import headers_of, received
from broker.scan import Batch
from consumer.audit.ledger import KINDS, NO_ID, Ledger
from schemas import outcome, parked
from schemas.errors import UnreadableRecord
from schemas.outcome import Ended, Taken, read_outcome
from schemas.parked import HEADER, Park, Settle, read_note
from schemas.record import Headers, decode_attribute

Ledgers = Mapping[int, Ledger]

_FIELDS = sum(field.default is MISSING for field in fields(Ended)) + len(("record", "v"))
"""The least that an outcome consists of."""
_CLOCKS_APART_MILLISECONDS = 600_000
"""By how much an event may seem to have been appended before one that is in front of it: another broker's clock."""


def fold_events(batch: Batch, ledgers: Ledgers, tenant: str | None) -> None:
    """Fold events of the source; of one tenant, if one is given."""
    prefix = None if tenant is None else f"{tenant}/".encode()
    for message in batch:
        if prefix is not None and not (message.key() or b"").startswith(prefix):
            continue
        ledger = ledgers[message.partition() or 0]
        ledger.begins_at(message.timestamp()[1] - _CLOCKS_APART_MILLISECONDS)
        ledger.event(message.offset() or 0, _identity(headers_of(message)))


def _identity(headers: Headers) -> int:
    for name, value in headers:
        if name == "ce_id":
            try:
                return hash(decode_attribute(name, value or b""))
            except UnreadableRecord:
                return NO_ID
    return NO_ID


def fold_outcomes(batch: Batch, ledgers: Ledgers) -> int:
    """Fold outcomes; give how many records are none of ours. Raises UnreadableRecord for those of a later version."""
    unreadable = 0
    for message in batch:
        value = message.value()
        try:
            record = orjson.loads(value or b"")
            if record["v"] != outcome.VERSION or record["record"] != "ended" or len(record) < _FIELDS:
                raise KeyError  # noqa: TRY301 - as odd as what lacks these
            ledger = ledgers[message.partition() or 0]
            ledger.ended(record["offset"], hash(record["id"]), KINDS[record["outcome"]], record["received"])
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            unreadable += not _fold_odd_outcome(value, ledgers[message.partition() or 0])
    return unreadable


def _fold_odd_outcome(value: bytes | None, ledger: Ledger) -> bool:
    try:
        record = read_outcome(value)
    except UnreadableRecord as error:
        stop_at_later_version(error)
        return False
    if isinstance(record, Ended):
        ledger.ended(record.offset, hash(record.id), KINDS[record.outcome], record.received)
    return True


def fold_parked(batch: Batch, ledgers: Ledgers) -> int:
    """Fold the parked journal; give how many records are none of ours. Raises UnreadableRecord as above."""
    unreadable = 0
    for message in batch:
        ledger = ledgers[message.partition() or 0]
        try:
            name, value = headers_of(message)[-1]
            note = orjson.loads(value or b"") if name == HEADER else {}
            if note["v"] != parked.VERSION or note["record"] != "park":
                raise KeyError  # noqa: TRY301 - as odd as what lacks these
            ledger.park(note["epoch"], note["offset"], hash(note["id"]))
        except (orjson.JSONDecodeError, IndexError, KeyError, TypeError):
            try:
                _fold_note(read_note(received(message))[0], ledger)
            except UnreadableRecord as error:
                stop_at_later_version(error)
                unreadable += 1
    return unreadable


def _fold_note(note: Park | Settle | Taken, ledger: Ledger) -> None:
    match note:
        case Park(epoch=epoch, offset=offset, id=name):
            ledger.park(epoch, offset, hash(name))
        case Settle(offset=offset):
            ledger.settle(offset)
        case Taken(epoch=epoch):
            ledger.taken(epoch)


def stop_at_later_version(error: UnreadableRecord) -> None:
    """Raise the error if the record may mean something to a later release; what is none of ours says nothing."""
    if error.reason == "unknown-version":
        raise error
