"""librdkafka's threads do not interrupt the event loop, and ours stay what they are."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from broker.client import consumer, producer
from schemas.settings import PipelineSettings, load

if sys.platform != "linux":
    pytest.skip("scheduling policies of threads are Linux's", allow_module_level=True)


class Client(Protocol):
    """What producers and consumers have in common."""

    def close(self) -> object:
        """End its threads."""


_OPEN: Mapping[str, Callable[[], Client]] = {
    "producer": lambda: producer(_settings(), {}),
    "consumer": lambda: consumer(_settings(), {"group.id": "patient"}),
}


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


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("kind", _OPEN)
def test_threads_of_librdkafka_wait_for_the_loop(kind: str) -> None:
    """Its first threads do, and so do those that it starts later: they inherit it."""
    before = _threads()
    client = _OPEN[kind]()
    policies = {os.sched_getscheduler(thread) for thread in _threads() - before}
    client.close()
    assert policies == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="this machine has one core")
def test_with_more_cores_they_take_another() -> None:
    """On a busy machine, waiting would only make them late."""
    before = _threads()
    client = producer(_settings(), {})
    policies = {os.sched_getscheduler(thread) for thread in _threads() - before}
    client.close()
    assert policies == {os.SCHED_OTHER}


@pytest.mark.usefixtures("one_core", "chosen_policy")
def test_a_policy_that_the_operator_chose_stays() -> None:
    """For our own threads as for all others."""
    producer(_settings(), {}).close()
    assert os.sched_getscheduler(0) == os.SCHED_BATCH


@pytest.mark.usefixtures("one_core")
def test_where_policies_are_refused_clients_open_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may forbid the very question, and some C libraries do not know it."""

    def refuse(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "sched_getscheduler", refuse)
    producer(_settings(), {}).close()
