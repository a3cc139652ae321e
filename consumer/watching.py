"""Watching: read whole stretches of a group's topics for a command, and say how far that is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from broker.client import received
from broker.history import History
from broker.scan import Scanner, open_scanner
from consumer.known_group import require_group
from schemas.errors import ConfigurationError
from schemas.record import ReceivedRecord
from schemas.settings import ConsumerSettings
from schemas.topics import GroupTopics, group_topics

Watch = Callable[[str, int, int], None]
"""Told what is being done (a topic's name, or `appended`), how much of it is done, and of how much; 0 if unknown."""


def unwatched(_: str, __: int, ___: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The topics of the settings' group, as a command reads them; every method raises Retryable as Scanner does."""

    scanner: Scanner
    settings: ConsumerSettings
    watch: Watch

    @property
    def topics(self) -> GroupTopics:
        """Name the group's topics."""
        return group_topics(self.settings.topic, self.settings.group)

    def source(self) -> Mapping[int, History]:
        """Ask which records the source holds. Raises ConfigurationError if there is no such topic, or no such group.

        What is sent again to a group that nobody has ever run, for a slip of the pen, everybody would ignore.
        """
        topic = self.settings.topic
        histories = self.scanner.histories(topic)
        if not histories:
            raise ConfigurationError([f"there is no topic {topic} on this cluster."])
        require_group(self.scanner, self.settings)
        return histories

    def records(self, topic: str, stretches: Mapping[int, range]) -> Iterator[ReceivedRecord]:
        """Give the records of the stretches, in order within a partition."""
        done, total = 0, sum(len(stretch) for stretch in stretches.values())
        for messages in self.scanner.scan(topic, stretches):
            yield from map(received, messages)
            done += len(messages)
            self.watch(topic, done, total)


@contextmanager
def open_watched(settings: ConsumerSettings, watch: Watch) -> Iterator[Watched]:
    """Open what a command reads with."""
    with open_scanner(settings) as scanner:
        yield Watched(scanner=scanner, settings=settings, watch=watch)
