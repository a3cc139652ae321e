"""What the log tells, and what it never does."""

import asyncio

import pytest
import structlog
from structlog.testing import LogCapture

from schemas.errors import NotAcknowledged, UnpublishableRecord
from schemas.telemetry import LogEvent, configure_logging
from tests.ingress.conftest import BODY, KEYS, Ingress, raw_exchange, serve, signature, until

_MARKED = b'{"environment":"sandbox","note":"in-the-body"}'


@pytest.fixture
def lines() -> LogCapture:
    """Catch all log lines."""
    capture = LogCapture()
    structlog.configure(processors=[capture])
    return capture


@pytest.fixture(autouse=True)
def _forget() -> object:
    yield
    structlog.reset_defaults()


async def test_a_refusal_is_one_line_with_its_reason_tenant_and_size(lines: LogCapture) -> None:
    """Enough to see which sender has to change what."""
    async with serve() as ingress:
        await ingress.post(BODY, {"fuse-verification": "x"})
    (line,) = lines.entries
    assert line == {
        "event": LogEvent.WEBHOOK_REFUSED,
        "log_level": "info",
        "reason": "InvalidSignature",
        "tenant": "acme",
        "size": len(BODY),
        "status": 403,
    }


async def test_a_name_that_a_stranger_made_up_is_not_logged(lines: LogCapture) -> None:
    """It could be anything, a secret in the wrong place included."""
    async with serve() as ingress:
        await ingress.post(BODY, tenant="made-up")
    assert [line["tenant"] for line in lines.entries] == ["unknown"]


@pytest.mark.parametrize(
    ("failure", "event", "level"),
    [
        (NotAcknowledged("late"), LogEvent.WEBHOOK_DELAYED, "warning"),
        (UnpublishableRecord("too large"), LogEvent.REQUEST_FAILED, "error"),
        (RuntimeError("a bug"), LogEvent.REQUEST_FAILED, "error"),
    ],
)
async def test_what_is_not_stored_is_logged_by_who_has_to_act(
    lines: LogCapture, failure: Exception, event: LogEvent, level: str
) -> None:
    """Nobody has to for a delay; a person has to for the others."""
    async with serve() as ingress:
        ingress.log.raised = failure
        await ingress.post(BODY)
    assert [(line["event"], line["log_level"]) for line in lines.entries] == [(event, level)]


async def test_an_accepted_webhook_is_logged_for_those_who_look_closely(lines: LogCapture) -> None:
    """At debug level: the line of every event is the one with its end, in the consumer's log."""
    async with serve() as ingress:
        answer = await ingress.post(BODY)
    (line,) = lines.entries
    assert (line["event"], line["log_level"]) == (LogEvent.WEBHOOK_ACCEPTED, "debug")
    assert (line["id"], line["tenant"], line["size"]) == (answer.json["id"], "acme", len(BODY))


async def test_a_sender_that_goes_away_is_no_error(lines: LogCapture, caplog: pytest.LogCaptureFixture) -> None:
    """It happens all day."""
    async with serve() as ingress:
        _, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        writer.write(b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nfuse-verification: x\r\nContent-Length: 99\r\n\r\n")
        await until(lambda: ingress.gate.inside == 1)
        writer.close()
        await until(lambda: ingress.gate.inside == 0)
        await until(lambda: lines.entries != [])
    assert [(line["reason"], line["log_level"]) for line in lines.entries] == [("BodyIncomplete", "info")]
    assert caplog.records == []


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_line_holds_a_body_a_signature_or_a_key(
    form: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong: the words below stand in bodies and headers, and in no log."""
    configure_logging("debug", form)
    async with serve() as ingress:
        await _provoke(ingress)
    output = "".join(capsys.readouterr()) + caplog.text
    for event in (
        LogEvent.WEBHOOK_ACCEPTED,
        LogEvent.WEBHOOK_REFUSED,
        LogEvent.WEBHOOK_DELAYED,
        LogEvent.REQUEST_FAILED,
    ):
        assert event in output
    for secret in ("in-the-", signature(_MARKED), *(key.get_secret_value() for key in KEYS.values())):
        assert secret not in output


async def _provoke(ingress: Ingress) -> None:
    """Bring about every line that a request can bring about."""
    await ingress.post(_MARKED)
    await ingress.post(_MARKED + b"}", {"fuse-verification": "in-the-signature"})
    await ingress.post(_MARKED, {"fuse-verification": "in-the-signature"})
    await raw_exchange(ingress.port, b"POST /webhooks/acme HTTP/1.1\r\nin-the-header\r\n\r\n")
    for failure in (NotAcknowledged("late"), UnpublishableRecord("too large"), RuntimeError("a bug")):
        ingress.log.raised = failure
        await ingress.post(_MARKED)
