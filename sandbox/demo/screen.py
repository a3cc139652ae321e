"""What the demo shows: a live table on a terminal, a line every other second elsewhere."""

from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sandbox.demo.progress import MemberState, Progress, synced_per_second

_RATE_OVER = 8
"""Progress values over which the rate is taken: a calm number."""
_LINE_EVERY_SECONDS = 2.0


class Screen:
    """Where the demo speaks. Use as a context manager, so that the terminal is left as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._recent: deque[Progress] = deque(maxlen=_RATE_OVER)
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Write a sentence that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        """Show how far it has come."""
        self._recent.append(progress)
        rate = synced_per_second(self._recent[0], progress)
        if self._live is not None:
            self._live.update(_table(progress, rate), refresh=True)
        elif progress.seconds >= self._next_line:
            self._next_line = progress.seconds + _LINE_EVERY_SECONDS
            self.say(_line(progress, rate))


def _line(progress: Progress, rate: float) -> str:
    return (
        f"{progress.seconds:5.1f} s  sent {progress.sent}, accepted {progress.accepted}, refused {progress.refused}, "
        f"synced {progress.synced} of {progress.to_sync} ({rate:.0f}/s), failures met: {_failures(progress)}"
    )


def _table(progress: Progress, rate: float) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="left", style="dim")
    table.add_column(justify="right", min_width=8)
    table.add_column()
    table.add_row("sent", str(progress.sent), "")
    table.add_row("accepted", str(progress.accepted), "")
    table.add_row("refused", str(progress.refused), "forged, as they have to be")
    table.add_row("synced", str(progress.synced), f"of {progress.to_sync}, {rate:.0f} a second")
    table.add_row("failures", str(sum(progress.failures.values())), _failures(progress))
    for member in progress.members:
        table.add_row(member.name, str(member.pid or ""), _member(member))
    return Group(Text(f"{progress.seconds:.0f} s", style="dim"), table)


def _failures(progress: Progress) -> str:
    return ", ".join(f"{count} x {kind}" for kind, count in progress.failures.items()) or "none"


def _member(member: MemberState) -> Text:
    if member.ended:
        return Text("killed", style="red")
    if not member.partitions:
        return Text("joining", style="yellow")
    return Text(f"partitions {' '.join(map(str, member.partitions))}")
