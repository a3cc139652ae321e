"""Nothing that anybody may send stays in memory until garbage is collected: it could be megabytes, unsigned."""

import pytest

from tests.garbage import frames_left
from tests.ingress.conftest import BODY, Ingress, raw_exchange, signature, until

_ROUNDS = 20
_HEAD = b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nfuse-verification: %b\r\nContent-Length: %d\r\n\r\n"


def _webhook(body: bytes, *, length: int | None = None) -> bytes:
    return _HEAD % (signature(BODY).encode(), len(body) if length is None else length) + body


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        pytest.param(_webhook(BODY), 1, id="accepted"),
        pytest.param(_webhook(b'{"a": "b"}'), 1, id="forged"),
        pytest.param(_webhook(b'{"a": '), 1, id="no JSON"),
        pytest.param(_webhook(b'"\xff"'), 1, id="no UTF-8"),
        pytest.param(_webhook(b'{"a": 1, "a": 2}'), 1, id="ambiguous"),
        pytest.param(_webhook(b"[" * 950 + b"]" * 950), 1, id="too deep"),
        pytest.param(_webhook(b"", length=10**9), 1, id="too large"),
        pytest.param(_webhook(b'{"a"', length=100), 0, id="broken off"),
        pytest.param(b"GARBAGE\r\n\r\n", 1, id="no HTTP"),
    ],
)
async def test_what_was_sent_is_forgotten_once_it_is_answered(ingress: Ingress, sent: bytes, answers: int) -> None:
    """An error that holds its own frames would keep the body."""
    with frames_left() as frames:
        for _ in range(_ROUNDS):
            await raw_exchange(ingress.port, sent, answers=answers)
        await until(lambda: not ingress.gate.inside)
    assert not frames
