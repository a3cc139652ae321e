"""The engine of one partition, for one tenure: inputs in, commands out.

begin ─▶ takeover ─▶ records read ─▶ lane ─▶ start ─▶ call ended ─▶ outcome ─▶ settled ─▶ commit
                                       └───▶ parked ─▶ turn ─┘ └─▶ parked again, or dead letter ─▶ outcome
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from sys import maxsize

from consumer.engine import endings
from consumer.engine.commands import Command, Pause, Read, Start, WriteOutcome, WritePark
from consumer.engine.committed import Committed
from consumer.engine.doors import door_of
from consumer.engine.dying import Dying
from consumer.engine.endings import Ending, Place, Unreadable, Written
from consumer.engine.frontier import Frontier
from consumer.engine.known import Known
from consumer.engine.lanes import Lanes, Tried, Waiting
from consumer.engine.notes import note_failed, note_waiting, waiting_of
from consumer.engine.parking import ParkedEntry, ParkedView, Parking
from consumer.engine.policy import Bounds, Load, Policy, has_room, is_full
from consumer.engine.retry import Failed
from consumer.engine.takeover import Marks, OutcomeEntry, Takeover
from schemas.outcome import Ended, OutcomeKind
from schemas.parked import Why
from schemas.record import to_record

_REWRITTEN_AT_ONCE = 100


class PartitionEngine:
    """Decide what happens to the events of one partition while this member holds it. Times are in milliseconds."""

    def __init__(self, committed: Committed, place: Place, policy: Policy, bounds: Bounds, view: ParkedView) -> None:
        self._takeover = Takeover(committed, place.member, view)
        self._place = place
        self._policy = policy
        self.bounds = bounds
        self._frontier = Frontier(committed.frontier)
        self.lanes = self._lanes = Lanes()
        self._parking = Parking(view, policy.parked.longest)
        self._turns: set[bytes] = set()
        self._doors = policy.doors
        self._dying = Dying()
        self._ending: dict[int, Written] = {}
        self._blocked: dict[bytes, set[int]] = {}
        self._known = Known(view, place)
        self._outcomes_end = 0
        self._now = 0
        self.running = False
        self._letting_go = False
        self.paused = False

    # Taking over: the answers go to the takeover until it is done.

    def begin(self) -> list[Command]:
        """Start the tenure."""
        return [self._takeover.claim()]

    def claimed(self) -> list[Command]:
        """Take note that the claim is committed."""
        return [self._takeover.claimed()]

    def marked(self, marks: Marks) -> list[Command]:
        """Take note of where the marks lie."""
        return [self._takeover.marked(marks)]

    def parked_read(self, entries: Sequence[ParkedEntry]) -> None:
        """Fold a stretch of the parked log."""
        self._takeover.parked_read(entries)

    def parked_cut(self, low: int) -> None:
        """Take note that the parked log begins at `low` by now."""
        self._takeover.parked_cut(low)

    def outcomes_read(self, entries: Sequence[OutcomeEntry]) -> None:
        """Fold a stretch of the outcomes log."""
        self._takeover.outcomes_read(entries)

    def read_back(self) -> list[Command]:
        """Take note that a log has been read up to the mark; when both are, handling begins."""
        following = self._takeover.read_back()
        if following is not None:
            return [following]
        self._place = replace(self._place, epoch=self.epoch)
        self._outcomes_end = self._takeover.marks.outcomes + 1
        settles = self._parking.begin(self.epoch, self._takeover.marks.parked)
        self._known.begin()
        self.running = True
        return [*settles, Read()]

    # Running.

    def records_read(self, records: Sequence[Waiting | Unreadable], now: int) -> list[Command]:
        """Take records of the source partition, in offset order."""
        self._now = now
        commands: list[Command] = []
        for record in records:
            commands.extend(self._admit(record))
        if not self.paused and self._is_full():
            self.paused = True
            commands.append(Pause())
        return commands

    def superseded(self, waiting: Waiting, now: int) -> list[Command]:
        """Settle an event that is about to be called for the first time, if one behind it covers it; else do nothing.

        With it all that follow in its lane and are covered as well; the last of them keeps the lane.
        """
        covered = self._covered(waiting)
        if len(covered) > 1:
            self._lanes.advance(waiting.lane, len(covered) - 1)
        commands: list[Command] = []
        for each in covered:
            commands += self._end(each, endings.superseded(each, now, self._place))
        return commands

    def turned_away(self, waiting: Waiting, now: int) -> list[Command] | None:
        """Park an event that is to be called, and its lane, if its door stops it by now; None if it may be called."""
        why = self._doors.why_stopped(waiting, full=self.paused)
        if why is None:
            return None
        self._now = now
        behind = self._drop_lane(waiting.lane)
        if waiting.parked:
            self._parking.put_back(waiting)
            behind.remove(waiting)
        return [*(self._park(each, why) for each in behind), *self._take_turns()]

    def call_ended(self, waiting: Waiting, ending: Ending) -> list[Command]:
        """Take how the handling of a lane's head ended.

        After *applied* the next of the lane may start at once: repeating the call is harmless. After anything else it
        waits until the outcome is acknowledged, since the next owner must not see the lane go on without it. What
        failed, failed with the lane's patience at its end.
        """
        self._now = ending.ended
        if self._doors.closed and endings.shows_that_keys_work(ending.result):
            self._doors.open(door_of(waiting.event))
        if isinstance(ending.result, Failed):
            return [] if self._letting_go else self._failed(waiting, ending, ending.result)
        return self._end(waiting, endings.done(waiting, ending, ending.result, self._place))

    def dead_written(self, offset: int) -> list[Command]:
        """Take note that a dead letter is acknowledged: now the outcome may say so."""
        dying, ended = self._dying.written(offset)
        if isinstance(dying, Waiting):
            return self._end(dying, ended)
        self._ending[offset] = Written(lane=None, parked=False)
        return [WriteOutcome(ended=ended)]

    def outcome_written(self, offset: int, position: int) -> list[Command]:
        """Take note that the outcome of the event at `offset` lies at `position`: the event is settled."""
        self._outcomes_end = max(self._outcomes_end, position + 1)
        commands: list[Command] = []
        lane, parked = self._ending.pop(offset)
        if parked:
            commands.append(self._parking.settle(offset, position))
        else:
            self._frontier.settle(offset)
        if lane is not None:
            commands += self._unblock(lane, offset)
        return commands + self._resume()

    def park_written(self, offset: int, position: int) -> list[Command]:
        """Take note that a park lies at `position`: the event is settled as far as the source is concerned."""
        lane, first = self._parking.written(offset, position)
        if first:
            self._frontier.settle(offset)
        if lane not in self._lanes:
            self._parking.offer(lane, offset)
        return self._take_turns() + self._resume()

    def settle_written(self, offset: int, position: int) -> list[Command]:
        """Take note that a settle is acknowledged: nothing of the event counts any more."""
        self._parking.settled(offset, position)
        return self._resume()

    def tick(self, now: int) -> list[Command]:
        """Take note of the time: what is due, and what keeps the parked log long."""
        self._now = now
        if self._letting_go or not self.running:
            return []
        self._parking.look_again(self._doors, self._now)
        turns = self._take_turns()
        # Only now: what has its turn is being called, and must not be written meanwhile.
        stale = self._parking.stale(self._policy.parked_span, _REWRITTEN_AT_ONCE)
        return turns + [self._parking.rewrite(event) for event in stale]

    def let_go(self) -> None:
        """Start nothing any more."""
        self._letting_go = True

    # What others may know.

    @property
    def may_start(self) -> bool:
        """Say whether events may still start."""
        return not self._letting_go

    @property
    def epoch(self) -> int:
        """Give the number of this takeover."""
        return self._takeover.epoch

    @property
    def held(self) -> int:
        """Count the events held in memory."""
        return self._lanes.events

    @property
    def parked(self) -> int:
        """Count the events that wait in the parked log."""
        return self._parking.count

    @property
    def committable(self) -> Committed | None:
        """Give what may be committed now; None before the takeover is done."""
        if not self.running:
            return None
        parked_from, parked_epoch = self._parking.counts_from()
        return Committed(
            frontier=self._frontier.offset,
            epoch=self.epoch,
            outcomes_from=self._outcomes_from(),
            parked_from=parked_from,
            parked_epoch=parked_epoch,
            events_from=self._takeover.events_from,
        )

    def deletable(self, committed: Committed) -> int:
        """Give the position below which the parked log may be deleted once this is committed; never past our mark."""
        return min(committed.parked_from or 0, self._takeover.marks.parked)

    def _outcomes_from(self) -> int:
        """Find the position from which the next owner must read the outcomes log back.

        An event above the frontier was read, and so ended, after the frontier's event was read: its outcome lies
        behind what was then known of the log's end. Events that ended before this tenure lie further back, and so may
        the outcome of a parked event that is not settled in the parked log yet.
        """
        known = self._frontier.outcomes_end
        position = self._outcomes_end if known is None else known
        unsettled = self._parking.outcomes_from()
        if unsettled is not None:
            position = min(position, unsettled)
        if self._frontier.offset <= self._known.ended_up_to:
            position = min(position, self._takeover.outcomes_from)
        return position

    # Reading.

    def _admit(self, record: Waiting | Unreadable) -> Sequence[Command]:
        if self._known.is_settled(record):
            self._frontier.skip(record.offset)
            return ()
        self._frontier.read(record.offset, self._outcomes_end)
        if isinstance(record, Unreadable):
            return (self._dying.bury(record, self._now, self._place),)
        if self._parking.holds(record.lane):
            return (self._park(record, Why.BEHIND),)
        if self._doors.closed and self._doors.is_closed(door_of(record.event)) and record.lane not in self._lanes:
            return (self._park(record, Why.MISCONFIGURED),)
        return self._enter(record)

    def _enter(self, waiting: Waiting) -> Sequence[Command]:
        """Let an event into its lane; what is too much for the lane or its tenant is parked."""
        full = self._policy.why_full(waiting.event, self._lanes, self.bounds)
        if full and waiting.lane not in self._lanes:
            return (self._park(waiting, full),)
        behind = self._lanes.add(waiting)
        if not behind:
            return (Start(waiting=waiting),)
        if full or behind > self._policy.lane_waiting:
            return [self._park(each, full or Why.LANE_FULL) for each in self._lanes.take_behind(waiting.lane)]
        return ()

    def _is_full(self) -> bool:
        return is_full(self.load, self._limits)

    def _resume(self) -> list[Command]:
        if not self.paused or not has_room(self.load, self._limits):
            return []
        self.paused = False
        return [Read()]

    @property
    def _limits(self) -> Bounds:
        # What was parked before this tenure waits until it has been read past: a scratch that is full with it must not
        # stop the reading, or both would wait for each other.
        if self._frontier.read_position > self._known.parked_up_to:
            return self.bounds
        return replace(self.bounds, scratch=maxsize)

    @property
    def load(self) -> Load:
        """Measure what is held, against the bounds."""
        return Load(
            events=self._lanes.events,
            bytes=self._lanes.bytes + self._dying.bytes + self._parking.bytes_writing,
            distance=self._frontier.distance,
            writing=len(self._ending) + len(self._dying) + self._parking.writing,
            scratch=self._parking.size,
        )

    # Ending.

    def _covered(self, waiting: Waiting) -> Sequence[Waiting]:
        if waiting.event.type not in self._policy.supersede or waiting.tried.attempts:
            return ()
        if waiting.parked:
            return [waiting] if self._parking.is_covered(waiting.offset) else ()
        covered = self._lanes.covered(waiting.lane)
        return list(takewhile(lambda each: each.event.type in self._policy.supersede, covered))

    def _end(self, waiting: Waiting, ended: Ended) -> list[Command]:
        self._ending[waiting.offset] = Written(lane=waiting.lane, parked=waiting.parked)
        if waiting.parked:
            self._parking.ended(waiting.offset)
        if ended.outcome is OutcomeKind.APPLIED:
            return [WriteOutcome(ended=ended), *self._advance(waiting.lane)]
        self._blocked.setdefault(waiting.lane, set()).add(waiting.offset)
        return [WriteOutcome(ended=ended)]

    def _unblock(self, lane: bytes, offset: int) -> list[Command]:
        blocked = self._blocked.get(lane)
        if blocked is None or offset not in blocked:
            return []
        blocked.remove(offset)
        if blocked:
            return []
        del self._blocked[lane]
        return self._advance(lane)

    def _advance(self, lane: bytes) -> list[Command]:
        """Drop what is done, and start what is next: in memory, or in its turn among all that is parked."""
        following = self._lanes.advance(lane)
        if following is not None:
            self._turns.discard(lane)
            return [Start(waiting=following)]
        return self._leave(lane)

    def _leave(self, lane: bytes) -> list[Command]:
        """Let a lane that nobody is handling any more have its next turn."""
        self._turns.discard(lane)
        self._parking.offer(lane)
        return self._take_turns()

    # Failing.

    def _failed(self, waiting: Waiting, ending: Ending, failed: Failed) -> list[Command]:
        tried = endings.after(waiting, ending)
        if failed.misconfigured:
            # No fault of the event: its turn is not counted, and it waits for the door and for nothing else.
            self._doors.close(door_of(waiting.event), self._now)
            tried = replace(tried, turns=waiting.tried.turns)
            return self._park_lane(waiting, tried, failed, 0)
        if ending.spared == ending.attempts:  # of what is parked: it waits for the hold, and for nothing else
            return self._park_lane(waiting, tried, failed, failed.not_before(self._now))
        if failed.permanent or self._policy.parked.spent(tried, failed, ending.ended):
            return [self._dying.give_up(waiting, tried, failed, self._now, self._place)]
        due = self._policy.parked.due(tried, failed, self._now)
        return self._park_lane(waiting, tried, failed, due)

    def _park_lane(self, waiting: Waiting, tried: Tried, failed: Failed, due: int) -> list[Command]:
        """Park the failed event, and everything of its lane that is in memory, in order."""
        _, *behind = self._drop_lane(waiting.lane)
        tried = replace(tried, since=self._now if tried.since is None else tried.since)
        note = note_failed(waiting, tried, failed, self.epoch, due)
        first = self._parking.park_again(note) if waiting.parked else self._parking.park(note, to_record(waiting.event))
        return [first, *(self._park(each, Why.BEHIND) for each in behind), *self._take_turns()]

    def _drop_lane(self, lane: bytes) -> list[Waiting]:
        """Take all that is in memory out of a lane, in order: it goes on in the parked log."""
        self._turns.discard(lane)
        return self._lanes.take_all(lane)

    def _park(self, waiting: Waiting, why: Why) -> WritePark:
        return self._parking.park(note_waiting(waiting, why, self.epoch, self._now), to_record(waiting.event))

    def _take_turns(self) -> list[Command]:
        """Start parked events that are due, as many as may be handled at once."""
        commands: list[Command] = []
        below = self._frontier.read_position
        while self._has_turn_free() and (turn := self._parking.take_turn(self._now, below, self._doors)) is not None:
            event, probe = turn
            waiting = waiting_of(event, self._place.partition, probe=probe)
            self._turns.add(waiting.lane)
            self._lanes.add(waiting)
            commands.append(Start(waiting=waiting))
        return commands

    def _has_turn_free(self) -> bool:
        if self._letting_go:
            return False
        return not self._turns or (len(self._turns) < self.bounds.turns and self._lanes.bytes < self.bounds.bytes)
