"""Deciding: from facts about a lane to what holds it, in a sentence each. Pure.

The head, the earliest event that has not ended, decides: the first rule that knows something says it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from broker.layout import Layout, Standing
from consumer.moments import moment, span
from consumer.why.answer import PageHead, PagePartition
from consumer.why.cause import Cause, Finding
from consumer.why.endings import last_ending
from consumer.why.facts import Facts
from schemas.parked import Park, Why

Rule = Callable[[Facts, int], tuple[Cause, str, str] | None]
"""Give cause, sentence and advice for the event at an offset; None to leave it to the next rule."""

_WAIT = "Nothing to do: it goes on by itself."
_WIDE = frozenset({Cause.TENANT_UNKNOWN, Cause.NO_MEMBER, Cause.TENANT_MISCONFIGURED, Cause.DESTINATION_HELD})
"""What is said once of a tenant instead of each of its lanes."""
_ROOM = (Why.LANE_FULL, Why.TENANT_FULL)


def decide(facts: Facts) -> Sequence[Finding]:
    """Say what holds a lane: its head, and then its newest event; or how its last event ended."""
    waiting = facts.open
    if not waiting:
        return [_tenant_unknown(facts) or last_ending(facts)]
    findings = [_about_head(facts, waiting[0])]
    if len(waiting) > 1:
        findings.append(_about_newest(facts, waiting))
    return findings


def tenant_wide(tenant: str, lanes: Sequence[Facts], *, in_tenants_file: bool | None) -> Sequence[Finding]:
    """Say what holds a tenant as a whole, and then the head of each of these lanes of it."""
    findings = [_about_head(facts, facts.open[0]) for facts in lanes if facts.open]
    if not findings and in_tenants_file is False:
        says = f"the tenant {tenant} is not in the tenants file, and nothing of it waits."
        return [Finding(about=tenant, cause=Cause.TENANT_UNKNOWN, says=says, do="Check the name.")]
    if not findings:
        says = "nothing of it waits, as far back as this looked."
        return [Finding(about=tenant, cause=Cause.NOTHING_OPEN, says=says, do="Nothing to do.")]
    wide = {
        found.cause: replace(found, about=tenant, partition=None, offset=None)
        for found in findings
        if found.cause in _WIDE
    }
    return [*wide.values(), *(found for found in findings if found.cause not in _WIDE)]


def _about_head(facts: Facts, offset: int) -> Finding:
    for rule in _RULES:
        found = rule(facts, offset)
        if found is not None:
            return _finding(facts, offset, *found)
    return _finding(facts, offset, *_unseen(facts, offset))


def _about_newest(facts: Facts, waiting: Sequence[int]) -> Finding:
    offset, others = waiting[-1], len(waiting) - 1
    many = f"{others} later event{'s wait' if others > 1 else ' waits'} behind it; the newest, at offset {offset}, "
    do = "It goes on when the first has ended."
    park = facts.parked.get(offset)
    if park is None:
        return _finding(facts, offset, Cause.BEHIND, f"{many}waits for its turn in the lane.", do)
    if park.reason in _ROOM:
        return _finding(facts, offset, Cause.PARKED_FOR_ROOM, f"{many}{_for_room(park)}", do)
    return _finding(facts, offset, Cause.PARKED_BEHIND, f"{many}is parked behind it.", do)


def _finding(facts: Facts, offset: int, cause: Cause, says: str, do: str) -> Finding:
    return Finding(about=facts.lane, cause=cause, says=says, do=do, partition=facts.partition.number, offset=offset)


def _tenant_unknown(facts: Facts) -> Finding | None:
    found = _unknown(facts, -1)
    return None if found is None else Finding(about=facts.lane, cause=found[0], says=found[1], do=found[2])


# Rules, in their order.


def _unaccounted(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    committed = facts.partition.committed
    if committed is None or offset >= committed.frontier or offset in facts.parked or _head(facts, offset) is not None:
        return None
    return (
        Cause.UNACCOUNTED,
        (
            f"the event at offset {offset} lies below the frontier {committed.frontier} and has neither an outcome nor "
            "a place among the parked: it is not accounted for, unless the group began behind it."
        ),
        f"Run `python -m consumer audit --group {facts.group}`, and report what it names.",
    )


def _unknown(facts: Facts, _: int) -> tuple[Cause, str, str] | None:
    if facts.in_tenants_file is not False:
        return None
    return (
        Cause.TENANT_UNKNOWN,
        (
            f"the tenant {facts.tenant} is not in the tenants file: its webhooks are answered 403, and what is in "
            "Kafka already waits."
        ),
        "Add the tenant to the tenants file of ingress and consumer.",
    )


def _no_member(facts: Facts, _: int) -> tuple[Cause, str, str] | None:
    if not facts.names_owners or facts.state not in {"empty", "dead"}:
        return None
    return (
        Cause.NO_MEMBER,
        f"no member of the group {facts.group} runs.",
        f"Start one: `python -m consumer run --group {facts.group}`.",
    )


def _draining(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    if facts.drains is None or not _waits_for_the_drain(facts.drains, facts, offset):
        return None
    return (
        Cause.DRAINING,
        (
            f"the topic has {facts.drains.new} partitions, and the group's topics have {facts.drains.old}: what was "
            f"written before has to end first, and the event at offset {offset} waits for that."
        ),
        "Look at what is left: `drain.begun` and `drain.measured` in the log of a member.",
    )


def _waits_for_the_drain(drains: Layout, facts: Facts, offset: int) -> bool:
    """Say whether an event lies where only the new layout has it, or behind one that does.

    What the frontier has passed is parked, and has its turns while the group drains.
    """
    place, committed = facts.partition.number, facts.partition.committed
    if place >= drains.old:
        return True
    if committed is not None and offset < committed.frontier:
        return False
    is_behind = facts.boundary is not None and offset >= facts.boundary
    return is_behind or drains.standing(facts.lane.encode(), place) is Standing.MOVED_IN


def _no_owner(facts: Facts, _: int) -> tuple[Cause, str, str] | None:
    if not facts.names_owners or facts.partition.owner is not None:
        return None
    place = f"partition {facts.partition.number}"
    if facts.state == "stable":
        return (
            Cause.NO_OWNER,
            f"{place} has no owner, although the group is stable.",
            "Look at the members' logs for `partition.lost` and `member.failed`.",
        )
    return (
        Cause.REBALANCING,
        f"the group shares its partitions out anew ({facts.state}), and {place} has no owner meanwhile.",
        "Wait for a session timeout; if it stays so, look for members that come and go.",
    )


def _owner_silent(facts: Facts, _: int) -> tuple[Cause, str, str] | None:
    if facts.partition.address is None or facts.page is not None:
        return None
    return (
        Cause.OWNER_SILENT,
        (
            f"partition {facts.partition.number} belongs to {facts.partition.owner}, whose page at "
            f"{facts.partition.address} does not answer: it has just died, hangs, or cannot be reached from here."
        ),
        "Ask from the member's own host; if it hangs, end it: another takes over after a session timeout.",
    )


def _in_between(facts: Facts, _: int) -> tuple[Cause, str, str] | None:
    if facts.page is None:
        return None
    known = facts.partition_page
    if known is None or known.stage == "taking_over":
        return (
            Cause.TAKING_OVER,
            f"partition {facts.partition.number} is being taken over by {facts.partition.owner}.",
            "Wait; `takeover.delayed` in its log says what keeps it.",
        )
    if known.stage == "letting_go":
        return (Cause.LETTING_GO, f"partition {facts.partition.number} is being handed over.", _WAIT)
    return None


def _misconfigured(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    closed = facts.page.misconfigured_tenants if facts.page is not None else ()
    park = facts.parked.get(offset)
    if not _mentions(closed, facts.tenant) and (park is None or park.reason is not Why.MISCONFIGURED):
        return None
    why = f" ({park.error})" if park is not None and park.error else ""
    return (
        Cause.TENANT_MISCONFIGURED,
        (
            f"the configuration of the tenant {facts.tenant} is wrong{why}: its events are parked, and one is tried "
            "now and then."
        ),
        "Correct its keys or credentials in the tenants file; then everything goes on in order.",
    )


def _held(facts: Facts, _: int) -> tuple[Cause, str, str] | None:
    if facts.page is None or not _mentions(facts.page.held_destinations, facts.tenant):
        return None
    return (
        Cause.DESTINATION_HELD,
        f"the destination of {facts.tenant} is held: too many calls failed there, and only probes are made.",
        "Find out what is wrong with it; calls start again by themselves when a probe succeeds.",
    )


def _pinned(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    known = facts.partition_page
    pin = next((pin for pin in known.pinned if pin.offset == offset), None) if known is not None else None
    if pin is None:
        return None
    return (
        Cause.FRONTIER_PINNED,
        (
            f"Kafka does not take a write about the event at offset {offset} ({pin.write}: {pin.error}); it is written "
            "again and again, and pins the frontier."
        ),
        "Look at the brokers: a topic without enough replicas in sync, a full disk, or missing rights.",
    )


def _handled(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    head = _head(facts, offset)
    if head is None:
        return None
    tries = f"attempt {head.attempts}" if head.stage == "call" else f"{head.attempts} attempts so far"
    failed = f", the last failed with: {head.error}" if head.error else ""
    match head.stage:
        case "call":
            since = span(facts.now - _milliseconds(head.since, facts.now))
            said = f"the event at offset {offset} is in flight for {since} ({tries}{failed})."
            return Cause.IN_FLIGHT, said, "Wait; a call ends at the latest after FUSE_SYNC_CALL_TIMEOUT_SECONDS."
        case "pause" if _milliseconds(head.until, 0) > facts.now:
            at = moment(_milliseconds(head.until, 0))
            said = f"the event at offset {offset} waits until {at} for its next attempt ({tries}{failed})."
            return Cause.NEXT_ATTEMPT, said, _WAIT
        case "lease":
            said = f"the member of partition {facts.partition.number} starts no call: Kafka took no commit for a while."
            return Cause.NO_LEASE, said, "Look at the brokers, and for `commit.failed` in the member's log."
    return Cause.TURN, f"the event at offset {offset} waits for its turn{_in_queue(facts)}{failed}.", _WAIT


def _parked(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    park = facts.parked.get(offset)
    if park is None:
        return None
    name = f"the event at offset {offset}"
    if park.due > facts.now:
        tries = f"{park.attempts} attempts so far, the last failed with: {park.error}"
        said = f"{name} is parked until {moment(park.due)} ({tries})."
        return Cause.PARKED_FAILED, said, "Nothing to do, unless the error is yours to mend."
    if park.reason in _ROOM:
        return Cause.PARKED_FOR_ROOM, f"{name} {_for_room(park)}", _WAIT
    if park.reason is Why.BEHIND:
        return Cause.PARKED_TURN, f"{name} was parked behind an earlier one; that has ended, its turn comes.", _WAIT
    since = max(park.due, park.since)  # what was parked without a call has been due from the beginning
    said = f"{name} is parked, and due since {moment(since)}: it waits for its turn{_in_queue(facts)}."
    return Cause.PARKED_TURN, said, _WAIT


def _not_read(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    known = facts.partition_page
    if known is None or known.read_position is None or offset < known.read_position:
        return None
    place, away = f"partition {facts.partition.number}", offset - known.read_position
    if known.paused:
        said = f"{place} is paused at a bound, {away} offsets before the event at offset {offset}{_pins(known)}."
        return Cause.PAUSED, said, "Look at `GET /state` of the member: what is at its bound there, and why."
    said = f"{place} has not been read as far as the event at offset {offset}: {away} offsets are before it."
    return Cause.NOT_READ, said, "Wait; if the distance grows, add members or partitions' worth of calls."


def _just_now(facts: Facts, offset: int) -> tuple[Cause, str, str] | None:
    if facts.page is None:
        return None
    said = f"the event at offset {offset} was being settled while this was asked."
    return Cause.JUST_NOW, said, "Ask again."


def _unseen(facts: Facts, offset: int) -> tuple[Cause, str, str]:
    who = facts.partition.owner or "its owner, which Kafka does not tell of this group,"
    return (
        Cause.OWNER_UNSEEN,
        f"the event at offset {offset} is not settled; {who} has no page that says more.",
        "Read the member's log, or let it serve its page: FUSE_SYNC_MEMBER_PORT.",
    )


_RULES: tuple[Rule, ...] = (
    _unaccounted,
    _unknown,
    _no_member,
    _draining,
    _no_owner,
    _owner_silent,
    _in_between,
    _misconfigured,
    _held,
    _pinned,
    _handled,
    _parked,
    _not_read,
    _just_now,
)


# Words.


def _head(facts: Facts, offset: int) -> PageHead | None:
    lane = facts.lane_page
    return lane.head if lane is not None and lane.head is not None and lane.head.offset == offset else None


def _mentions(accounts: Sequence[str], tenant: str) -> bool:
    return any(account.partition("/")[0] == tenant for account in accounts)


def _for_room(park: Park) -> str:
    whose = "its lane" if park.reason is Why.LANE_FULL else "its tenant"
    return f"is parked since {moment(park.since)} because {whose} had more than its share of memory."


def _in_queue(facts: Facts) -> str:
    if facts.page is None:
        return ""
    calls = facts.page.calls
    return f" ({calls.in_flight} of at most {calls.most} calls are in flight, {calls.waiting} wait)"


def _pins(known: PagePartition) -> str:
    if not known.pinned:
        return ""
    pin = known.pinned[0]
    return f"; the frontier is pinned at offset {pin.offset} ({pin.write}: {pin.error})"


def _milliseconds(seconds: float | None, otherwise: int) -> int:
    return otherwise if seconds is None else int(seconds * 1000)
