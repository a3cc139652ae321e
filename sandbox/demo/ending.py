"""The end of the demo: the verdict as a table and a sentence."""

from rich.console import Console
from rich.table import Table

from sandbox.judge import Verdict

_MEANINGS = {
    "accepted": "answered 200 by the ingress",
    "refused": "forged, answered 403",
    "ignored": "of other types than sync_data, accounted and not synced",
    "synced": "answered 200 by Fuse",
    "superseded": "not called, since one with an equal body followed, and was synced",
    "lost": "accepted, and neither synced nor superseded",
    "out_of_order": "called before an earlier event of the same connection was synced",
    "overlapping": "called while another call of the same connection was open",
    "repeated": "called again after they were synced; a killed member's last calls may be",
    "unexpected": "calls for what was not accepted",
    "altered": "calls with other bytes than were accepted",
    "forged_accepted": "forged, and not refused",
    "genuine_refused": "genuine, and refused",
    "given_up": "the ingress could not take them",
}
_MUST_BE_NONE = ("lost", "out_of_order", "overlapping")
_SHOWN_ALWAYS = ("accepted", "refused", "synced", *_MUST_BE_NONE, "repeated")


def passed(verdict: Verdict) -> bool:
    """Say whether the demo showed what it is there to show: every promise kept, and everything sent taken."""
    return verdict.kept and verdict.synced > 0 and verdict.given_up == 0


def show(verdict: Verdict, console: Console) -> None:
    """Show a verdict; what is 0 and ought to be is left out, the three promises aside."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, meaning in _MEANINGS.items():
        count = getattr(verdict, name)
        if count or name in _SHOWN_ALWAYS:
            table.add_row(name.replace("_", " "), str(count), meaning, style=_style(name, count))
    console.print("\nVerdict, from what the fake Fuse received:")
    console.print(table)
    for kind, examples in verdict.examples.items():
        if kind != "repeated":
            console.print(f"{kind}:", *examples, sep="\n  ", markup=False, highlight=False)
    console.print(_sentence(verdict), style="green" if passed(verdict) else "red")


def _style(name: str, count: int) -> str:
    if name not in _MUST_BE_NONE:
        return ""
    return "red" if count else "green"


def _sentence(verdict: Verdict) -> str:
    if passed(verdict):
        return "Every promise was kept: nothing lost, nothing out of order, nothing overlapping."
    return "Not every promise was kept."
