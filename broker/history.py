"""What of a partition still exists, and where reading it has to start."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The records of a partition that exist: offsets from `low` up to, but not including, `high`."""

    low: int
    high: int


def starting_offset(wanted: int | None, history: History) -> tuple[int, range]:
    """Decide from which offset to read, and which offsets are gone for good.

    `wanted` is the committed frontier, None if the group never committed. A frontier beyond the end means that the
    log was cut or made anew: everything in it is new to the group.
    """
    if wanted is None:
        return history.low, range(0)
    if wanted < history.low:
        return history.low, range(wanted, history.low)
    if wanted > history.high:
        return history.low, range(history.high, wanted)
    return wanted, range(0)
