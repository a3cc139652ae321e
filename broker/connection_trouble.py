"""What librdkafka says of connections that fail: which of it tells the cause, and what only a person can mend. Pure."""

from collections.abc import Sequence

from confluent_kafka import KafkaError

from schemas.settings import variable

_CONSEQUENCE = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - confluent-kafka's public name for librdkafka's local error
_LOGIN_REFUSED = (
    "the cluster refuses the login; correct sasl.mechanism, sasl.username and sasl.password, or let an administrator "
    "create the user"
)
_NO_TLS = (
    "no TLS connection comes about; correct security.protocol, ssl.ca.location (which holds the authority that signed "
    f"the brokers' certificates) or the hosts in {variable('kafka_bootstrap_servers')} (which the certificates name)"
)
_CLOSED = (
    "the brokers close every connection: if they are well, security.protocol in "
    f"{variable('kafka_client')} is not that of their port"
)
_REMEDIES = {
    KafkaError._AUTHENTICATION: _LOGIN_REFUSED,  # noqa: SLF001 - as above
    KafkaError._SSL: _NO_TLS,  # noqa: SLF001 - as above
}
"""What is wrong and what mends it. Waiting for a broker mends neither."""


def explanation(trouble: Sequence[KafkaError]) -> str:
    """Say what tells most of why no broker is reached, as far as librdkafka noticed; empty where it noticed nothing."""
    if not trouble:
        return ""
    telling = [error.str() for error in trouble if error.code() != _CONSEQUENCE]
    return telling[-1] if telling else _CLOSED


def connection_fault(trouble: Sequence[KafkaError]) -> str | None:
    """Say what the operator has to correct, where no broker could be reached; None where one may be reached later."""
    # Where the same cause meets librdkafka at another moment, it passes for an interrupted connection.
    for error in reversed(trouble):
        if error.code() in _REMEDIES:
            return f"{variable('kafka_client')}: {_REMEDIES[error.code()]}: {error.str()}."
    return None
