"""How far the demo has come: counted from what the sender noted and what the fake Fuse received. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.calls import Ending
from sandbox.demo.member import Member
from sandbox.ledger import Summary
from sandbox.manifest import Notes
from schemas.webhook import WebhookType

_NEARLY = 0.98
_SYNCED = "200"
_FAILURES = {Ending.HUNG: "time-out", Ending.RESET: "reset", Ending.GONE: "caller gone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One member: its name and process id, its partitions, and whether it has ended."""

    name: str
    pid: int
    partitions: tuple[int, ...]
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counts at a moment. `to_sync` are accepted events of the type that is synced, `failures` failed calls by kind."""

    seconds: float
    sent: int
    accepted: int
    refused: int
    to_sync: int
    synced: int
    open_calls: int
    failures: dict[str, int]
    members: tuple[MemberState, ...]

    @property
    def nearly_done(self) -> bool:
        """Say whether hardly anything is left: what is superseded is never synced, and only a verdict can tell."""
        return self.synced >= _NEARLY * self.to_sync and not self.open_calls


def measure(seconds: float, notes: Notes, summary: Summary, members: Sequence[Member]) -> Progress:
    """Count after so many seconds."""
    return Progress(
        seconds=seconds,
        sent=len(notes.accepted) + sum(notes.counts.values()),
        accepted=len(notes.accepted),
        refused=notes.counts["refused"],
        to_sync=sum(event.type == WebhookType.SYNC_DATA for event in notes.accepted),
        synced=summary.synced,
        open_calls=summary.open,
        failures=_failures(summary),
        members=tuple(_state(member) for member in members),
    )


def synced_per_second(before: Progress, now: Progress) -> float:
    """Compute the rate between two moments; 0 where no time has passed."""
    seconds = now.seconds - before.seconds
    return (now.synced - before.synced) / seconds if seconds > 0 else 0.0


def _failures(summary: Summary) -> dict[str, int]:
    answered = {status: count for status, count in sorted(summary.statuses.items()) if status != _SYNCED}
    broken = {name: count for ending, name in _FAILURES.items() if (count := summary.endings.get(ending, 0))}
    return answered | broken


def _state(member: Member) -> MemberState:
    return MemberState(
        name=member.name,
        pid=member.pid,
        partitions=tuple(sorted(member.partitions)),
        ended=not member.child.running,
    )
