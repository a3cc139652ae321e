"""A group has lost events, or given them up, and a person repairs that, but the repair ends in the middle.

Asked for again it goes on where it ended: no event twice, none missed, and no other group calls anybody.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from consumer.audit import audit
from consumer.handler import ANOTHER_GROUP
from consumer.letters import LetterFilter, RedriveRequest, letters, redrive
from consumer.replay import Filter, Request, replay
from sandbox.demo.pipeline import TENANTS_FILE
from sandbox.generator import Mix
from sandbox.plan import Answer, Plan, Rule
from schemas.outcome import Ended, read_outcome
from schemas.settings import PREFIX, ConsumerSettings, variable
from schemas.topics import group_topics
from tests.scenarios.conftest import SESSION_SECONDS, Scenario, Stage, until

OTHER = "other"
MIX = Mix(connections=60, other_share=0)
PARTITIONS = 3
FAILING = Plan(rules=(Rule(connection="[0-7]*", action=Answer(do="answer", status=400, code="other")),))
IMPATIENT: dict[str, Any] = {
    "retry_attempts": 1,
    "parked_initial_seconds": 0.1,
    "parked_max_seconds": 0.2,
    "parked_attempts": 1,
}
WITHIN = 60.0
EVER = datetime.fromtimestamp(0, UTC)
SLOWLY = ("--yes", "--json", "--rate", "40/s")


async def test_a_replay_repairs_what_was_lost_and_nothing_else(stage: Stage) -> None:
    """Defends promises 6 and 7: somebody moved the committed offsets past events that nobody had handled."""
    async with stage(members=1, supersede=False, topic_partitions=PARTITIONS) as scenario:
        before = identities(await scenario.send(50, MIX, seed=1))
        await scenario.settled()
        await scenario.stop(scenario.pipeline.members[0])
        since = datetime.now(UTC).isoformat()
        lost = identities(await scenario.send(150, MIX, seed=2))
        await asyncio.to_thread(skip_to_the_end, scenario)
        scenario.pipeline.join()
        async with other_group(scenario, since) as other:
            after = identities(await scenario.send(50, MIX, seed=3))
            await scenario.settled()
            request = Request(since=datetime.fromisoformat(since))
            settings = settings_of(scenario)
            assert (await asyncio.to_thread(replay, settings, request)).events == 150
            assert sent_again(scenario) == Counter()

            killed = await end_halfway(scenario, signal.SIGKILL, "replay", "--since", since, *SLOWLY)
            assert killed == -signal.SIGKILL
            appended = sent_again(scenario).total()
            resumed = await run(scenario, "replay", "--since", since, "--yes", "--json")
            assert 0 < resumed["events"] == 150 - appended < 150
            assert (await asyncio.to_thread(replay, settings, request, dry_run=False)).events == 0

            again = {f"{event}:1" for event in lost}
            assert sent_again(scenario) == Counter(again)
            await ended(scenario, "sync", {f"{event}:0" for event in before | after} | again)
            ignored = await ended(scenario, OTHER, {f"{event}:0" for event in lost | after} | again)
            other.send_signal(signal.SIGTERM)
            assert await other.wait() == 0
            audited = await asyncio.to_thread(audit, settings.model_copy(update={"group": OTHER}))
            assert (audited.proven, audited.before_start) == (True, len(before))
        calls = Counter(call.key for call in await scenario.calls())

    assert {each for each, reason in ignored.items() if reason == ANOTHER_GROUP} == again
    assert calls == Counter(
        {f"{event}:0": 1 for event in before | lost} | {f"{event}:0": 2 for event in after} | dict.fromkeys(again, 1)
    )


async def test_what_was_given_up_is_sent_again_once_its_cause_is_mended(stage: Stage) -> None:
    """Defends promise 6: a dead letter is not the end, and a redrive that was interrupted or repeated does no harm."""
    async with stage(members=1, plan=FAILING, supersede=False, topic_partitions=PARTITIONS, **IMPATIENT) as scenario:
        sent = await scenario.send(200, MIX)
        await scenario.ended(identities(sent))
        dead = {event.id for event in sent.accepted if re.match("[0-7]", event.connection)}
        settings = settings_of(scenario)
        listed = await asyncio.to_thread(letters, settings, LetterFilter(), most=1_000)
        assert {found.letter.event.id for found in listed if found.letter.event} == dead
        assert {found.redriven for found in listed} == {False}

        await scenario.inquiry.follow(Plan())
        assert (await asyncio.to_thread(redrive, settings, RedriveRequest())).events == len(dead) > 50
        assert await end_halfway(scenario, signal.SIGINT, "dead", "redrive", *SLOWLY) == 1
        appended = sent_again(scenario).total()
        resumed = await run(scenario, "dead", "redrive", "--yes", "--json")
        assert 0 < resumed["events"] == len(dead) - appended < len(dead)
        assert (await asyncio.to_thread(redrive, settings, RedriveRequest(), dry_run=False)).events == 0
        redriven = (await run(scenario, "dead", "list", "--limit", "1000", "--json"))["letters"]
        healthy = next(event.connection for event in sent.accepted if event.id not in dead)
        forced = Request(since=EVER, force=True, name="again", filter=Filter(connection=healthy))
        of_healthy = sum(event.connection == healthy for event in sent.accepted)
        assert (await asyncio.to_thread(replay, settings, forced, dry_run=False)).events == of_healthy
        assert (await asyncio.to_thread(replay, settings, forced, dry_run=False)).events == 0
        again = {f"{event}:1" for event in dead}
        await ended(scenario, "sync", again)
        calls = Counter(call.key for call in await scenario.calls() if call.key in again and call.synced)

    assert {(letter["id"], letter["redriven"]) for letter in redriven} == {(event, True) for event in dead}
    assert calls == Counter(again)


def identities(manifest: Any) -> set[str]:  # noqa: ANN401 - Manifest
    """Name the events that were accepted."""
    return {event.id for event in manifest.accepted}


def skip_to_the_end(scenario: Scenario) -> None:
    """Commit the end for every partition, as somebody may who wants to be rid of a backlog."""
    ends = [TopicPartition(scenario.topic, number, end) for number, end in scenario._ends().items()]  # noqa: SLF001
    request = ConsumerGroupTopicPartitions(scenario.group, ends)
    answer = scenario.admin.alter_consumer_group_offsets([request])[scenario.group].result(timeout=20)
    assert all(place.error is None for place in answer.topic_partitions)


def settings_of(scenario: Scenario) -> ConsumerSettings:
    """Give settings for what a script of somebody's own calls."""
    return ConsumerSettings(
        kafka_bootstrap_servers=scenario.servers, topic=scenario.topic, tenants_file=TENANTS_FILE, _env_file=None
    )


async def start(
    scenario: Scenario, *arguments: str, errors: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """Start a command of the consumer, with the pipeline's settings."""
    ours = {
        "kafka_bootstrap_servers": scenario.servers,
        "topic": scenario.topic,
        "topic_partitions": PARTITIONS,
        "tenants_file": TENANTS_FILE,
        "fuse_sandbox_url": scenario.pipeline.fuse_url,
        "fuse_production_url": scenario.pipeline.fuse_url,
        "session_timeout_seconds": SESSION_SECONDS,
        "supersede": False,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "consumer", *arguments),
        env=inherited | {variable(name): str(value) for name, value in ours.items()},
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
    )


async def run(scenario: Scenario, *arguments: str) -> Mapping[str, Any]:
    """Run a command to its end; give the JSON that it wrote."""
    process = await start(scenario, *arguments, errors=asyncio.subprocess.PIPE)
    async with asyncio.timeout(WITHIN):
        written, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    fields: Mapping[str, Any] = json.loads(written)
    return fields


async def end_halfway(scenario: Scenario, how: signal.Signals, *arguments: str) -> int | None:
    """End a command as soon as some of what it appends is in the log, long before it is through; give its status."""
    end = sum(scenario._ends().values())  # noqa: SLF001 - the helper of all scenarios
    process = await start(scenario, *arguments)

    async def has_begun() -> bool:
        return sum((await asyncio.to_thread(scenario._ends)).values()) >= end + 10  # noqa: SLF001 - as above

    await until(has_begun, WITHIN)
    process.send_signal(how)
    async with asyncio.timeout(WITHIN):
        await process.communicate()
    return process.returncode


@asynccontextmanager
async def other_group(scenario: Scenario, since: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a member of another group, new, from a time on; none is left at the end."""
    process = await start(scenario, "run", "--group", OTHER, "--from", since)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def sent_again(scenario: Scenario) -> Counter[str]:
    """Count the records of the source that are re-sends, by id and generation."""
    records = [dict(record.headers) for log in scenario.read(scenario.topic).values() for record in log]
    generations = ((headers["ce_id"], headers.get("ce_generation")) for headers in records)
    return Counter(f"{(name or b'').decode()}:{number.decode()}" for name, number in generations if number)


async def ended(scenario: Scenario, group: str, wanted: Iterable[str]) -> Mapping[str, str | None]:
    """Wait until these events have ended in a group; give the reasons, by id and generation."""
    found: dict[str, str | None] = {}

    async def all_have() -> bool:
        topic = group_topics(scenario.topic, group).outcomes
        logs = await asyncio.to_thread(scenario.read, topic)
        outcomes = [read_outcome(record.value) for log in logs.values() for record in log]
        found.update({f"{each.id}:{each.generation}": each.reason for each in outcomes if isinstance(each, Ended)})
        return set(wanted) <= set(found)

    await until(all_have, WITHIN, scenario.pipeline.check)
    return found
