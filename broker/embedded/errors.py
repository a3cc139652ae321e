"""What can go wrong with an embedded Kafka."""

from schemas.errors import Permanent


class EmbeddedKafkaUnavailable(Permanent):
    """Kafka cannot be fetched or does not start here; the message says what to look at."""


class PortTaken(EmbeddedKafkaUnavailable):
    """Somebody took a node's port between its choice and the node's start."""
