"""Doors: what is shut, for whom, and for how long."""

from consumer.engine.doors import Doors, door_of
from schemas.event import Environment
from tests.consumer.fakes import event

ACME, BLUE = b"acme/sandbox", b"blue/sandbox"


def test_an_events_door_is_its_account() -> None:
    """The two environments of a tenant have keys of their own."""
    assert door_of(event(tenant="acme")) == ACME
    assert door_of(event(tenant="acme", environment=Environment.PRODUCTION)) == b"acme/production"


def test_a_closed_door_lets_one_through_in_each_interval() -> None:
    """Counted from its closing, and again from each one that was let through."""
    doors = Doors(100)
    assert doors.close(ACME, 1_000)
    assert [doors.take_probe(ACME, at) for at in (1_000, 1_099, 1_100, 1_101, 1_199, 1_200)] == [
        *(False, False, True),
        *(False, False, True),
    ]
    assert doors.is_closed(ACME)
    assert not doors.is_shut(BLUE)
    assert doors.next_look(ACME, 1_201) == 1_300


def test_a_clock_that_leapt_back_leaves_no_door_closed_for_longer_than_an_interval() -> None:
    """By that clock the next probe would be years off, and with it all of the tenant's events."""
    doors = Doors(100)
    doors.close(ACME, 1_000_000)
    assert doors.next_look(ACME, 1_000) == 1_100
    assert [doors.take_probe(ACME, at) for at in (1_000, 1_099, 1_100)] == [True, False, True]


def test_a_held_door_lets_nobody_through() -> None:
    """Who probes whether a destination is back is not decided here."""
    doors = Doors(100)
    doors.held = {ACME}
    doors.close(ACME, 0)
    assert doors.is_shut(ACME)
    assert not doors.take_probe(ACME, 1_000)
    doors.held = frozenset()
    assert doors.take_probe(ACME, 1_000)


def test_changes_are_told_once() -> None:
    """An alarm is raised on change, and not for each event."""
    doors = Doors(100)
    assert [doors.close(ACME, 1), doors.close(ACME, 2), doors.close(BLUE, 3)] == [True, False, True]
    assert doors.take_changes() == [(ACME, True), (BLUE, True)]
    assert [doors.open(ACME), doors.open(ACME)] == [True, False]
    assert doors.take_changes() == [(ACME, False)]
    assert doors.take_changes() == []


def test_a_new_configuration_opens_the_doors_of_its_tenants() -> None:
    """Of both environments, and of nobody whose name only begins alike."""
    doors = Doors(100)
    for door in (ACME, b"acme/production", b"acme2/sandbox", BLUE):
        doors.close(door, 1)
    assert [*doors.open_all(["acme"])] == [ACME, b"acme/production"]
    assert {*doors.closed} == {b"acme2/sandbox", BLUE}
