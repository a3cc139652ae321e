"""The audit of what is done with events: calls, what is superseded, and what is held."""

from collections import Counter

from consumer.engine.lanes import Waiting
from consumer.engine.policy import Bounds
from tests.simulation.facts import Call, Facts, Violation
from tests.simulation.journal import Journal

_SLACK = 1e-6


class Handling:
    """Check the handling of one partition's events; `batches` is how many records may be on their way."""

    def __init__(self, journal: Journal, seen: Counter[str], batches: int, turns: int) -> None:
        self._journal = journal
        self._seen = seen
        self._slack = batches
        self._turns = turns

    # Promise 9.

    def held(self, facts: Facts, bounds: Bounds, held: int, parking: int) -> None:
        """Check what is held: within the bounds, but for the batches on their way and one event for each turn."""
        facts.bound = max(facts.bound, bounds.events)
        most = facts.bound + self._slack + self._turns
        if held > most:
            raise Violation("promise 9", f"{facts} holds {held}, with a bound of {facts.bound}")
        if parking > 2 * most:
            raise Violation("promise 9, parking", f"{facts} parks {parking} at once, with a bound of {facts.bound}")

    def scratch(self, facts: Facts, records: int) -> None:
        """Check that reading stops when the scratch is full, but for so many records that were on their way."""
        facts.full += records
        if facts.full > self._slack:
            raise Violation("promise 9, scratch", f"{facts} goes on reading, and its scratch is full")

    # Calls.

    def call_starts(self, call: Call, waiting: Waiting, owner: str | None) -> None:
        """Check a call: the lease, promises 4, 7 and 8, and that nothing is called sooner than it may."""
        facts = call.tenure
        if owner != facts.membership:
            raise Violation("lease", f"{facts} calls {call.offset} while {owner or 'nobody'} owns the partition")
        self._check_not_ended(call)
        self._check_order(call, waiting)
        self._check_alone(call, waiting)
        self._check_repeat(call)
        self._check_parked(call, waiting)
        if call.starts < facts.not_before.get(call.offset, 0.0) - _SLACK and not facts.leapt:
            raise Violation("Retry-After", f"{facts} calls {call.offset} earlier than it was told")
        facts.called.add(call.offset)
        facts.open.add(call.offset)
        if facts not in self._journal.tenures:
            self._journal.tenures.append(facts)

    def call_over(self, call: Call) -> None:
        """Note that a call is over as far as its tenure knows."""
        call.tenure.turns -= call.parked

    def superseded(self, facts: Facts, waiting: Waiting) -> None:
        """Check that an event is covered by a later one that is still to be called, and was not called itself."""
        lane = self._journal.lanes[waiting.lane]
        behind = [other for other in lane if other.offset > waiting.offset and not self._is_over(facts, other.offset)]
        if all(other.event.body != waiting.event.body for other in behind):
            raise Violation("superseded", f"{facts} supersedes {waiting.offset}, and nothing equal is behind it")
        position, note = self._journal.fold.table.get(waiting.offset, (0, None))
        knows = note is not None and (position < (facts.parked_mark or 0) or note.epoch == facts.claimed_epoch)
        if waiting.offset in facts.called or (note is not None and knows and note.attempts):
            raise Violation("superseded", f"{facts} supersedes {waiting.offset} at {position}, which has been called")
        self._seen["superseded in the parked log" if waiting.parked else "superseded in memory"] += 1

    def _is_over(self, facts: Facts, offset: int) -> bool:
        known = self._journal.known.get(offset)
        return offset in facts.done or (known is not None and known[0] < (facts.mark or 0))

    def _check_not_ended(self, call: Call) -> None:
        position, when = self._journal.known.get(call.offset, (None, 0.0))
        facts = call.tenure
        if position is None:
            if self._journal.landed.get(call.offset, facts.mark or 0) < (facts.mark or 0):
                self._seen["late outcome lies before the present owner's X: repeated"] += 1
            return
        before_mark = facts.mark is not None and position < facts.mark
        if before_mark or facts.claimed_at is None or when < facts.claimed_at:
            raise Violation("promise 7", f"{facts} calls {call.offset}, which ended at {position} before its mark")

    def _check_order(self, call: Call, waiting: Waiting) -> None:
        """Check that every earlier event of the lane has ended, as far as this tenure has to know."""
        facts, journal = call.tenure, self._journal
        mark, parked_mark = facts.mark or 0, facts.parked_mark or 0
        for other in journal.lanes[waiting.lane]:
            at = other.offset
            if at >= call.offset:
                break
            if at in facts.may_be_followed or (at < facts.start and at in journal.landed):
                continue
            if journal.settled.get(at, parked_mark) < parked_mark:
                continue
            if journal.landed.get(at, mark) >= mark:
                raise Violation("promise 4, order", f"{facts} calls {call.offset} before {at} of its lane ended")

    def _check_alone(self, call: Call, waiting: Waiting) -> None:
        """Check that nothing else of the lane is in flight, but for calls of members that lost the partition."""
        calls = self._journal.calls[waiting.lane]
        calls[:] = [other for other in calls if other.ends > call.starts]
        for other in calls:
            if other.tenure.ended is None or other.starts >= other.tenure.ended:
                raise Violation("promise 4, one at a time", f"{call.tenure} calls {call.offset}, {other.offset} is on")
            self._seen["call of a member that lost the partition overlaps"] += 1
        calls.append(call)

    def _check_repeat(self, call: Call) -> None:
        if call.offset in call.tenure.done:
            raise Violation("promise 8", f"{call.tenure} calls {call.offset}, which it has finished itself")
        for earlier in self._journal.tenures:
            if earlier is call.tenure or call.offset not in earlier.called:
                continue
            if earlier.open_at_end is None or call.offset not in earlier.open_at_end:
                raise Violation("promise 8", f"{call.tenure} repeats {call.offset}, which {earlier} had finished")
            self._seen["call repeated that was open when its member went"] += 1

    def _check_parked(self, call: Call, waiting: Waiting) -> None:
        """Check that what the parked log says of an event is kept: its time, and the attempts made."""
        position, note = self._journal.fold.table.get(call.offset, (0, None))
        if note is None:
            return
        is_early = call.clock < note.due - 1
        if not waiting.parked or waiting.tried.attempts != note.attempts:
            raise Violation("promise 8, attempts", f"{call.tenure} calls {call.offset} and forgets what was tried")
        if is_early and (call.tenure.leapt or position in self._journal.odd):
            self._seen["turn that a leaping clock has put off is not waited for"] += 1
        elif is_early:
            raise Violation("Retry-After, parked", f"{call.tenure} calls {call.offset} before it is due")
        if note.epoch != call.tenure.claimed_epoch:
            self._seen["turn taken by a later owner"] += 1
        call.tenure.turns += 1
        if call.tenure.turns > self._turns:
            raise Violation("promise 9, turns", f"{call.tenure} takes {call.tenure.turns} turns at once")
