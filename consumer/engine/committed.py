"""What is committed beside the frontier: how the next owner finds its way back."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import UnreadableRecord

VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The committed state of a partition; None is unknown.

    `frontier` is the lowest offset not settled; `epoch` the number of the takeover that committed it, 0 if unknown;
    `outcomes_from` (X) the position from which the outcomes of events at or above the frontier are found;
    `parked_from` (P) the position from which the parked records that still count are found, and `parked_epoch` (E) the
    epoch that is current there. `events_from` (B) is the offset with which the group began, None for the first there
    was: no takeover looks at it, and every commit carries it on, for whoever asks later what the group has to do with.
    """

    frontier: int
    epoch: int
    outcomes_from: int | None = None
    parked_from: int | None = None
    parked_epoch: int | None = None
    events_from: int | None = None

    def metadata(self) -> str:
        """Write what Kafka keeps beside the offset."""
        known = _Metadata(
            epoch=self.epoch, x=self.outcomes_from, p=self.parked_from, e=self.parked_epoch, b=self.events_from
        )
        return known.model_dump_json(exclude_none=True)


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = VERSION
    epoch: int = Field(ge=0)
    x: int | None = Field(default=None, ge=0)
    p: int | None = Field(default=None, ge=0)
    e: int | None = Field(default=None, ge=0)
    b: int | None = Field(default=None, ge=0)


def begun_at(offset: int) -> str:
    """Write the metadata of a group's first commit, made from outside: it begins at `offset`, and had no owner yet."""
    return Committed(frontier=offset, epoch=0, events_from=offset).metadata()


def read_committed(frontier: int, metadata: str) -> Committed:
    """Read the committed state.

    No metadata, or none of ours, means that nothing is known but the frontier: the very first start, an expired
    group, or an operator's offset reset. Raises UnreadableRecord("unknown-version") for metadata of a later version:
    this release must not take over what a newer one has written. A frontier in front of where the group began is that
    of a log that was made anew: it began with that.
    """
    try:
        known = _Metadata.model_validate_json(metadata)
    except ValidationError:
        return Committed(frontier=frontier, epoch=0)
    if known.v > VERSION:
        raise UnreadableRecord(
            "unknown-version", f"the commit's metadata has version {known.v}; this release knows {VERSION}: upgrade it"
        )
    return Committed(
        frontier=frontier,
        epoch=known.epoch,
        outcomes_from=known.x,
        parked_from=known.p,
        parked_epoch=known.e,
        events_from=None if known.b is None or known.b > frontier else known.b,
    )
