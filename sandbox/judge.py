"""The judge: from what the ingress accepted and what the fake Fuse received, whether the path kept its promises.

Pure. These words mean, here and in every verdict:

lane
    All events of one tenant and connection.
expected
    An accepted event of type `financial_connection.sync_data`; all other types are `ignored`, and a call for one is
    `unexpected`.
success
    A call answered 200; it succeeds when it ends.
superseded
    An expected event without a success, with a later one in its lane that has an equal body and succeeded: one call
    covers both.
lost
    Any other expected event without a success.
overlapping
    A call that came while another call of its lane was open. A call whose client vanished is open until the server
    noticed.
out of order
    A call for an event that came before every earlier expected event of its lane had succeeded or was superseded,
    unless the event itself had succeeded by then: that is a repeat. So if first successes are not in the order of
    acceptance, the calls that made them so are counted.
repeated
    A call that came after its event's first success.
resent
    A call of a generation above 0: somebody asked for it. It can make an event synced, and is judged no further than
    for overlaps and alteration.
unacknowledged
    A call for an event that the ingress did not acknowledge, with the lane and body of a webhook whose sender got no
    clear answer. It was in the log after all; no promise forbids that.
unexpected
    A call for anything else that was not accepted, or not to be synced.
altered
    A call with another tenant, connection or body than its event was accepted with.

Events are told apart by the idempotency key `<event id>:<generation>`, since two may have equal bodies.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.calls import Call
from sandbox.manifest import AcceptedWebhook, Manifest, SentWebhook
from schemas.webhook import WebhookType

EXAMPLES = 10
"""Names given for each kind of fault, at most."""

_BROKEN = ("lost", "out_of_order", "overlapping", "unexpected", "altered", "forged_accepted", "genuine_refused")

Lane = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Count what was found; the module's docstring has the words.

    Of events: accepted, ignored, synced, superseded, lost. Of webhooks that were not accepted: refused,
    forged_accepted, genuine_refused, given_up (see `manifest.Counts`). Of calls: all others. `examples` names some of
    what is lost by `tenant/connection event`, and some of the calls by `call number tenant/connection key`.
    """

    accepted: int
    ignored: int
    synced: int
    superseded: int
    lost: int
    refused: int
    forged_accepted: int
    genuine_refused: int
    given_up: int
    out_of_order: int
    overlapping: int
    repeated: int
    resent: int
    unacknowledged: int
    unexpected: int
    altered: int
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Say whether every promise was kept. Repeats break none, and a webhook given up is still the sender's."""
        return not any(getattr(self, name) for name in _BROKEN)


def judge(manifest: Manifest, calls: Iterable[Call]) -> Verdict:
    """Judge a run by its manifest and all calls of it, in any order."""
    ordered = sorted(calls, key=lambda call: call.arrived)
    expected = [event for event in manifest.accepted if event.type == WebhookType.SYNC_DATA]
    success = _first_successes(ordered)
    superseded = _superseded(expected, success)
    lost = [event for event in expected if event.id not in success and event.id not in superseded]
    called_for = [event for event in expected if event.id not in superseded]
    found = {
        "out_of_order": _out_of_order(called_for, ordered, success),
        "overlapping": list(_overlapping(ordered)),
        "repeated": list(_repeated(ordered)),
        "resent": [call for call in ordered if _identity(call)[1] > 0],
        **_unaccounted(manifest, ordered),
    }
    return Verdict(
        accepted=len(manifest.accepted),
        ignored=len(manifest.accepted) - len(expected),
        synced=len(called_for) - len(lost),
        superseded=len(superseded),
        lost=len(lost),
        examples=_examples(lost, found),
        **manifest.counts.model_dump(),
        **{kind: len(of_kind) for kind, of_kind in found.items()},
    )


def _identity(call: Call) -> tuple[str, int]:
    """Split the idempotency key into event id and generation; the generation is -1 where it is no number."""
    event, _, generation = call.key.rpartition(":")
    return event, int(generation) if generation.isascii() and generation.isdigit() else -1


def _end(call: Call) -> float:
    return math.inf if call.ended is None else call.ended


def _first_successes(calls: Sequence[Call]) -> dict[str, float]:
    """Find when each event first succeeded, in whatever generation."""
    success: dict[str, float] = {}
    for call in calls:
        if call.synced:
            event, _ = _identity(call)
            success[event] = min(success.get(event, math.inf), _end(call))
    return success


def _superseded(expected: Sequence[AcceptedWebhook], success: Mapping[str, float]) -> set[str]:
    """Find what a later event of the same lane and body has covered."""
    superseded, covering = set(), set()
    for event in reversed(expected):
        if event.id in success:
            covering.add(_content(event))
        elif _content(event) in covering:
            superseded.add(event.id)
    return superseded


def _out_of_order(
    expected: Sequence[AcceptedWebhook], calls: Sequence[Call], success: Mapping[str, float]
) -> list[Call]:
    allowed = _allowed_from(expected, success)
    return [
        call
        for call in calls
        for event, generation in [_identity(call)]
        if generation == 0 and call.arrived < min(allowed.get(event, -math.inf), success.get(event, math.inf))
    ]


def _allowed_from(expected: Sequence[AcceptedWebhook], success: Mapping[str, float]) -> dict[str, float]:
    """Find from when on each event may be called: when every earlier one of its lane had succeeded."""
    cleared: defaultdict[Lane, float] = defaultdict(lambda: -math.inf)
    allowed = {}
    for event in expected:
        lane = event.tenant, event.connection
        allowed[event.id] = cleared[lane]
        cleared[lane] = max(cleared[lane], success.get(event.id, math.inf))
    return allowed


def _overlapping(calls: Sequence[Call]) -> Iterator[Call]:
    busy_until: dict[Lane, float] = {}
    for call in calls:
        if not call.tenant:
            continue
        until = busy_until.get(call.lane, -math.inf)
        if call.arrived < until:
            yield call
        busy_until[call.lane] = max(until, _end(call))


def _repeated(calls: Sequence[Call]) -> Iterator[Call]:
    succeeded: dict[tuple[str, str], float] = {}
    for call in calls:
        event = call.tenant, call.event
        if call.arrived >= succeeded.get(event, math.inf):
            yield call
        if call.synced:
            succeeded[event] = min(succeeded.get(event, math.inf), _end(call))


def _unaccounted(manifest: Manifest, calls: Sequence[Call]) -> dict[str, list[Call]]:
    events = {event.id: event for event in manifest.accepted}
    unsure = {_content(webhook) for webhook in manifest.unsure if webhook.type == WebhookType.SYNC_DATA}
    found: dict[str, list[Call]] = {"unacknowledged": [], "unexpected": [], "altered": []}
    for call in calls:
        kind = _kind(call, events, unsure)
        if kind is not None:
            found[kind].append(call)
    return found


def _kind(call: Call, events: Mapping[str, AcceptedWebhook], unsure: set[tuple[str, str, str]]) -> str | None:
    name, generation = _identity(call)
    event = events.get(name)
    content = call.tenant, call.connection, call.body
    if event is None and generation == 0 and content in unsure:
        return "unacknowledged"
    if event is None or generation < 0 or event.type != WebhookType.SYNC_DATA:
        return "unexpected"
    return None if content == _content(event) else "altered"


def _content(webhook: SentWebhook) -> tuple[str, str, str]:
    return webhook.tenant, webhook.connection, webhook.body


def _examples(lost: Sequence[AcceptedWebhook], found: Mapping[str, Sequence[Call]]) -> dict[str, tuple[str, ...]]:
    named = {"lost": tuple(f"{event.tenant}/{event.connection} {event.id}" for event in lost[:EXAMPLES])}
    for kind, calls in found.items():
        named[kind] = tuple(f"call {call.number} {'/'.join(call.lane)} {call.key}" for call in calls[:EXAMPLES])
    return {kind: names for kind, names in named.items() if names}
