"""Gathering: what Kafka and the logs say of lanes, read from outside of the group, and what their owners' pages say.

What is committed is read first and the outcomes last, so that nothing looks lost that moves on meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from broker.client import received
from broker.group_state import GroupState, group_state
from broker.history import History
from broker.layout import Layout, Standing
from broker.membership import page_address
from broker.scan import Scanner, open_scanner
from consumer.engine.committed import Committed, read_committed
from consumer.known_group import require_group
from consumer.why.ask import ask
from consumer.why.asked import Asked
from consumer.why.facts import EventFact, Facts, PartitionFact
from consumer.why.journal import fold
from schemas.dead import HEADER, DeadLetter
from schemas.errors import UnreadableRecord
from schemas.outcome import Ended, OutcomeKind, read_outcome
from schemas.parked import Park
from schemas.record import ReceivedRecord
from schemas.settings import ConsumerSettings
from schemas.topics import group_topics

_MARGIN_MILLISECONDS = 60_000
"""So far clocks of brokers and members may be apart."""
_MOST_LANES = 10
_NOTHING = History(low=0, high=0)
"""What the group's topics have of a partition that they have not."""


class TopicMissing(Exception):
    """Topics that the group needs are not there; `names` has which."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


@dataclass(slots=True, kw_only=True)
class _Lane:
    events: list[EventFact] = field(default_factory=list)
    parked: dict[int, Park] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Found:
    """What was found in one partition; `boundary` is the first record at or above the frontier that was moved in."""

    partition: PartitionFact
    looked_from: int
    boundary: int | None = None
    lanes: dict[bytes, _Lane] = field(default_factory=lambda: defaultdict(_Lane))
    ended: dict[int, Ended] = field(default_factory=dict)
    letters: dict[int, int] = field(default_factory=dict)

    def earliest(self) -> int | None:
        """Give when the first of what was found was appended or parked."""
        times = [event.appended for lane in self.lanes.values() for event in lane.events]
        times += [park.since for lane in self.lanes.values() for park in lane.parked.values()]
        return min(times, default=None)

    def offsets(self) -> set[int]:
        """List the offsets of what was found."""
        lanes = self.lanes.values()
        return {event.offset for lane in lanes for event in lane.events} | {at for lane in lanes for at in lane.parked}


def gather(settings: ConsumerSettings, asked: Asked, *, in_tenants_file: bool | None, now: int) -> Sequence[Facts]:
    """Gather the facts of a lane, or of the lanes of a tenant that have waited for longest.

    A lane has facts in each of two partitions, the old one first, while a group drains for a source with more of them.

    Raises TopicMissing, ConfigurationError if there is no such group, and Retryable if Kafka does not answer in time.
    """
    state = group_state(settings)
    with open_scanner(settings) as scanner:
        layout, found = _Gatherer(settings, asked, scanner).find(state)
    common = _Common(
        settings=settings,
        asked=asked,
        state=state.state,
        in_tenants_file=in_tenants_file,
        now=now,
        drains=layout if layout.moves_keys else None,
    )
    return [common.with_page(facts) for facts in common.facts(found)]


class _Gatherer:
    def __init__(self, settings: ConsumerSettings, asked: Asked, scanner: Scanner) -> None:
        self._settings = settings
        self._asked = asked
        self._scanner = scanner
        self._topics = group_topics(settings.topic, settings.group)

    def find(self, state: GroupState) -> tuple[Layout, Sequence[_Found]]:
        """Look through the logs; give the layout as well."""
        if state.partitions:  # without a source topic there are none, and that is what has to be said
            require_group(self._scanner, self._settings, state)
        names = (self._settings.topic, self._topics.parked, self._topics.outcomes, self._topics.dead)
        counts = {name: self._scanner.partitions(name) for name in names}
        missing = [name for name in names if not counts[name]]
        if missing:
            raise TopicMissing(missing)
        layout = Layout(old=min(counts.values()), new=counts[self._settings.topic])
        wanted = self._places(layout)
        histories = {name: self._scanner.histories(name, wanted) for name in names}
        source = histories[self._settings.topic]
        facts = [_fact(number, source[number], state) for number in wanted]
        return layout, [self._partition(fact, histories, layout) for fact in facts]

    def _places(self, layout: Layout) -> Sequence[int]:
        """Name the partitions to look into: those of the old layout first, since what is there ends first."""
        return [*dict.fromkeys((*self._asked.partitions(layout.old), *self._asked.partitions(layout.new)))]

    def _partition(self, fact: PartitionFact, histories: Mapping[str, Mapping[int, History]], layout: Layout) -> _Found:
        found = _Found(partition=fact, looked_from=fact.existing.stop)
        self._read_source(found, layout)
        self._read_parked(found, histories[self._topics.parked])
        self._read_outcomes(found, histories[self._topics.outcomes])
        self._read_letters(found, histories[self._topics.dead])
        return found

    def _read_source(self, found: _Found, layout: Layout) -> None:
        committed = found.partition.committed
        existing = _of_the_group(found.partition.existing, committed)
        frontier = existing.start if committed is None else committed.frontier
        for window in self._asked.windows(existing, frontier, layout.new):
            found.looked_from = window.start
            for record in self._scan(self._settings.topic, found.partition.number, window):
                if found.boundary is None and record.offset >= frontier and _is_moved_in(layout, record):
                    found.boundary = record.offset
                if self._asked.matches(record.key or b""):
                    event = EventFact(offset=record.offset, appended=int(record.timestamp * 1000))
                    found.lanes[record.key or b""].events.append(event)
            if found.lanes:
                return

    def _read_parked(self, found: _Found, histories: Mapping[int, History]) -> None:
        number = found.partition.number
        history = histories.get(number, _NOTHING)
        start, epoch = _counts_from(found.partition.committed, history)
        records = self._scan(self._topics.parked, number, range(start, history.high))
        for offset, (key, park) in fold(records, epoch, self._asked.matches).items():
            found.lanes[key].parked[offset] = park

    def _read_outcomes(self, found: _Found, histories: Mapping[int, History]) -> None:
        offsets = found.offsets()
        for record in self._since(self._topics.outcomes, found, histories):
            with suppress(UnreadableRecord):
                outcome = read_outcome(record.value)
                if isinstance(outcome, Ended) and outcome.offset in offsets:
                    found.ended.setdefault(outcome.offset, outcome)

    def _read_letters(self, found: _Found, histories: Mapping[int, History]) -> None:
        dead = {offset for offset, ended in found.ended.items() if ended.outcome is OutcomeKind.DEAD}
        if not dead:
            return
        for record in self._since(self._topics.dead, found, histories):
            name, note = record.headers[-1] if record.headers else ("", None)
            if name == HEADER:
                with suppress(ValidationError):
                    letter = DeadLetter.model_validate_json(note or b"")
                    if letter.offset in dead:
                        found.letters[letter.offset] = record.offset

    def _since(self, topic: str, found: _Found, histories: Mapping[int, History]) -> Iterator[ReceivedRecord]:
        """Read what a log has about what was found: nothing of it can be older."""
        number, earliest = found.partition.number, found.earliest()
        if earliest is None or number not in histories:
            return iter(())
        history = {number: histories[number]}
        start = self._scanner.offsets_at(topic, max(0, earliest - _MARGIN_MILLISECONDS), history)[number]
        return self._scan(topic, number, range(start, histories[number].high))

    def _scan(self, topic: str, number: int, stretch: range) -> Iterator[ReceivedRecord]:
        for batch in self._scanner.scan(topic, {number: stretch}):
            yield from (received(message) for message in batch)


def _is_moved_in(layout: Layout, record: ReceivedRecord) -> bool:
    is_old = layout.moves_keys and record.partition < layout.old
    return is_old and layout.standing(record.key, record.partition) is Standing.MOVED_IN


def _of_the_group(existing: range, committed: Committed | None) -> range:
    """Leave out what came before the group's start: nobody handles it, and it waits for nothing."""
    start = max(existing.start, (committed and committed.events_from) or 0)
    return range(min(start, existing.stop), existing.stop)


def _counts_from(committed: Committed | None, history: History) -> tuple[int, int]:
    """Say from where on the parked log counts, and which epoch is current there: as a takeover begins."""
    if committed is None or committed.parked_from is None:
        return history.low, 0
    return max(committed.parked_from, history.low), committed.parked_epoch or 0


def _fact(number: int, history: History, state: GroupState) -> PartitionFact:
    known = state.partitions.get(number)
    owner = None if known is None else known.owner
    return PartitionFact(
        number=number,
        existing=range(history.low, history.high),
        committed=None if known is None or known.committed is None else read_committed(known.committed, known.metadata),
        owner=None if owner is None else f"{owner.client_id} on {owner.host.removeprefix('/')}",
        address=None if owner is None else page_address(owner.client_id, owner.host),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """What holds for all lanes that are asked about."""

    settings: ConsumerSettings
    asked: Asked
    state: str
    in_tenants_file: bool | None
    now: int
    drains: Layout | None

    def facts(self, found: Sequence[_Found]) -> Sequence[Facts]:
        """Give the facts of the lane, or of a tenant's lanes that have waited for longest; their pages not asked."""
        if self.asked.key is not None:
            return [self._facts(each, self.asked.key, each.lanes[self.asked.key]) for each in found]
        lanes = [self._facts(each, key, lane) for each in found for key, lane in each.lanes.items()]
        waiting = [facts for facts in lanes if facts.open]
        return sorted(waiting, key=lambda facts: facts.since(facts.open[0]))[:_MOST_LANES]

    def with_page(self, facts: Facts) -> Facts:
        """Ask the owner's page."""
        address = facts.partition.address
        return facts if address is None else replace(facts, page=ask(address, facts.lane))

    def _facts(self, found: _Found, key: bytes, lane: _Lane) -> Facts:
        return Facts(
            group=self.settings.group,
            tenant=self.asked.tenant,
            lane=key.decode(errors="replace"),
            now=self.now,
            in_tenants_file=self.in_tenants_file,
            state=self.state,
            names_owners=self.settings.group_protocol == "classic" or self.state != "dead",
            partition=found.partition,
            looked_from=found.looked_from,
            events=lane.events,
            ended=found.ended,
            parked=lane.parked,
            letters=found.letters,
            drains=self.drains,
            boundary=found.boundary,
        )
