"""What is true of a tenure and of a call, whatever those concerned know of it."""

from dataclasses import dataclass, field


class Violation(AssertionError):
    """A promise is broken; `check` names it."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One attempt, as the called side sees it: it goes on to its end even if its caller dies.

    `clock` is the time of its start by the caller's clock, in milliseconds since the epoch.
    """

    tenure: "Facts"
    offset: int
    starts: float
    ends: float
    clock: int
    parked: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Facts:
    """What is true of one tenure. `ended` says since when its member does not own the partition, and how that came.

    `mark` and `parked_mark` are where its mark lies in the logs, and `marked_epoch` and `parked_marked_epoch` what it
    says there; `not_before` what it was told by Retry-After; `called` what it called, `done` what it finished, `open`
    what it called and has no acknowledged outcome of.
    `parked_up_to` is the highest offset that it found parked; `turns` counts its parked calls, and `full` the records
    that came although its scratch was full. `leapt` says that its member's clock has leapt, and may be wrong.
    """

    member: str
    membership: str
    partition: int
    number: int
    start: int
    claimed_at: float | None = None
    claimed_epoch: int = 0
    mark: int | None = None
    parked_mark: int | None = None
    marked_epoch: int = 0
    parked_marked_epoch: int = 0
    bound: int = 0
    may_be_followed: set[int] = field(default_factory=set)
    not_before: dict[int, float] = field(default_factory=dict)
    called: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)
    open_at_end: frozenset[int] | None = None
    parked_up_to: int = -1
    turns: int = 0
    full: int = 0
    leapt: bool = False
    ended: float | None = None

    def __str__(self) -> str:
        return f"{self.member} tenure {self.number} of partition {self.partition}"

    def end(self, now: float) -> None:
        """Note the end of ownership, the first one counts, and what was not acknowledged by then."""
        if self.open_at_end is None:
            self.open_at_end = frozenset(self.open)
            self.ended = now
