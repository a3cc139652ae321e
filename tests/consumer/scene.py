"""A partition about to be taken over, what is there of Kafka, and what another member has left in the logs."""

import time

from consumer.alarms import Alarms
from consumer.engine.commands import Command, Read, Start
from consumer.engine.committed import Committed, read_committed
from consumer.engine.endings import Ending, Place
from consumer.engine.lanes import Waiting
from consumer.engine.partition import PartitionEngine
from consumer.handlers.sync import SUPERSEDES
from consumer.lease import Lease
from consumer.limits import policy, share
from consumer.scratch import Scratch
from consumer.taking_over import take_over
from consumer.tenure import Tenure
from schemas.outcome import Applied, Ended, OutcomeKind
from schemas.parked import Park, Why
from tests.consumer.fakes import event, in_virtual_time, now, settings
from tests.consumer.kafka import TOPICS, FakeKafka

LEASE = 6.0
ENDING = Ending(result=Applied(status=200), attempts=1, called=1, ended=2)
PLACE = Place(group="sync", member="me", topic="fuse.webhooks", partition=0)


class Scene:
    """A partition about to be taken over, and what is there of Kafka."""

    def __init__(self) -> None:
        kafka = FakeKafka()
        self.log, self.publisher, self.logs, self.subscription = (
            kafka.logs,
            kafka.publisher,
            kafka.reader,
            kafka.subscription,
        )
        self.clients = kafka.clients()
        self.alarms = Alarms(time.time)

    def committed(self, frontier: int, epoch: int, outcomes_from: int | None, parked_from: int | None = 0) -> None:
        """Commit as an earlier owner did."""
        committed = Committed(
            frontier=frontier,
            epoch=epoch,
            outcomes_from=outcomes_from,
            parked_from=parked_from,
            parked_epoch=None if parked_from is None else 1,
        )
        self.subscription.committed[0] = (frontier, committed.metadata())

    def tenure(self) -> Tenure:
        """Begin a tenure."""
        given, scratch = self.subscription.assign(0), Scratch()
        committed, usual = read_committed(given.start, given.metadata), settings()
        treated = policy(usual, tenants=1, supersedes=SUPERSEDES)
        engine = PartitionEngine(committed, PLACE, treated, share(usual, 1), scratch)
        return Tenure(partition=0, number=given.tenure, engine=engine, scratch=scratch, lease=Lease(LEASE))

    async def take_over(self) -> Tenure:
        """Take the partition over."""
        tenure = self.tenure()
        assert (await take_over(tenure, self.clients, self.alarms))[-1] == Read()
        return tenure

    def now_committed(self) -> Committed:
        """Read what is committed."""
        return read_committed(*self.subscription.committed[0])

    def read(self) -> tuple[list[range], list[range]]:
        """List which stretches of the outcomes and of the parked log were read."""
        return self.logs.read_of(TOPICS.outcomes), self.logs.read_of(TOPICS.parked)


def ended(offset: int) -> Ended:
    """Give another member's outcome."""
    return Ended(
        offset=offset,
        id=f"event-{offset}",
        outcome=OutcomeKind.APPLIED,
        attempts=1,
        received=1,
        ended=2,
        epoch=1,
        member="another",
    )


def park(offset: int, epoch: int = 1, due: int = 0) -> Park:
    """Give another member's note of an event that is parked."""
    return Park(epoch=epoch, offset=offset, id=f"event-{offset}", due=due, since=1, reason=Why.BEHIND)


def handled_again(tenure: Tenure, offsets: range, now: int = 0) -> list[int]:
    """List which of some events, each in a lane of its own, the engine would start."""
    return _started(tenure.engine.records_read([_waiting(at) for at in offsets], now))


def turns(tenure: Tenure) -> list[int]:
    """List which parked events the engine starts when their time has come, and has them all end."""
    found: list[int] = []
    commands = tenure.engine.tick(10**15)
    while started := [command.waiting for command in commands if isinstance(command, Start)]:
        found += [waiting.offset for waiting in started]
        commands = [command for waiting in started for command in tenure.engine.call_ended(waiting, ENDING)]
    return found


def _waiting(offset: int) -> Waiting:
    return Waiting(offset=offset, lane=b"acme/%d" % offset, size=1, event=event(offset, connection=str(offset)))


def _started(commands: list[Command]) -> list[int]:
    return [command.waiting.offset for command in commands if isinstance(command, Start)]


def tell(scene: Scene) -> Tenure:
    """Take over, without any time passing if nothing goes wrong."""

    async def story() -> Tenure:
        tenure = await scene.take_over()
        await tenure.lease.held()
        assert now() == 0
        return tenure

    return in_virtual_time(story())
