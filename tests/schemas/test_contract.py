"""The contract: its committed copies are what the code says, and what travels is what it says."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from ingress.accepted import Accepted
from ingress.answers import health, no_such_path, not_stored, refused, unreadable_request, wrong_method
from sandbox.generator import Mix, generate
from schemas.contract import documents, write
from schemas.dead import DeadLetter, write_dead_letter
from schemas.errors import (
    AmbiguousJson,
    BodyIncomplete,
    BodyTooLarge,
    BodyTooSlow,
    InvalidSignature,
    NotJson,
    OverLimit,
    Rejected,
    TooDeep,
    UnsupportedMedia,
)
from schemas.event import Environment, Event
from schemas.outcome import Ended, OutcomeKind, Taken, write_outcome
from schemas.parked import Park, Settle, Why, write_note
from schemas.record import Record, to_record
from schemas.tenants import load_tenants
from schemas.topics import group_specs, source_spec
from schemas.webhook import WebhookType

ROOT = Path(__file__).parents[2]
CONTENTS: Mapping[str, Any] = {name: json.loads(text) for name, text in documents().items()}
RECEIVE_ANSWERS = CONTENTS["openapi.json"]["paths"]["/webhooks/{tenant}"]["post"]["responses"]
MESSAGES: Mapping[str, Any] = CONTENTS["asyncapi.json"]["components"]["messages"]
EVENT_MESSAGE = MESSAGES["event"]
FULL = Event(
    id="0199a0b0-0000-7000-8000-000000000000",
    tenant="acme",
    environment=Environment.SANDBOX,
    type=WebhookType.SYNC_DATA,
    connection="connection-1",
    aggregator="plaid",
    received_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    verification="c2lnbmF0dXJl",
    body=b"{}",
    generation=1,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    group="sync",
    replay="redrive",
)
REJECTIONS: tuple[Rejected, ...] = (
    *(
        kind("what was wrong")
        for kind in (NotJson, TooDeep, AmbiguousJson, InvalidSignature, BodyTooLarge, BodyTooSlow, BodyIncomplete)
    ),
    UnsupportedMedia("what was wrong"),
    OverLimit(0.5),
)


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(CONTENTS[name])


def _references(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        for name, value in content.items():
            if name == "$ref":
                yield value
            yield from _references(value)
    elif isinstance(content, list):
        for value in content:
            yield from _references(value)


def _resolve(document: Mapping[str, Any], reference: str) -> Any:  # noqa: ANN401 - any part of a document
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


@pytest.mark.parametrize("name", CONTENTS)
def test_the_committed_copy_is_what_the_code_says(name: str) -> None:
    """Run `make docs` and look at the difference: somebody may build on what it takes away."""
    assert (ROOT / "docs" / "contract" / name).read_text(encoding="utf-8") == documents()[name]


def test_no_other_copy_is_committed() -> None:
    """A document that the code does not write any more would be read all the same."""
    assert {path.name for path in (ROOT / "docs" / "contract").iterdir()} == set(documents())


def test_writing_makes_the_folder_and_replaces_what_is_there(tmp_path: Path) -> None:
    """So that one command serves the first time and every other."""
    write(tmp_path / "new" / "folder")
    (tmp_path / "new" / "folder" / "openapi.json").write_text("old")
    write(tmp_path / "new" / "folder")
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new" / "folder").iterdir()}
    assert written == documents()


@pytest.mark.parametrize("name", [name for name in CONTENTS if name.endswith(".schema.json")])
def test_the_schemas_are_json_schemas(name: str) -> None:
    """By the dialect that they name."""
    Draft202012Validator.check_schema(CONTENTS[name])


def test_the_openapi_document_is_valid() -> None:
    """By the validator that its community maintains."""
    OpenAPIV31SpecValidator(CONTENTS["openapi.json"]).validate()


def test_the_asyncapi_document_has_what_version_3_requires() -> None:
    """Checked here for what its readers stumble over; its full JSON Schema is not part of this project."""
    document = CONTENTS["asyncapi.json"]
    assert re.fullmatch(r"3\.0\.\d+", document["asyncapi"])
    assert {"title", "version"} <= document["info"].keys()
    for channel in document["channels"].values():
        assert channel["messages"]
        assert {*re.findall(r"\{(.+?)\}", channel["address"])} == {*channel.get("parameters", {})}
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])


@pytest.mark.parametrize("name", CONTENTS)
def test_every_reference_leads_somewhere(name: str) -> None:
    """Within its own document: nothing has to be fetched to read it."""
    for reference in _references(CONTENTS[name]):
        assert _resolve(CONTENTS[name], reference)


def test_the_channels_are_the_topics_that_the_start_up_check_makes() -> None:
    """Names and configuration, as the default settings have them."""
    bounds: dict[str, Any] = {"retention": timedelta(days=7), "max_body_bytes": 1_048_576}
    of_group = group_specs("fuse.webhooks", "{group}", **bounds)
    specs = {spec.name: spec.config for spec in (source_spec("fuse.webhooks", **bounds), *of_group)}
    channels = {channel["address"]: channel for channel in CONTENTS["asyncapi.json"]["channels"].values()}
    assert channels.keys() == specs.keys()
    for name, channel in channels.items():
        for setting, value in channel["bindings"]["kafka"]["topicConfiguration"].items():
            assert specs[name][setting] == (value[0] if isinstance(value, list) else str(value))


def test_every_header_of_a_record_is_described_and_no_other() -> None:
    """A full event's record has each of them, and one with nothing optional has those that are required."""
    bare = _described("", "", "")
    assert {name for name, _ in to_record(FULL).headers} == EVENT_MESSAGE["headers"]["properties"].keys()
    assert {name for name, _ in to_record(bare).headers} == set(EVENT_MESSAGE["headers"]["required"])


@given(
    type_=st.text(st.characters(exclude_categories=())),
    connection=st.text(st.characters(exclude_categories=())),
    aggregator=st.text(st.characters(exclude_categories=())),
)
def test_any_event_is_written_as_described(type_: str, connection: str, aggregator: str) -> None:
    """Headers and key, whatever text the body holds."""
    record = to_record(_described(type_, connection, aggregator))
    Draft202012Validator(EVENT_MESSAGE["headers"]).validate(_texts(record))
    Draft202012Validator(EVENT_MESSAGE["bindings"]["kafka"]["key"]).validate((record.key or b"").decode("ascii"))


def _texts(record: Record) -> dict[str, str]:
    return {name: (value or b"").decode("ascii") for name, value in record.headers}


def _described(type_: str, connection: str, aggregator: str) -> Event:
    return Event(
        id=FULL.id,
        tenant="acme.eu",
        environment=Environment.PRODUCTION,
        type=type_,
        connection=connection,
        aggregator=aggregator,
        received_at=FULL.received_at,
        verification=FULL.verification,
        body=b"{}",
    )


@pytest.mark.parametrize(
    "record",
    [
        Taken(epoch=1, member="a"),
        Ended(offset=0, id="i", outcome=OutcomeKind.IGNORED, attempts=1, received=0, ended=0, epoch=0, member="a"),
        Ended(
            offset=1,
            id="i",
            generation=2,
            outcome=OutcomeKind.DEAD,
            reason="r",
            attempts=3,
            status=500,
            received=4,
            called=5,
            ended=6,
            epoch=7,
            member="a",
        ),
    ],
)
def test_an_outcome_record_is_written_as_described(record: Ended | Taken) -> None:
    """And with each required member taken away it is not: readers may rely on those."""
    described = CONTENTS["outcome.schema.json"]["$defs"][type(record).__name__]
    _check_written("outcome.schema.json", described, json.loads(write_outcome(record)))


def _check_written(name: str, described: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    validator = _validator(name)
    validator.validate(written)
    assert written.keys() <= described["properties"].keys()
    for required in described["required"]:
        assert not validator.is_valid({member: value for member, value in written.items() if member != required})


PARKS = [
    Park(epoch=1, offset=0, id="i", due=0, since=1, reason=Why.BEHIND),
    Park(
        epoch=2, offset=3, id="i", due=4, attempts=5, turns=6, called=7, since=8, reason=Why.FAILED, error="it failed"
    ),
]


@pytest.mark.parametrize("note", [*PARKS, Settle(offset=0), Taken(epoch=1, member="a")])
def test_a_note_of_the_parked_topic_is_written_as_described(note: Park | Settle | Taken) -> None:
    """In the header that the message of its kind names, and only a park comes with an event."""
    is_park = isinstance(note, Park)
    record = write_note(note, to_record(FULL) if is_park else None)
    message = MESSAGES["parked" if is_park else "note"]
    headers = _texts(record)
    Draft202012Validator(message["headers"]).validate(headers)
    assert headers.keys() == message["headers"]["properties"].keys()
    described = CONTENTS["parked.schema.json"]["$defs"][type(note).__name__]
    _check_written("parked.schema.json", described, json.loads(headers["fuse_parked"]))
    assert (record.value is None) is not is_park


LETTERS = [
    DeadLetter(
        group="sync",
        reason="unreadable",
        error="no-body: the record has no value",
        topic="t",
        partition=0,
        offset=0,
        attempts=0,
        ended=0,
        epoch=1,
        member="a",
    ),
    DeadLetter(
        group="sync",
        reason="budget_spent",
        error="Fuse answered 500",
        topic="t",
        partition=1,
        offset=2,
        attempts=3,
        status=500,
        called=4,
        parked=5,
        ended=6,
        epoch=7,
        member="a",
    ),
]


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("received", [to_record(FULL), Record(key=None, value=None, headers=())])
def test_a_dead_letter_is_written_as_described(letter: DeadLetter, received: Record) -> None:
    """Whatever was received stands before the note."""
    record = write_dead_letter(letter, received)
    assert (record.key, record.value, record.headers[:-1]) == (received.key, received.value, received.headers)
    headers = _texts(record)
    Draft202012Validator(MESSAGES["deadLetter"]["headers"]).validate(headers)
    _check_written("dead-letter.schema.json", CONTENTS["dead-letter.schema.json"], json.loads(headers["fuse_dead"]))


@pytest.mark.parametrize(
    ("schema", "name"), [("ParkedNote", "parked.schema.json"), ("DeadLetter", "dead-letter.schema.json")]
)
def test_a_header_that_is_json_refers_to_what_its_own_document_says(schema: str, name: str) -> None:
    """Whoever reads only one of the two reads the same."""
    headers = [
        header for message in MESSAGES.values() for header in message.get("headers", {}).get("properties", {}).values()
    ]
    references = {header["contentSchema"]["$ref"] for header in headers if "contentSchema" in header}
    assert f"#/components/schemas/{schema}" in references
    described = CONTENTS["asyncapi.json"]["components"]["schemas"][schema]
    own = {key: value for key, value in CONTENTS[name].items() if key not in {"$schema", "$defs"}}
    assert json.loads(json.dumps(described).replace("#/components/schemas/", "#/$defs/")) == own


def test_webhooks_of_every_type_are_as_described() -> None:
    """Those of the sandbox, which follow Fuse's documentation."""
    tenants = load_tenants(ROOT / "sandbox" / "tenants.toml", {})
    bodies = [json.loads(webhook.body) for webhook in islice(generate(tenants, Mix(other_share=0.8), seed=1), 200)]
    assert {body["type"] for body in bodies} == set(WebhookType)
    for body in bodies:
        _validator("webhook.schema.json").validate(body)


def test_the_webhooks_sets_are_open() -> None:
    """A type, an aggregator or a member that is new tomorrow breaks no reader."""
    new = {
        "type": "new",
        "source": "new",
        "environment": "new",
        "financial_connection_id": "c",
        "remote_data": 1,
        "n": {},
    }
    _validator("webhook.schema.json").validate(new)


def test_every_kind_of_refusal_is_among_those_tested() -> None:
    """So that a new one cannot be forgotten here."""
    assert {type(error) for error in REJECTIONS} == set(Rejected.__subclasses__())


@pytest.mark.parametrize(
    "answer",
    [
        *(refused(error) for error in REJECTIONS),
        not_stored(3),
        no_such_path(),
        wrong_method(["POST"]),
        unreadable_request(),
    ],
    ids=lambda answer: str(answer.status),
)
def test_every_answer_to_a_webhook_is_described(answer: web.Response) -> None:
    """Its status, its body and the headers that tell what to do."""
    _check_answer(RECEIVE_ANSWERS, answer)


class _Connection:
    """As much of a request as the answer 200 needs, and the connection that it writes to."""

    keep_alive = True

    def __init__(self) -> None:
        self.written = b""

    @property
    def transport(self) -> Self:
        return self

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written += data


async def test_the_answer_200_is_described() -> None:
    """Its head and body are written in one piece."""
    connection = _Connection()
    await Accepted(FULL.id).prepare(cast("web.BaseRequest", connection))
    body = connection.written.partition(b"\r\n\r\n")[2]
    _check_answer(RECEIVE_ANSWERS, web.Response(status=200, body=body))


def test_no_answer_is_described_that_is_never_given() -> None:
    """Of what stands in the document, 200 is the only one that is not a refusal."""
    given_ = [*map(refused, REJECTIONS), not_stored(3), no_such_path(), wrong_method(["POST"]), unreadable_request()]
    assert {str(answer.status) for answer in given_} | {"200"} == RECEIVE_ANSWERS.keys()


@pytest.mark.parametrize("answer", [health(), health(["no broker answers"])], ids=["ready", "not-ready"])
def test_every_answer_to_a_probe_is_described(answer: web.Response) -> None:
    """With the reasons in the body."""
    _check_answer(CONTENTS["openapi.json"]["paths"]["/readyz"]["get"]["responses"], answer)


def _check_answer(answers: Mapping[str, Any], answer: web.Response) -> None:
    described = answers[str(answer.status)]
    schema = _resolve(CONTENTS["openapi.json"], described["content"]["application/json"]["schema"]["$ref"])
    assert isinstance(answer.body, bytes)
    Draft202012Validator(schema).validate(json.loads(answer.body))
    assert {"Retry-After", "Allow"} & answer.headers.keys() == described.get("headers", {}).keys()
