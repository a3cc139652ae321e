"""A coordinator that moves: who asks is asked to wait, and for nothing else."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from broker.coordinator import while_coordinator_moves


def test_what_is_asked_of_a_coordinator_that_moves_is_asked_again() -> None:
    """A new cluster makes the topic of offsets when it is asked for the first time; so a command once failed there."""
    answers = [KafkaError(KafkaError.NOT_COORDINATOR), KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)]

    def ask() -> str:
        if answers:
            raise KafkaException(answers.pop(0))
        return "answered"

    assert while_coordinator_moves(30)(ask) == "answered"


def test_another_refusal_is_final() -> None:
    """Asking again would only delay what a person has to hear."""
    asked = []

    def ask() -> None:
        asked.append(1)
        raise KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))

    with pytest.raises(KafkaException):
        while_coordinator_moves(30)(ask)
    assert asked == [1]
