"""What probes are told."""

import asyncio
from collections.abc import Sequence

from ingress.gate import Gate
from ingress.readiness import Readiness
from ingress.serve import serve
from schemas.errors import UnpublishableRecord
from tests.ingress.conftest import BODY, Ingress, MemoryLog, ingress_settings, tenants, until


async def test_a_process_that_answers_is_alive_whatever_kafka_does(ingress: Ingress) -> None:
    """Restarting it would not bring Kafka back."""
    ingress.log.faults_found = ("no broker answers",)
    answer = await ingress.request("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok", "reasons": []})


async def test_it_is_ready_while_it_can_publish(ingress: Ingress) -> None:
    """HEAD is answered as GET is, without a body."""
    answer = await ingress.request("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ok", "reasons": []})
    head = await ingress.request("HEAD", "/readyz")
    assert (head.status, head.json) == (200, None)


async def test_it_is_not_ready_when_it_cannot_publish_and_says_why(ingress: Ingress) -> None:
    """The reasons are for the person who looks."""
    ingress.log.faults_found = ("topic t: partition 3 has no leader",)
    answer = await ingress.request("GET", "/readyz")
    assert answer.status == 503
    assert answer.json == {"status": "unavailable", "reasons": ["topic t: partition 3 has no leader"]}


async def test_probes_do_not_load_the_brokers(ingress: Ingress) -> None:
    """Anybody can probe; a hundred at once are one look."""
    await asyncio.gather(*(ingress.request("GET", "/readyz") for _ in range(100)))
    assert ingress.log.looks == 1


async def test_the_brokers_are_asked_again_after_a_second() -> None:
    """Old news are no news; and bad news pass."""
    log, now = MemoryLog(), [50.0]
    readiness = Readiness(log, "fuse.webhooks", Gate(1), lambda: now[0])
    log.faults_found = ("down",)
    assert await readiness.reasons() == ("down",)
    log.faults_found = ()
    now[0] += 0.9
    assert await readiness.reasons() == ("down",)
    now[0] += 0.2
    assert await readiness.reasons() == ()


async def test_probes_that_come_while_the_brokers_are_asked_share_the_answer() -> None:
    """Brokers that do not answer would otherwise be asked by every probe, each for its whole time."""

    class SlowLog(MemoryLog):
        def __init__(self) -> None:
            super().__init__()
            self.answer = asyncio.Event()

        async def faults(self, topic: str, within: float) -> Sequence[str]:
            await self.answer.wait()
            return await super().faults(topic, within)

    log = SlowLog()
    readiness = Readiness(log, "fuse.webhooks", Gate(1), lambda: 50.0)
    probes = [asyncio.create_task(readiness.reasons()) for _ in range(3)]
    await asyncio.sleep(0)
    log.answer.set()
    assert await asyncio.gather(*probes) == [(), (), ()]
    assert log.looks == 1


async def test_a_process_that_stops_is_not_ready_and_takes_nothing_new(ingress: Ingress) -> None:
    """What it has let in is finished; who comes now is sent away, and the connection ends."""
    ingress.log.held = []
    asking = asyncio.create_task(ingress.post(BODY))
    await until(lambda: len(ingress.log.records) == 1)
    closing = asyncio.create_task(ingress.gate.close(10))
    await until(lambda: ingress.gate.closed)
    assert (await ingress.request("GET", "/readyz")).json["reasons"] == ["this process is stopping"]
    refused = await ingress.post(BODY)
    assert (refused.status, refused.headers["Connection"]) == (503, "close")
    assert not closing.done()
    ingress.log.held[0].set_result(None)
    assert (await asking).status == 200
    assert await closing == 0


async def test_a_stop_does_not_wait_for_ever(ingress: Ingress) -> None:
    """Who is still inside when the time is over is counted."""
    ingress.log.held = []
    asking = asyncio.create_task(ingress.post(BODY))
    await until(lambda: ingress.gate.inside == 1)
    assert await ingress.gate.close(0.05) == 1
    ingress.log.held[0].set_result(None)
    await asking


class _BrokenPublisher(MemoryLog):
    def __init__(self) -> None:
        super().__init__()
        self.failure: asyncio.Future[UnpublishableRecord] = asyncio.get_running_loop().create_future()


async def test_it_stops_by_itself_when_nothing_can_be_published_any_more() -> None:
    """A producer with a fatal error never recovers: the process has to end with the reason, to be started again."""
    publisher, stop = _BrokenPublisher(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(ingress_settings(), tenants(), publisher, stop))
    await asyncio.sleep(0)
    assert not serving.done()
    publisher.failure.set_result(UnpublishableRecord("fenced"))
    assert str(await serving) == "fenced"


async def test_it_stops_without_a_reason_when_it_is_told_to() -> None:
    """That is no failure."""
    stop = asyncio.get_running_loop().create_future()
    stop.set_result(None)
    assert await serve(ingress_settings(), tenants(), _BrokenPublisher(), stop) is None
