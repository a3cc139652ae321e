"""Load generators that cost less than any server: plain sockets, requests built beforehand.

One is a closed loop, `drive`, and one an open one, `send_on_time`.
"""

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

_HEADERS_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_STATUS = slice(9, 12)
_OK = "200"
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

    __slots__ = ("_received", "_socket")

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

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
    with _connected(port, connections) as (selector, clients):
        return _drive(selector, clients, cycle(requests), seconds)


def send_on_time(port: int, schedule: Sequence[tuple[float, bytes]], *, connections: int) -> Mapping[float, float]:
    """Send each request at its time, in seconds since the epoch and rising, whatever became of those before.

    Gives for each such time the seconds until the answer was there; if all connections wait for answers, that counts
    too. A request may leave a millisecond late: so exact is a selector. Raises ConnectionError if the server ends a
    connection or answers with another status than 200, and TimeoutError if it does not answer.
    """
    took: dict[float, float] = {}
    with _connected(port, connections) as (selector, clients):
        idle, due_of = deque(clients), dict[_Client, float]()

        def collect(seconds: float) -> None:
            for client, status in _answers(selector, seconds):
                if status != _OK:
                    raise ConnectionError(f"the server answered {status}")
                due = due_of.pop(client)
                took[due] = time.time() - due
                idle.append(client)

        def await_until_answered(most: int) -> None:
            deadline = time.time() + _PATIENCE_SECONDS
            while len(due_of) > most:
                if time.time() > deadline:
                    raise TimeoutError(f"{len(due_of)} requests are not answered")
                collect(1.0)

        for due, request in schedule:
            while (left := due - time.time()) > 0:
                collect(left)
            await_until_answered(connections - 1)
            client = idle.popleft()
            due_of[client] = due
            client.send(request)
        await_until_answered(0)
    return took


@contextmanager
def _connected(port: int, connections: int) -> Iterator[tuple[selectors.BaseSelector, Sequence[_Client]]]:
    clients = [_Client(port) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ, client)
        try:
            yield selector, clients
        finally:
            for client in clients:
                client.close()


def _drive(
    selector: selectors.BaseSelector, clients: Sequence[_Client], requests: Iterator[bytes], seconds: float
) -> Load:
    load = Load()
    for client in clients:
        client.send(next(requests))
    started = time.perf_counter()
    end = started + seconds
    while (now := time.perf_counter()) < end:
        for client, status in _answers(selector, _PATIENCE_SECONDS):
            load.statuses[status] += 1
            client.send(next(requests))
    load.seconds = now - started
    _await_last(selector, len(clients))
    return load


def _answers(selector: selectors.BaseSelector, seconds: float) -> Iterator[tuple[_Client, str]]:
    for key, _ in selector.select(seconds):
        client: _Client = key.data
        status = client.receive()
        if status is not None:
            yield client, status


def _await_last(selector: selectors.BaseSelector, awaited: int) -> None:
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while awaited and time.perf_counter() < deadline:
        awaited -= sum(1 for _ in _answers(selector, _PATIENCE_SECONDS))


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(_HEADERS_END)
    if not end:
        return False
    _, _, after = head.lower().partition(_LENGTH)
    return len(body) >= int(after.split(b"\r\n", 1)[0])
