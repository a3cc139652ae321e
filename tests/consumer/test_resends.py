"""Planning of re-sends: nothing twice, nothing missed, however often a replay is killed and asked for again."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from consumer.resending import chunks
from consumer.resends import Resends
from schemas.event import Event
from tests.consumer.fakes import event

GROUP, REPLAY = "sync", "mine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One partition: all events in log order, how many of them are in the range, and which of those were lost."""

    events: Sequence[Event]
    range: int
    lost: Collection[int]

    def with_appended(self, resends: Sequence[Event]) -> "Source":
        """Give the source with more at its end: beyond the range, and in progress."""
        events = [*self.events, *resends]
        return Source(events=events, range=self.range, lost=self.lost)

    def candidates(self) -> Iterator[Event]:
        """Give what was lost."""
        return (each for at, each in enumerate(self.events[: self.range]) if at in self.lost)

    def meant(self) -> Iterator[Event]:
        """Give all that is in the range."""
        return iter(self.events[: self.range])


RESENT = st.builds(
    lambda name, generation, group, replay: event(
        id=name, generation=generation, group=group if generation else None, replay=replay if generation else None
    ),
    st.sampled_from("abcd"),
    st.integers(0, 3),
    st.sampled_from((None, GROUP, "other")),
    st.sampled_from((None, REPLAY, "another")),
)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    """Draw a source with a past: re-sends for this group and for others, by this replay and by others."""
    events = draw(st.lists(RESENT, max_size=10))
    bound = draw(st.integers(0, len(events)))
    lost = draw(st.frozensets(st.integers(0, max(0, bound - 1))))
    return Source(events=events, range=bound, lost=lost)


def plan(source: Source, *, force: bool) -> list[Event]:
    """Plan as the command does: read to the end what was sent again, then go through the range."""
    with closing(Resends(GROUP, REPLAY)) as resends:
        resends.note(source.events)
        return list(resends.unless_ours(source.meant()) if force else resends.unless_newer(source.candidates()))


@given(source=sources(), force=st.booleans())
def test_what_was_planned_and_done_is_not_planned_again(source: Source, *, force: bool) -> None:
    """The same command twice must not call anybody twice."""
    assert plan(source.with_appended(plan(source, force=force)), force=force) == []


@given(source=sources(), force=st.booleans(), data=st.data())
def test_a_replay_killed_anywhere_and_asked_for_again_does_each_once(
    source: Source, *, force: bool, data: st.DataObject
) -> None:
    """Whatever was appended before it was killed, together they append what an undisturbed one would."""
    whole = plan(source, force=force)
    done = data.draw(st.integers(0, len(whole)))
    rest = plan(source.with_appended(whole[:done]), force=force)
    assert [*whole[:done], *rest] == whole


@given(source=sources())
def test_an_event_is_sent_again_if_its_newest_generation_was_lost(source: Source) -> None:
    """Once, with the next generation, to this group; what is for another group is no loss of this one."""
    ours = [each for each in source.events if each.is_for(GROUP)]
    newest = {each.id: max(other.generation for other in ours if other.id == each.id) for each in ours}
    lost = {each.id for each in source.candidates() if each.is_for(GROUP) and each.generation == newest[each.id]}
    planned = plan(source, force=False)
    assert sorted(each.id for each in planned) == sorted(lost)
    assert all(each.generation == newest[each.id] + 1 for each in planned)
    assert {(each.group, each.replay) for each in planned} <= {(GROUP, REPLAY)}


@given(source=sources())
def test_a_forced_replay_takes_each_event_of_the_range_unless_it_has_done_so(source: Source) -> None:
    """What other replays have sent does not count, but no generation is used twice."""
    ours = [each for each in source.events if each.is_for(GROUP)]
    done = {each.id for each in ours if each.replay == REPLAY and each.generation}
    meant = {each.id for each in source.meant() if each.is_for(GROUP)}
    planned = plan(source, force=True)
    assert sorted(each.id for each in planned) == sorted(meant - done)
    assert {(each.id, each.generation) for each in planned}.isdisjoint((each.id, each.generation) for each in ours)


@given(sizes=st.lists(st.sampled_from((0, 10, 3_000_000, 9_000_000)), max_size=20))
def test_what_is_appended_at_once_is_bounded_and_in_order(sizes: list[int]) -> None:
    """A lane's order is that of the plan, and memory holds one part of it."""
    bodies = {size: bytes(size) for size in set(sizes)}
    planned = [event(at, body=bodies[size]) for at, size in enumerate(sizes)]
    parts = list(chunks(iter(planned)))
    assert [resend for part in parts for resend in part] == planned
    assert all(sum(len(resend.body) for resend in part[:-1]) < 8 * 1024 * 1024 for part in parts)
    assert all(parts)
