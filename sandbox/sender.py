"""The sender: POSTs webhooks to an ingress as Fuse would, each lane's one after another, and writes the manifest."""

import asyncio
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from zlib import crc32

import aiohttp
import orjson

from sandbox.calls import connection_text, digest
from sandbox.generator import GeneratedWebhook
from sandbox.manifest import AcceptedWebhook, Manifest, Notes, SentWebhook

_WAITING_PER_WORKER = 64
_DELAY_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast to send, and how stubbornly.

    `concurrency` is in requests, `rate` in webhooks per second (0: as fast as they are answered), all else but
    `attempts` in seconds. The wait between attempts starts at `first_wait` and doubles; `longest_wait` bounds it, and
    what a Retry-After can ask for.
    """

    concurrency: int = 64
    rate: float = 0.0
    attempts: int = 20
    timeout: float = 30.0
    first_wait: float = 0.1
    longest_wait: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the ingress answered; `status` is None where no answer came."""

    status: int | None
    retry_after: str | None = None
    body: bytes = b""


class Fate(StrEnum):
    """What a reply means for a webhook. All but the first two are counted under these names in the manifest."""

    ACCEPTED = "accepted"
    AGAIN = "again"
    REFUSED = "refused"
    FORGED_ACCEPTED = "forged_accepted"
    GENUINE_REFUSED = "genuine_refused"


async def send(webhooks: Iterable[GeneratedWebhook], url: str, pace: Pace, notes: Notes | None = None) -> Manifest:
    """Send all `webhooks` to the ingress at `url` and give the manifest.

    `notes` is what the manifest is made from; whoever passes it can follow the progress, and keeps what was noted when
    this is cancelled.
    """
    notes = Notes() if notes is None else notes
    timeout = aiohttp.ClientTimeout(total=pace.timeout)
    async with (
        aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        queues = [_Queue(_WAITING_PER_WORKER) for _ in range(pace.concurrency)]
        for queue in queues:
            group.create_task(_work(queue, session, pace, notes))
        await _feed(webhooks, queues, pace)
    return notes.manifest()


def meaning(webhook: GeneratedWebhook, status: int | None) -> Fate:
    """Decide what a status means for a webhook."""
    if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Fate.AGAIN
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}:
        return Fate.AGAIN
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return Fate.FORGED_ACCEPTED if webhook.variant.forged else Fate.ACCEPTED
    return Fate.REFUSED if webhook.variant.forged else Fate.GENUINE_REFUSED


def wait_before_next(reply: Reply, attempts: int, pace: Pace, now: datetime) -> float:
    """Decide how many seconds to wait after `attempts` attempts."""
    own = pace.first_wait * 2.0 ** min(attempts - 1, 30)
    return min(pace.longest_wait, max(own, asked_wait(reply.retry_after, now)))


def asked_wait(retry_after: str | None, now: datetime) -> float:
    """Read a Retry-After header, seconds or date (RFC 9110, section 10.2.3); 0 where it says nothing usable."""
    if retry_after is None:
        return 0.0
    if _DELAY_SECONDS.fullmatch(retry_after):
        return float(retry_after)
    with suppress(ValueError):
        moment = parsedate_to_datetime(retry_after)
        ahead = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        return ahead if ahead > 0 else 0.0
    return 0.0


_Queue = asyncio.Queue[GeneratedWebhook | None]


async def _feed(webhooks: Iterable[GeneratedWebhook], queues: list[_Queue], pace: Pace) -> None:
    clock = asyncio.get_running_loop().time
    start = clock()
    for number, webhook in enumerate(webhooks):
        if pace.rate > 0 and (ahead := start + number / pace.rate - clock()) > 0:
            await asyncio.sleep(ahead)
        # A lane always falls to the same worker, which is what keeps it in order.
        lane = f"{webhook.tenant}/{webhook.connection}".encode()
        await queues[crc32(lane) % len(queues)].put(webhook)
    for queue in queues:
        await queue.put(None)


async def _work(queue: _Queue, session: aiohttp.ClientSession, pace: Pace, notes: Notes) -> None:
    while (webhook := await queue.get()) is not None:
        await _deliver(webhook, session, pace, notes)


async def _deliver(webhook: GeneratedWebhook, session: aiohttp.ClientSession, pace: Pace, notes: Notes) -> None:
    for attempts in range(1, pace.attempts + 1):
        reply = await _post(webhook, session)
        notes.answers["none" if reply.status is None else str(reply.status)] += 1
        fate = meaning(webhook, reply.status)
        if fate is not Fate.AGAIN:
            _note(webhook, reply, fate, notes)
            return
        if not webhook.variant.forged and _may_be_in_the_log(reply):
            notes.unsure.append(SentWebhook(**_describe(webhook)))
        if attempts < pace.attempts:
            await asyncio.sleep(wait_before_next(reply, attempts, pace, datetime.now(UTC)))
    notes.counts["given_up"] += 1


async def _post(webhook: GeneratedWebhook, session: aiohttp.ClientSession) -> Reply:
    try:
        async with session.post(f"/webhooks/{webhook.tenant}", data=webhook.body, headers=webhook.headers) as response:
            body = await response.read()
            return Reply(status=response.status, retry_after=response.headers.get("Retry-After"), body=body)
    except (aiohttp.ClientError, TimeoutError):
        return Reply(status=None)


def _may_be_in_the_log(reply: Reply) -> bool:
    return reply.status is None or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _note(webhook: GeneratedWebhook, reply: Reply, fate: Fate, notes: Notes) -> None:
    if fate is Fate.ACCEPTED:
        notes.accepted.append(AcceptedWebhook(**_describe(webhook), id=event_id(reply.body)))
    else:
        notes.counts[fate] += 1


def _describe(webhook: GeneratedWebhook) -> dict[str, str]:
    return {
        "tenant": webhook.tenant,
        "connection": connection_text(webhook.connection),
        "type": webhook.type,
        "body": digest(webhook.body),
    }


def event_id(body: bytes) -> str:
    """Read the event id from the ingress's answer; empty where it names none, which the judge finds lost."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return str(answer.get("id", "")) if isinstance(answer, dict) else ""
