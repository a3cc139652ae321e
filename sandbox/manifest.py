"""The manifest: what a sender knows about the webhooks it sent, as the judge needs it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigurationError


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SentWebhook(_Model):
    """A webhook as sent. `connection` is percent-encoded as in record keys; `body` is the short digest of `calls`."""

    tenant: str
    connection: str
    type: str
    body: str


class AcceptedWebhook(SentWebhook):
    """A webhook that the ingress answered 200, with the event id that the answer named."""

    id: str


class Counts(_Model):
    """How webhooks ended at the ingress, accepted ones aside.

    `refused` are forged ones that were refused, as they have to be; `forged_accepted` those that were not;
    `genuine_refused` are genuine ones answered 4xx for good; `given_up` are those not decided after all attempts.
    """

    refused: int = 0
    forged_accepted: int = 0
    genuine_refused: int = 0
    given_up: int = 0


class Manifest(_Model):
    """What was sent and how it was answered.

    `accepted` is in the order of the answers, and so in each lane's true order, since the next webhook of a lane is
    sent after the answer to the one before. `unsure` are genuine attempts that the ingress may or may not have put into
    the log: it answered 5xx or not at all. `answers` counts attempts by HTTP status, or "none".
    """

    accepted: tuple[AcceptedWebhook, ...] = ()
    unsure: tuple[SentWebhook, ...] = ()
    counts: Counts = Counts()
    answers: dict[str, int] = Field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Notes:
    """A manifest while it is being written; its fields may be read at any time to show progress."""

    accepted: list[AcceptedWebhook] = field(default_factory=list)
    unsure: list[SentWebhook] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)

    def manifest(self) -> Manifest:
        """Give what is noted so far."""
        return Manifest(
            accepted=tuple(self.accepted),
            unsure=tuple(self.unsure),
            counts=Counts(**self.counts),
            answers=dict(self.answers),
        )


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON."""
    path.write_text(manifest.model_dump_json(), encoding="utf-8")


def read_manifest(path: Path) -> Manifest:
    """Read what `write_manifest` wrote. Raises ConfigurationError."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}."]) from None
    except ValidationError as error:
        raise ConfigurationError([f"{path}: is no manifest of `python -m sandbox send`: {error}"]) from None
