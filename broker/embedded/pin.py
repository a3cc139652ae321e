"""Write the lock file of Kafka's jars anew: `python -m broker.embedded.pin`, once another version is asked for."""

import hashlib

from jgo import resolve
from jgo.env import LockedDependency, LockFile
from jgo.maven import Artifact

from broker.embedded.jars import LOCK

_ENDPOINT = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"
"""Kafka brings the interface of its logging and no implementation; the smallest one shows its warnings."""


def pin() -> None:
    """Resolve the jars with all that they need from Maven Central, and lock them by their SHA-256 sums."""
    locked = [_locked(artifact) for artifact in resolve(_ENDPOINT)]
    LockFile(dependencies=locked).save(LOCK)


def _locked(artifact: Artifact) -> LockedDependency:
    return LockedDependency(
        groupId=artifact.groupId,
        artifactId=artifact.artifactId,
        version=artifact.version,
        sha256=hashlib.sha256(artifact.resolve().read_bytes()).hexdigest(),
    )


if __name__ == "__main__":
    pin()
