"""Several groups read the same topic: `sync`, `relay`, and a plain consumer of somebody else's.

The receiver of `relay` is out of order for a while, Fuse fails some calls, and neither shows in the other's work.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from sandbox.generator import Mix
from sandbox.plan import Answer, Plan, Rule
from schemas.telemetry import LogEvent
from tests.scenarios.conftest import Scenario, Stage, until

DOCS = Path(__file__).parents[2] / "docs" / "consuming.md"
KEY = b"a receiver's key, 24 long"
COUNT = 150
PLAN = Plan(rules=(Rule(share=0.2, first_attempts=2, action=Answer(do="answer", status=500)),))


class Receiver:
    """Somebody's server: checks each signature by the standard's text, and notes the events that it took, in order."""

    def __init__(self) -> None:
        self.is_down = True
        self.refused = 0
        self.forged = 0
        self.taken: list[tuple[str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if self.is_down:
            self.refused += 1
            return web.Response(status=503)
        headers, body = request.headers, await request.read()
        content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        expected = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
        self.forged += headers["webhook-signature"] != f"v1,{expected}"
        self.taken.append((f"{headers['ce-tenant']}/{headers['ce-subject']}", headers["ce-id"]))
        return web.Response(status=204)


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    """Run the receiver and give its URL."""
    app = web.Application()
    app.router.add_post("/in", receiver.take)
    async with TestServer(app) as server:
        yield str(server.make_url("/in"))


async def test_groups_read_the_same_events_and_the_failures_of_one_are_not_the_others(stage: Stage) -> None:
    """Defends promises 3 and 4 for every group: whatever one destination does, the rest go on and miss nothing."""
    receiver = Receiver()
    async with stage(members=1, plan=PLAN, topic_partitions=3) as scenario, listening(receiver) as url:
        relay = scenario.pipeline.join(
            group="relay",
            handler="relay",
            relay_url=url,
            relay_secret="whsec_" + base64.b64encode(KEY).decode(),
            relay_allow_private=True,
            parked_initial_seconds=0.5,
            parked_max_seconds=1,
        )
        async with plain_consumer(scenario) as seen:
            manifest = await scenario.send(COUNT, Mix(connections=20, other_share=0.2))
            sent = {event.id for event in manifest.accepted}
            await until(lambda: _true(receiver.refused > 0), 60, scenario.pipeline.check)
            await scenario.ended(sent)
            assert receiver.taken == []
            receiver.is_down = False
            await until(lambda: _true({each for _, each in receiver.taken} == sent), 60, scenario.pipeline.check)
            await until(lambda: _true({each for _, each in seen} == sent), 60, scenario.pipeline.check)
        verdict = await scenario.verdict(manifest)
        delays = [line for line in scenario.pipeline.log(relay.name) if line.get("event") == LogEvent.EVENT_DELAYED]
        appended = in_order(
            [
                ((record.key or b"").decode(), dict(record.headers)["ce_id"].decode())  # type: ignore[union-attr]
                for log in scenario.read(scenario.topic).values()
                for record in log
            ]
        )
    assert verdict.kept, verdict
    assert receiver.forged == 0
    assert in_order(receiver.taken) == appended
    assert in_order(seen) == appended
    assert all("503" in str(line["error"]) for line in delays)


@asynccontextmanager
async def plain_consumer(scenario: Scenario) -> AsyncIterator[list[tuple[str, str]]]:
    """Run the consumer that the documentation prints, word for word; give what it has seen: keys and ids."""
    scope: dict[str, Any] = {}
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, scope)  # noqa: S102 - our own documentation
    seen: list[tuple[str, str]] = []
    stop = threading.Event()

    def handle(identity: str, key: str, _: bytes) -> None:
        seen.append((key, identity))

    following = asyncio.create_task(asyncio.to_thread(scope["follow"], scenario.servers, scenario.topic, stop, handle))
    try:
        yield seen
    finally:
        stop.set()
        await following


def in_order(events: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Give the ids of each connection's events in the order in which they came first."""
    lanes: dict[str, dict[str, None]] = defaultdict(dict)
    for key, identity in events:
        lanes[key].setdefault(identity)
    return {key: list(ids) for key, ids in lanes.items()}


async def _true(holds: bool) -> bool:  # noqa: FBT001 - a condition as `until` asks for it
    return holds
