"""A group's topics on a real Kafka, written by a test: what the audit is to find, and what it must not."""

import asyncio

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from broker.topics import ensure_topics
from consumer.engine.committed import Committed
from schemas.event import Event
from schemas.outcome import Ended, OutcomeKind, Taken, write_outcome
from schemas.parked import Park, Settle, Why, write_note
from schemas.record import Record, to_record
from schemas.topics import consumer_group_id, group_topics
from tests.consumer.fakes import settings

WITHIN = 30


class Group:
    """The topics of a group, with one partition unless more are asked for, and what a member would write to them."""

    def __init__(self, servers: str, topic: str, partitions: int = 1) -> None:
        self.settings = settings(kafka_bootstrap_servers=servers, topic=topic, topic_partitions=partitions)
        self.topics = group_topics(topic, self.settings.group)
        asyncio.run(ensure_topics(self.settings))
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
        self._admin = AdminClient({"bootstrap.servers": servers})
        self._servers = servers

    def extend(self, partitions: int) -> None:
        """Give the source more partitions, and wait until the producer knows them."""
        topic = self.settings.topic
        self._admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(timeout=WITHIN)
        while len(self._producer.list_topics(topic, WITHIN).topics[topic].partitions) < partitions:
            pass  # the next answer may come from a broker that knows

    def append(self, topic: str, record: Record, partition: int = 0) -> int:
        """Append a record; give its offset."""
        written: list[Message] = []
        self._producer.produce(
            topic,
            record.value,
            record.key,
            partition,
            headers=list(record.headers),
            on_delivery=lambda _, message: written.append(message),
        )
        self._producer.flush(WITHIN)
        assert written[0].error() is None
        return written[0].offset() or 0

    def publish(self, *events: Event) -> None:
        """Append events to the source."""
        for event in events:
            self.append(self.settings.topic, to_record(event))

    def end(self, offset: int, name: str, outcome: OutcomeKind = OutcomeKind.APPLIED) -> None:
        """Write an outcome."""
        record = Ended(
            offset=offset, id=name, outcome=outcome, attempts=1, received=2**41, ended=2**41, epoch=1, member="m"
        )
        self.append(self.topics.outcomes, Record(key=b"", value=write_outcome(record), headers=()))

    def take(self, epoch: int) -> None:
        """Write the marks of a takeover."""
        taken = Taken(epoch=epoch, member="m")
        self.append(self.topics.outcomes, Record(key=b"", value=write_outcome(taken), headers=()))
        self.append(self.topics.parked, write_note(taken))

    def park(self, offset: int, event: Event, epoch: int = 1) -> int:
        """Park an event; give the position."""
        note = Park(epoch=epoch, offset=offset, id=event.id, due=0, since=2**41, reason=Why.FAILED)
        return self.append(self.topics.parked, write_note(note, to_record(event)))

    def settle(self, offset: int) -> None:
        """Write that an event waits no longer."""
        self.append(self.topics.parked, write_note(Settle(offset=offset)))

    def commit(self, committed: Committed) -> None:
        """Commit, as long as no member runs."""
        place = TopicPartition(self.settings.topic, 0, committed.frontier, committed.metadata())
        name = consumer_group_id(self.settings.topic, self.settings.group)
        client = Consumer({"bootstrap.servers": self._servers, "group.id": name})
        client.commit(offsets=[place], asynchronous=False)
        client.close()

    def delete(self, topic: str, below: int) -> None:
        """Delete the beginning of a log."""
        for answer in self._admin.delete_records([TopicPartition(topic, 0, below)]).values():
            answer.result(WITHIN)
