"""The ledger counts as a naive reading of the three logs does, whatever is in them and in whatever order."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from consumer.audit.ledger import KINDS, Ledger
from consumer.audit.report import Counts

STRETCH = range(3, 9)
BEGAN = 1_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event ended."""

    offset: int
    id: str
    kind: str
    received: int


@dataclass(frozen=True, slots=True)
class Park:
    """An event was parked."""

    epoch: int
    offset: int
    id: str


@dataclass(frozen=True, slots=True)
class Settle:
    """An event waits no longer."""

    offset: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A takeover."""

    epoch: int


Record = Outcome | Park | Settle | Taken
offsets = st.integers(1, 10)
ids = st.sampled_from(["", "a", "b"])
epochs = st.integers(1, 3)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(Outcome, offsets, ids, st.sampled_from(list(KINDS)), st.sampled_from([BEGAN - 1, BEGAN])),
    st.builds(Park, epochs, offsets, ids),
    st.builds(Settle, offsets),
    st.builds(Taken, epochs),
)


def told(events: dict[int, str], log: list[Record]) -> Ledger:
    """Let a ledger hear of all."""
    ledger = Ledger(STRETCH)
    for offset, name in events.items():
        ledger.begins_at(BEGAN)
        ledger.event(offset, hash(name))
    for record in log:
        match record:
            case Outcome():
                ledger.ended(record.offset, hash(record.id), KINDS[record.kind], record.received)
            case Park():
                ledger.park(record.epoch, record.offset, hash(record.id))
            case Settle():
                ledger.settle(record.offset)
            case Taken():
                ledger.taken(record.epoch)
    return ledger


def belongs(outcome: Outcome, events: dict[int, str]) -> bool:
    """Say whether an outcome is that of the event at its offset."""
    name = events.get(outcome.offset)
    if name is None or outcome.offset not in STRETCH:
        return False
    return outcome.id == name or (outcome.id == "" and outcome.received >= BEGAN)


def waiting(events: dict[int, str], log: list[Record]) -> set[int]:
    """Find what is parked at the end."""
    parked: set[int] = set()
    epoch = 0
    for record in log:
        if isinstance(record, Settle):
            parked.discard(record.offset)
        elif isinstance(record, Taken):
            epoch = max(epoch, record.epoch)
        elif isinstance(record, Park) and record.epoch >= epoch:
            epoch = record.epoch
            if events.get(record.offset) == record.id:
                parked.add(record.offset)
    return parked


@given(st.dictionaries(offsets, ids), st.lists(records, max_size=30), st.integers(0, 12), st.integers(0, 12))
@example({4: "a"}, [Outcome(4, "b", "applied", BEGAN)], 9, 0)
@example({4: "a"}, [Outcome(4, "a", "dead", BEGAN), Outcome(4, "a", "dead", BEGAN)], 9, 0)
@example({4: "a"}, [Taken(2), Park(1, 4, "a")], 9, 0)
def test_a_ledger_counts_as_a_naive_reading_does(
    events: dict[int, str], log: list[Record], frontier: int, known_from: int
) -> None:
    """Defends promise 6."""
    audited = {offset: name for offset, name in events.items() if offset in STRETCH}
    ended = [record for record in log if isinstance(record, Outcome) and belongs(record, events)]
    first = {record.offset: record.kind for record in reversed(ended)}
    parked = waiting(audited, log) - first.keys()
    open_ = audited.keys() - first.keys() - parked
    suspects = {offset for offset in open_ if offset < frontier}
    unknown = {offset for offset in suspects if offset < known_from}
    times = Counter(record.offset for record in ended)
    repeated = {offset for offset, count in times.items() if count > 1}

    ledger = told(events, log)
    assert ledger.counts(frontier, known_from) == Counts(
        events=len(audited),
        parked=len(parked),
        in_progress=len(open_ - suspects),
        unaccounted=len(suspects - unknown),
        unknown=len(unknown),
        repeated=len(repeated),
        **Counter(first.values()),
    )
    assert list(ledger.suspects(frontier)) == sorted(suspects)
    assert ledger.has_suspects(frontier) == bool(suspects)
    assert list(ledger.repeated()) == sorted(repeated)
