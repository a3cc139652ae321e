"""A closed-loop load generator that costs less than any server: plain sockets, requests built beforehand."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

_HEADERS_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_STATUS = slice(9, 12)
_CHUNK = 65_536
_PATIENCE_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Load:
    """What came back: answers by status, and the seconds it took."""

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.statuses.total() / self.seconds


class _Client:
    """One keep-alive connection with one request under way."""

    __slots__ = ("_received", "_requests", "_socket")

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._received = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self) -> None:
        self._socket.sendall(next(self._requests))

    def receive(self) -> str | None:
        """Take what has come; give the status once an answer is whole."""
        chunk = self._socket.recv(_CHUNK)
        if not chunk:
            raise ConnectionError("the server closed a connection under load")
        self._received += chunk
        if not _is_whole(self._received):
            return None
        status = self._received[_STATUS].decode()
        self._received = b""
        return status

    def close(self) -> None:
        self._socket.close()


def drive(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """Send `requests` round and round on so many connections for so many seconds, each as soon as its last is answered.

    What is under way at the end is awaited and not counted. Raises ConnectionError if the server ends a connection.
    """
    supply = cycle(requests)
    clients = [_Client(port, supply) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ, client)
        try:
            return _drive(selector, clients, seconds)
        finally:
            for client in clients:
                client.close()


def _drive(selector: selectors.BaseSelector, clients: Sequence[_Client], seconds: float) -> Load:
    load = Load()
    for client in clients:
        client.send()
    started = time.perf_counter()
    end = started + seconds
    while (now := time.perf_counter()) < end:
        for client, status in _answers(selector):
            load.statuses[status] += 1
            client.send()
    load.seconds = now - started
    _await_last(selector, len(clients))
    return load


def _answers(selector: selectors.BaseSelector) -> Iterator[tuple[_Client, str]]:
    for key, _ in selector.select(_PATIENCE_SECONDS):
        client: _Client = key.data
        status = client.receive()
        if status is not None:
            yield client, status


def _await_last(selector: selectors.BaseSelector, awaited: int) -> None:
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while awaited and time.perf_counter() < deadline:
        awaited -= sum(1 for _ in _answers(selector))


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(_HEADERS_END)
    if not end:
        return False
    _, _, after = head.lower().partition(_LENGTH)
    return len(body) >= int(after.split(b"\r\n", 1)[0])
