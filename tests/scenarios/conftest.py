"""What the scenarios share: a running pipeline on a real Kafka, and the judge's verdict on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice, takewhile
from typing import Protocol

import aiohttp
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from broker.client import received
from sandbox.calls import Call
from sandbox.demo.member import Member
from sandbox.demo.pipeline import TENANTS_FILE, Pipeline, Site, open_pipeline
from sandbox.generator import GeneratedWebhook, Mix, generate
from sandbox.inquiry import Inquiry
from sandbox.judge import Verdict, judge
from sandbox.manifest import Manifest
from sandbox.plan import Plan
from sandbox.sender import Pace, send
from schemas.outcome import Ended, Taken, read_outcome
from schemas.record import ReceivedRecord
from schemas.settings import ENVIRON, variable
from schemas.tenants import load_tenants
from schemas.topics import consumer_group_id, group_topics
from tests.conftest import Cluster

SESSION_SECONDS = 6.0 if ENVIRON.get(variable("kafka_bootstrap_servers")) else 3.0
"""Six is the least that a cluster allows unless it is told otherwise, as ours are."""
PATIENT_SECONDS = 15.0
"""Where no member dies, and none may be taken for dead on a machine that is busy with other things."""
MIX = Mix(connections=300, scrambled_share=0.2, other_share=0.1)
QUICK_RETRIES = {"retry_initial_seconds": 0.1, "retry_max_seconds": 1, "call_timeout_seconds": 5}

_SETTLED_WITHIN = 60.0
_STOPPED_WITHIN = 40.0
_POLL = 0.1
_POLL_LOGS = 0.5
"""Reading whole logs costs what the programs under test need themselves."""


class Scenario:
    """A running pipeline, with what scenarios do to it and ask of it."""

    def __init__(self, pipeline: Pipeline, inquiry: Inquiry, servers: str, topic: str) -> None:
        self.pipeline = pipeline
        self.inquiry = inquiry
        self.servers = servers
        self.topic = topic
        self.group = consumer_group_id(topic, "sync")
        self.admin = AdminClient({"bootstrap.servers": servers})

    async def send(self, count: int, mix: Mix = MIX, pace: Pace | None = None, seed: int = 1) -> Manifest:
        """Send webhooks to the ingress and give the manifest."""
        return await send(islice(webhooks(mix, seed), count), self.pipeline.ingress_url, pace or Pace())

    async def send_while(self, going: Callable[[], bool], mix: Mix, pace: Pace) -> Manifest:
        """Send webhooks for as long as `going` says so, however slow the machine is today."""
        return await send(takewhile(lambda _: going(), webhooks(mix, 1)), self.pipeline.ingress_url, pace)

    async def settled(self) -> None:
        """Wait until the committed frontier is at the end of every partition: every event has ended, or is parked."""
        await until(self._is_settled, _SETTLED_WITHIN, self.pipeline.check)

    async def ended(self, events: AbstractSet[str]) -> None:
        """Wait until each of these events has its outcome in the log."""

        async def all_have() -> bool:
            logs = await asyncio.to_thread(self.outcomes)
            return events <= {record.id for log in logs.values() for record in log if isinstance(record, Ended)}

        await until(all_have, _SETTLED_WITHIN, self.pipeline.check, _POLL_LOGS)

    async def synced(self, count: int) -> None:
        """Wait until so many events have been synced."""

        async def reached() -> bool:
            return (await self.inquiry.summary()).synced >= count

        await until(reached, _SETTLED_WITHIN, self.pipeline.check)

    async def stop(self, member: Member) -> None:
        """Ask a member by SIGTERM to leave; it has to end well."""
        member.child.terminate()
        assert await member.child.ended(_STOPPED_WITHIN) == 0, f"{member.name} did not end well"

    async def verdict(self, manifest: Manifest) -> Verdict:
        """Wait until everything has ended, stop the members in order, and judge."""
        await self.settled()
        await self.ended({event.id for event in manifest.accepted})
        await asyncio.gather(*(self.stop(member) for member in self.pipeline.running))
        return judge(manifest, await self.calls())

    async def calls(self) -> list[Call]:
        """Ask the fake Fuse for all calls that it received."""
        return await self.inquiry.calls()

    def logged(self, event: str) -> list[Mapping[str, object]]:
        """Give the log lines of this name of all members."""
        names = [member.name for member in self.pipeline.members]
        return [line for name in names for line in self.pipeline.log(name) if line.get("event") == event]

    def outcomes(self) -> dict[int, list[Ended | Taken]]:
        """Read the group's outcomes log, as anybody may: each partition's records from the beginning to the end."""
        return {
            number: [read_outcome(record.value) for record in records]
            for number, records in self.read(group_topics(self.topic, "sync").outcomes).items()
        }

    def read(self, topic: str) -> dict[int, list[ReceivedRecord]]:
        """Read a topic: each partition's records from the beginning to the end."""
        reader = Consumer({"bootstrap.servers": self.servers, "group.id": "nobody", "enable.partition.eof": True})
        reader.assign([TopicPartition(topic, place.partition, OFFSET_BEGINNING) for place in self.partitions()])
        logs: dict[int, list[ReceivedRecord]] = {place.partition: [] for place in self.partitions()}
        ends = 0
        while ends < len(logs):
            message = reader.poll(10)
            assert message is not None, f"{topic} does not answer"
            if message.error() is not None:
                ends += 1
            else:
                logs[message.partition() or 0].append(received(message))
        reader.close()
        return logs

    def partitions(self) -> list[TopicPartition]:
        """Name the partitions of the source topic."""
        return [TopicPartition(self.topic, number) for number in range(self.pipeline.partitions)]

    async def _is_settled(self) -> bool:
        return await asyncio.to_thread(lambda: self._frontiers() == self._ends())

    def _frontiers(self) -> dict[int, int]:
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.group, self.partitions())])
        places = asked[self.group].result(timeout=20).topic_partitions
        # Nothing committed yet in a partition is said with a negative number.
        return {place.partition: max(0, place.offset) for place in places}

    def _ends(self) -> dict[int, int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the client's stubs leave it out
        asked = self.admin.list_offsets(dict.fromkeys(self.partitions(), latest))
        return {place.partition: end.result(timeout=20).offset for place, end in asked.items()}


class Stage(Protocol):
    """Runs a pipeline: so many members, Fuse's failures, a Kafka other than the shared one, settings by name."""

    def __call__(
        self, *, members: int = 2, plan: Plan | None = None, servers: str | None = None, **settings: object
    ) -> AbstractAsyncContextManager[Scenario]:
        """Open the pipeline; at the end nothing of it is left."""


async def until(
    reached: Callable[[], Awaitable[bool]],
    within: float,
    check: Callable[[], None] = lambda: None,
    poll: float = _POLL,
) -> None:
    """Wait until something is reached; fail when it takes too long, or when `check` does meanwhile."""
    async with asyncio.timeout(within):
        while not await reached():
            check()
            await asyncio.sleep(poll)


def handled_although_known(log: Sequence[Ended | Taken]) -> list[Sequence[tuple[int, Ended | Taken]]]:
    """Find events that ended again under a takeover that had to know their first outcome: its mark lies behind that.

    An outcome that lands behind the next owner's mark is late, since its writer was slow or cut off: nobody has to know
    it, neither that owner nor those after it, and it costs one repeat (takeover.md, "Repeats"). Gives for each event
    the records that tell how it went, with their positions: all marks, and its outcomes.
    """
    owner, mark, known, again = 0, dict[int, int](), dict[str, int](), set[str]()
    for position, record in enumerate(log):
        if isinstance(record, Taken):
            owner, mark[record.epoch] = max(owner, record.epoch), position
            continue
        if known.get(record.id, position) < mark[record.epoch]:
            again.add(record.id)
        if record.epoch == owner:
            known.setdefault(record.id, position)
    return [
        [(position, record) for position, record in enumerate(log) if isinstance(record, Taken) or record.id == event]
        for event in sorted(again)
    ]


def webhooks(mix: Mix, seed: int) -> Iterator[GeneratedWebhook]:
    """Make webhooks of the demo's tenants."""
    return generate(load_tenants(TENANTS_FILE, {}), mix, seed)


@asynccontextmanager
async def open_scenario(site: Site, members: int) -> AsyncIterator[Scenario]:
    """Run a pipeline at a site."""
    async with open_pipeline(site, members=members) as pipeline, aiohttp.ClientSession() as session:
        yield Scenario(pipeline, Inquiry(session, pipeline.fuse_url), site.bootstrap_servers, site.topic)


@pytest.fixture
def stage(cluster: Cluster, topic_name: str) -> Stage:
    """Give a context manager that runs a pipeline on a topic of the test's own."""

    def open_(
        *, members: int = 2, plan: Plan | None = None, servers: str | None = None, **settings: object
    ) -> AbstractAsyncContextManager[Scenario]:
        site = Site(
            bootstrap_servers=servers or cluster.bootstrap_servers,
            topic=topic_name,
            plan=plan or Plan(),
            settings={"session_timeout_seconds": SESSION_SECONDS, **QUICK_RETRIES, **settings},
        )
        return open_scenario(site, members)

    return open_
