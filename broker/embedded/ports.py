"""Free TCP ports on the loopback address."""

import random
import socket

from broker.embedded.configuration import HOST

_RANGE = range(20_000, 32_000)
"""Below the ports that Linux hands to outgoing connections. From that range a client that keeps trying to reach a
stopped node would sooner or later be given the node's own port as its source, connect to itself, and hold the port."""


def free_ports(count: int) -> list[int]:
    """Find `count` distinct ports that nobody listens on now; somebody may take one before it is used."""
    candidates = random.SystemRandom().sample(_RANGE, len(_RANGE))
    return [port for port, _ in zip(filter(is_free, candidates), range(count), strict=False)]


def is_listening(port: int) -> bool:
    """Say whether somebody accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def is_free(port: int) -> bool:
    """Say whether nobody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
