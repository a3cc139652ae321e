"""librdkafka's threads do not interrupt the event loop, and ours stay what they are."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from broker.client import producer
from broker.publisher import Bounds, Publisher
from broker.threads import patient_threads
from schemas.settings import PipelineSettings, load

if sys.platform != "linux":
    pytest.skip("scheduling policies of threads are Linux's", allow_module_level=True)


@pytest.fixture
def one_core() -> Iterator[None]:
    """Let this process have one core."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(every)})
    yield
    os.sched_setaffinity(0, every)


@pytest.fixture
def chosen_policy() -> Iterator[None]:
    """Let an operator have chosen a policy for this process."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _settings() -> PipelineSettings:
    return load(PipelineSettings, kafka_bootstrap_servers="127.0.0.1:1", tenants_file="none.toml")


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def _open() -> Producer:
    with patient_threads():
        return producer(_settings(), {})


def _policies_of_new_threads() -> set[int]:
    before = _threads()
    client = _open()
    policies = {os.sched_getscheduler(thread) for thread in _threads() - before}
    client.close()
    return policies


@pytest.mark.usefixtures("one_core")
def test_threads_of_librdkafka_wait_for_the_loop() -> None:
    """Its first threads do, and so do those that it starts later: they inherit it."""
    assert _policies_of_new_threads() == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="this machine has one core")
def test_with_more_cores_they_take_another() -> None:
    """On a busy machine, waiting would only make them late."""
    assert _policies_of_new_threads() == {os.SCHED_OTHER}


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize(("patient", "policy"), [(True, os.SCHED_BATCH), (False, os.SCHED_OTHER)])
async def test_only_a_publisher_that_is_told_so_is_patient(*, patient: bool, policy: int) -> None:
    """A member is not: where Kafka has the same core its calls would begin ten times as late."""
    before = _threads()
    bounds = Bounds(messages=1, bytes=1024, deadline_seconds=1.0, stop_seconds=0.1)
    async with Publisher(_settings(), bounds, patient=patient):
        policies = {os.sched_getscheduler(thread) for thread in _threads() - before}
    assert policies == {policy}


@pytest.mark.usefixtures("one_core", "chosen_policy")
def test_a_policy_that_the_operator_chose_stays() -> None:
    """For our own threads as for all others."""
    _open().close()
    assert os.sched_getscheduler(0) == os.SCHED_BATCH


@pytest.mark.usefixtures("one_core")
def test_where_policies_are_refused_clients_open_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may forbid the very question, and some C libraries do not know it."""

    def refuse(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "sched_getscheduler", refuse)
    _open().close()
