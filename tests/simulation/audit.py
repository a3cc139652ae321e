"""The audit of a run: knows everything that really happened, and stops the run where a promise is broken.

A check's name says which promise of the design it defends, or which rule of the takeover. Calls are audited beside it.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from consumer.engine.commands import Log, WriteDead
from consumer.engine.committed import read_committed
from consumer.engine.endings import BUDGET_SPENT, Unreadable
from consumer.engine.lanes import Waiting
from consumer.engine.parking import ParkedEntry
from schemas.dead import DeadLetter
from schemas.outcome import Ended, OutcomeKind, Taken
from schemas.parked import Park, Settle, Why, read_note
from schemas.record import ReceivedRecord, Record
from tests.simulation.facts import Facts, Violation
from tests.simulation.journal import Journal, folded

_PARKED_SEEN = {
    Why.FAILED: "event parked",
    Why.BEHIND: "event parked behind its lane",
    Why.LANE_FULL: "lane full",
    Why.TENANT_FULL: "tenant full",
    Why.MISCONFIGURED: "event parked without a call, its tenant is misconfigured",
    Why.DESTINATION_FULL: "event parked, its destination is down",
}


class Audit:
    """Check the promises as things happen. `seen` counts what is interesting about a run."""

    def __init__(self, partitions: int) -> None:
        self.journals = [Journal() for _ in range(partitions)]
        self.seen: Counter[str] = Counter()

    # The logs.

    def appended(self, partition: int, record: Waiting | Unreadable) -> None:
        """Note a record of the source."""
        journal = self.journals[partition]
        journal.source.append(record)
        if isinstance(record, Waiting):
            journal.lanes[record.lane].append(record)

    def outcome_landed(self, facts: Facts, record: Ended | Taken, now: float) -> int:
        """Note a record of the outcomes log, and give its position."""
        journal = self.journals[facts.partition]
        position = len(journal.outcomes)
        journal.outcomes.append(record)
        if isinstance(record, Taken):
            facts.mark, facts.marked_epoch = position, record.epoch
            self._mark_landed(facts, record)
            if journal.holder is None or record.epoch > journal.holder.epoch:
                journal.holder = record
        else:
            self._ended_landed(journal, record, position, now)
        return position

    def _mark_landed(self, facts: Facts, taken: Taken) -> None:
        if facts.claimed_at is None or facts.claimed_epoch != taken.epoch:
            raise Violation("claim before mark", f"{facts} writes its mark of epoch {taken.epoch} without that claim")
        if facts.ended is not None:
            self.seen["mark of a member that owns nothing any more"] += 1

    def _ended_landed(self, journal: Journal, ended: Ended, position: int, now: float) -> None:
        """Note that an event ended.

        An outcome that lands behind the next owner's mark is late: nobody has to know it, it costs one repeat.
        """
        if ended.outcome is OutcomeKind.DEAD and ended.offset not in journal.dead:
            raise Violation("dead letter first", f"the outcome says that {ended.offset} is dead, its letter is missing")
        journal.landed.setdefault(ended.offset, position)
        journal.last[ended.offset] = position
        holder = journal.holder
        if holder is not None and (holder.epoch, holder.member) == (ended.epoch, ended.member):
            journal.known.setdefault(ended.offset, (position, now))
        else:
            self.seen["zombie's outcome lands behind the next owner's mark"] += 1

    def parked_landed(self, facts: Facts, record: Record | Taken) -> int:
        """Note a record of the parked log, and give its position."""
        journal = self.journals[facts.partition]
        position = len(journal.parked)
        entry = _read(record, position)
        journal.parked.append(entry)
        note = entry.note
        before = journal.fold.table.get(note.offset) if isinstance(note, Park) else None
        if isinstance(note, Taken) and note.epoch < journal.fold.epoch:
            self.seen["mark lands in the parked log behind a higher one"] += 1
        counts = journal.fold.add(position, note)
        match note:
            case Taken():
                facts.parked_mark, facts.parked_marked_epoch = position, note.epoch
                self._mark_landed(facts, note)
            case Settle(offset=offset):
                self._settle_landed(journal, facts, offset, position)
            case Park() if counts:
                journal.parked_ever.add(note.offset)
                if facts.leapt or (before is not None and before[0] in journal.odd and before[1].due == note.due):
                    journal.odd.add(position)
                self._see_park(note, None if before is None else before[1])
            case Park():
                self.seen["zombie's park lands behind the next owner's mark"] += 1
        return position

    def _settle_landed(self, journal: Journal, facts: Facts, offset: int, position: int) -> None:
        if offset not in journal.landed:
            raise Violation("outcome before settle", f"{facts} settles {offset}, and nothing says how it ended")
        journal.settled.setdefault(offset, position)

    def _see_park(self, note: Park, before: Park | None) -> None:
        if before is None:
            self.seen[_PARKED_SEEN[note.reason]] += 1
        elif note.turns > before.turns:
            self.seen["event parked again"] += 1

    def dead_landed(self, facts: Facts, write: WriteDead) -> int:
        """Check a dead letter, and give its position: it is the record as it was received, with a note behind it."""
        journal = self.journals[facts.partition]
        source = journal.source[write.offset]
        body = source.event.body if isinstance(source, Waiting) else source.record.value
        if write.record.value != body:
            raise Violation("promise 12", f"the dead letter of {write.offset} is not what was received")
        letter = DeadLetter.model_validate_json(write.record.headers[-1][1] or b"")
        if (letter.offset, letter.partition) != (write.offset, facts.partition):
            raise Violation("promise 12", f"the dead letter of {write.offset} names {letter.offset}")
        if letter.reason == BUDGET_SPENT and not journal.faults[write.offset]:
            raise Violation("no fault of its own", f"{write.offset} is given up, and never failed for itself")
        self.seen[f"dead: {letter.reason}"] += 1
        if write.offset in journal.dead:
            self.seen["dead letter written twice"] += 1
        journal.dead.add(write.offset)
        return len(journal.dead)

    def deletion_landed(self, partition: int, below: int) -> None:
        """Check a deletion in the parked log: nothing that counts goes, and the latest mark stays."""
        journal = self.journals[partition]
        gone = [offset for offset, (position, _) in journal.fold.table.items() if position < below]
        if gone:
            raise Violation("deleted too much", f"partition {partition}: parked {gone} lie below {below}")
        marks = [entry.position for entry in journal.parked if isinstance(entry.note, Taken)]
        if max(marks, default=0) < below:
            raise Violation("deleted too much", f"partition {partition}: no mark is left above {below}")
        if below > journal.low:
            journal.low = below
            self.seen["parked records deleted"] += 1

    def stranger_landed(self, partition: int, log: Log, taken: Taken) -> None:
        """Note a mark that no member of the group has written: nobody owns anything by it."""
        journal = self.journals[partition]
        if log is Log.OUTCOMES:
            journal.outcomes.append(taken)
        else:
            entry = _read(taken, len(journal.parked))
            journal.parked.append(entry)
            journal.fold.add(entry.position, taken)

    # Takeover and commits.

    def claim_landed(self, facts: Facts, epoch: int, now: float) -> None:
        """Note a claim that was taken; an older one of the same tenure may land after it."""
        facts.claimed_at, facts.claimed_epoch = now, max(facts.claimed_epoch, epoch)
        self.journals[facts.partition].claimed = facts

    def running(self, facts: Facts, epoch: int) -> None:
        """Check, when handling begins, that owners stand in a row.

        Who has been replaced meanwhile may have read a log that the present owner has deleted from; it calls nothing.
        """
        journal = self.journals[facts.partition]
        if facts.mark is None or facts.parked_mark is None:
            raise Violation("mark first", f"{facts} begins, and its mark is not in both logs")
        notes = [entry.note for entry in journal.parked[: facts.parked_mark]]
        marks = [record for record in (*journal.outcomes[: facts.mark], *notes) if isinstance(record, Taken)]
        highest = max((taken.epoch for taken in marks), default=0)
        if epoch <= highest and journal.claimed is facts:
            raise Violation("epochs rise", f"{facts} begins with epoch {epoch}, and {highest} has been taken before")

    def restored(self, facts: Facts, note_at: Callable[[int], Park | None], count: int, waiting: int) -> None:
        """Check, when handling begins, what is known to be parked, and how much of it is left to do.

        As above, who has been replaced meanwhile is left out.
        """
        journal = self.journals[facts.partition]
        mark, parked_mark = facts.mark or 0, facts.parked_mark or 0
        fold = folded(journal.parked[:parked_mark])
        expected = {offset: note for offset, (_, note) in fold.table.items()}
        facts.parked_up_to = max(expected, default=-1)
        if journal.claimed is not facts:
            return
        if count != len(expected) or any(note_at(offset) != note for offset, note in expected.items()):
            found = {record.offset: note_at(record.offset) for record in journal.source}
            raise Violation("the fold", f"{facts} takes for parked {_notes(found)}, and it is {_notes(expected)}")
        surely = sum(journal.known[at][0] < mark for at in expected if at in journal.known)
        if waiting > len(expected) - surely:
            raise Violation("X rule, parked", f"{facts} finds {waiting} left to do of {list(expected)}")
        self._see_restored(facts, expected, fold.void)

    def _see_restored(self, facts: Facts, parked: dict[int, Park], void: int) -> None:
        if parked:
            self.seen["takeover with parked events"] += 1
        if void:
            self.seen["void park read back"] += 1
        if any(offset >= facts.start for offset in parked):
            self.seen["parked event at or above the read position"] += 1

    def commit_landed(self, facts: Facts, offset: int, metadata: str) -> None:
        """Check a commit that was taken: promise 5, the row of owners, and what the next owner will find."""
        journal = self.journals[facts.partition]
        if journal.claimed is not facts:
            raise Violation("owners in a row", f"a commit of {facts} is taken after a later claim")
        for at in range(journal.verified, offset):
            if at not in journal.landed and at not in journal.parked_ever:
                raise Violation("promise 5", f"{facts} commits {offset}, but {at} is neither ended nor parked")
        journal.verified = max(journal.verified, offset)
        self.check_found(facts.partition, offset, metadata)

    def start_carried_on(self, facts: Facts, before: tuple[int, str] | None, now: tuple[int, str]) -> None:
        """Check that a commit says of the group's start what the one before it said."""
        known = None if before is None else read_committed(*before).events_from
        carried = read_committed(*now).events_from
        if carried != known:
            raise Violation(
                "the start is carried on", f"{facts} commits that the group began at {carried}, not {known}"
            )
        self.seen["start carried on"] += known is not None

    def check_found(self, partition: int, offset: int, metadata: str) -> None:
        """Check that the next owner finds from what is committed all that it has to know."""
        journal = self.journals[partition]
        committed = read_committed(offset, metadata)
        start = committed.outcomes_from or 0
        for at, position in journal.last.items():
            if position < start and at in journal.known and (at >= offset or at in journal.fold.table):
                rule = "X rule" if at >= offset else "X rule, settle pending"
                raise Violation(rule, f"{offset} is committed with X={start}; {at} ended at {position}, before it")
        begin = max(committed.parked_from or 0, journal.low)
        found = folded(journal.parked[begin:], committed.parked_epoch or 0)
        if found.state() != journal.fold.state():
            text = f"from P={committed.parked_from}, E={committed.parked_epoch} follows {found.state()}"
            raise Violation("P rule", f"{offset} is committed; {text}, and it is {journal.fold.state()}")

    # The end.

    def finished(self, partition: int, frontier: int) -> None:
        """Check promise 6 when all is quiet: everything ended, nothing waits, and the group knows."""
        journal = self.journals[partition]
        missing = [record.offset for record in journal.source if record.offset not in journal.landed]
        if missing:
            raise Violation("promise 6", f"partition {partition}: nothing says how {missing} ended")
        if journal.fold.table:
            raise Violation("promise 6", f"partition {partition}: {list(journal.fold.table)} are parked for ever")
        if frontier != len(journal.source):
            raise Violation("promise 6", f"partition {partition}: committed {frontier} of {len(journal.source)}")


def _read(record: Record | Taken, position: int) -> ParkedEntry:
    if isinstance(record, Taken):
        return ParkedEntry(position=position, note=record, record=Record(key=b"", value=None, headers=()))
    received = ReceivedRecord(
        partition=0, offset=position, timestamp=0.0, key=record.key, value=record.value, headers=record.headers
    )
    note, event = read_note(received)
    return ParkedEntry(position=position, note=note, record=event)


def _notes(parked: Mapping[int, Park | None]) -> str:
    texts = (f"{offset}: epoch {note.epoch}, {note.turns} turns" for offset, note in parked.items() if note is not None)
    return f"({'; '.join(texts)})"
