"""The sender keeps lanes in order, repeats what may be repeated, and notes what happened."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from sandbox.calls import digest
from sandbox.generator import GeneratedWebhook, Mix, Variant, generate
from sandbox.manifest import Notes
from sandbox.sender import Fate, Pace, Reply, asked_wait, meaning, send, wait_before_next
from schemas.tenants import Tenants

Behaviour = Callable[[int, str, bytes], web.Response | None]
"""From the number of the request, its tenant and body to an answer; None breaks the connection."""

IMPATIENT = Pace(concurrency=8, attempts=3, first_wait=0.001, longest_wait=0.01)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class FakeIngress:
    """Answers as it is told, and remembers the order of bodies in each lane and how many were open at once."""

    def __init__(self, behaviour: Behaviour, delay: float = 0.0) -> None:
        self.behaviour = behaviour
        self.delay = delay
        self.received: list[tuple[str, bytes]] = []
        self.open = 0
        self.most_open = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one webhook."""
        body = await request.read()
        tenant = request.path.removeprefix("/webhooks/")
        self.received.append((tenant, body))
        number = len(self.received)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(self.delay)
        self.open -= 1
        answer = self.behaviour(number, tenant, body)
        if answer is None and request.transport is not None:
            request.transport.abort()
        return answer or web.Response()


def accept(number: int, _: str, __: bytes) -> web.Response:
    """Accept everything."""
    return web.json_response({"id": f"event-{number}"})


@asynccontextmanager
async def ingress(behaviour: Behaviour, delay: float = 0.0) -> AsyncIterator[tuple[FakeIngress, str]]:
    """Serve a fake ingress on a free port."""
    fake = FakeIngress(behaviour, delay)
    runner = web.ServerRunner(web.Server(fake), shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def make(tenants: Tenants, count: int, **mix: float) -> list[GeneratedWebhook]:
    """Make so many webhooks."""
    return list(islice(generate(tenants, Mix(**{"connections": 10, **mix}), seed=1), count))  # type: ignore[arg-type]


async def test_all_are_sent_and_noted_with_the_ids_of_the_answers(tenants: Tenants) -> None:
    """Bodies arrive byte for byte at the tenant's route."""
    webhooks = make(tenants, 100)
    async with ingress(accept) as (fake, url):
        manifest = await send(webhooks, url, IMPATIENT)
    assert Counter(fake.received) == Counter((webhook.tenant, webhook.body) for webhook in webhooks)
    by_id = {event.id: event for event in manifest.accepted}
    assert len(by_id) == 100
    for number, (tenant, body) in enumerate(fake.received, start=1):
        assert (by_id[f"event-{number}"].tenant, by_id[f"event-{number}"].body) == (tenant, digest(body))


async def test_a_lane_is_sent_and_noted_in_the_order_of_the_webhooks(tenants: Tenants) -> None:
    """Even where half of all requests have to be repeated, and answers take their time."""
    webhooks = make(tenants, 200)

    def flaky(number: int, tenant: str, body: bytes) -> web.Response:
        return web.Response(status=503) if number % 2 else accept(number, tenant, body)

    async with ingress(flaky, delay=0.002) as (_, url):
        manifest = await send(webhooks, url, Pace(concurrency=8, attempts=99, first_wait=0.001, longest_wait=0.01))
    sent, noted = defaultdict(list), defaultdict(list)
    for webhook in webhooks:
        sent[webhook.connection].append(digest(webhook.body))
    for event in manifest.accepted:
        noted[event.connection].append(event.body)
    assert noted == sent


async def test_no_more_requests_are_open_than_the_concurrency(tenants: Tenants) -> None:
    """And more than one is."""
    async with ingress(accept, delay=0.005) as (fake, url):
        await send(make(tenants, 100, connections=50), url, Pace(concurrency=4))
    assert 1 < fake.most_open <= 4


async def test_forged_webhooks_refused_are_counted_and_accepted_ones_are_told_apart(tenants: Tenants) -> None:
    """Both ways in which an ingress can be wrong are counted too."""
    webhooks = make(tenants, 200, forged_share=0.5)
    genuine = sum(not webhook.variant.forged for webhook in webhooks)
    async with ingress(lambda *_: web.Response(status=403)) as (_, url):
        refusing = await send(webhooks, url, IMPATIENT)
    async with ingress(accept) as (_, url):
        accepting = await send(webhooks, url, IMPATIENT)
    assert (refusing.counts.genuine_refused, refusing.counts.refused) == (genuine, 200 - genuine)
    assert (len(accepting.accepted), accepting.counts.forged_accepted) == (genuine, 200 - genuine)


async def test_a_webhook_never_decided_is_given_up_after_its_attempts_and_noted_as_unsure(tenants: Tenants) -> None:
    """A broken connection and a 503 may both have left a record in the log; a 429 cannot."""
    (webhook,) = make(tenants, 1)
    answers = iter([None, web.Response(status=503), web.Response(status=429)])
    async with ingress(lambda *_: next(answers)) as (_, url):
        manifest = await send([webhook], url, IMPATIENT)
    assert (manifest.counts.given_up, len(manifest.unsure), manifest.accepted) == (1, 2, ())
    assert manifest.answers == {"none": 1, "503": 1, "429": 1}


async def test_the_notes_of_a_cancelled_sender_are_kept(tenants: Tenants) -> None:
    """Whoever stops a run can still judge it."""
    notes = Notes()
    async with ingress(accept, delay=0.01) as (_, url):
        sending = asyncio.create_task(send(generate(tenants, Mix(), seed=1), url, IMPATIENT, notes))
        async with asyncio.timeout(10):
            while not notes.accepted:  # noqa: ASYNC110 - the notes announce nothing
                await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert notes.manifest().accepted


async def test_a_rate_is_not_exceeded(tenants: Tenants) -> None:
    """Twenty at 100 a second take at least 0.19 s."""
    clock = asyncio.get_running_loop().time
    async with ingress(accept) as (_, url):
        start = clock()
        await send(make(tenants, 20), url, Pace(rate=100))
    assert clock() - start >= 0.19


@pytest.mark.parametrize(
    ("status", "genuine", "forged"),
    [
        (200, Fate.ACCEPTED, Fate.FORGED_ACCEPTED),
        (403, Fate.GENUINE_REFUSED, Fate.REFUSED),
        (400, Fate.GENUINE_REFUSED, Fate.REFUSED),
        (408, Fate.AGAIN, Fate.AGAIN),
        (429, Fate.AGAIN, Fate.AGAIN),
        (500, Fate.AGAIN, Fate.AGAIN),
        (503, Fate.AGAIN, Fate.AGAIN),
        (None, Fate.AGAIN, Fate.AGAIN),
    ],
)
def test_a_status_means_this(tenants: Tenants, status: int | None, genuine: Fate, forged: Fate) -> None:
    """For a genuine webhook and for a forged one."""
    webhooks = {webhook.variant: webhook for webhook in make(tenants, 200, forged_share=0.5)}
    assert meaning(webhooks[Variant.CANONICAL], status) is genuine
    assert meaning(webhooks[Variant.TAMPERED], status) is forged


@given(attempts=st.integers(1, 10_000), asked=st.integers(0, 100))
def test_a_wait_honours_retry_after_up_to_the_longest(attempts: int, asked: int) -> None:
    """And never ends before the sender's own backoff would."""
    wait = wait_before_next(Reply(status=503, retry_after=str(asked)), attempts, Pace(longest_wait=10), NOW)
    assert min(10, max(asked, 0.1)) <= wait <= 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0.0),
        ("7", 7.0),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9.0),
        (format_datetime(NOW - timedelta(seconds=9), usegmt=True), 0.0),
        ("soon", 0.0),
        ("²", 0.0),
        ("-1", 0.0),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str | None, seconds: float) -> None:
    """What cannot be read asks for nothing."""
    assert asked_wait(text, NOW) == seconds
