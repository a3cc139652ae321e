"""`status`: how old the oldest unsettled event is, and how each partition and tenant stands."""

import argparse

from rich.console import Console
from rich.text import Text

from broker.group_state import Owner
from broker.membership import page_address
from consumer.commands.asking import EXIT_STATUSES, ask
from consumer.commands.machines import add_json, write_json
from consumer.commands.options import Commands, add_group, load_settings
from consumer.commands.repair import new_table, print_table, printable
from consumer.status import PartitionStatus, Status, status

_COLUMNS = ("partition", "oldest", "frontier", "end", "lag", "parked", "dead", "rate", "epoch", "owner")


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "status",
        help="say how old the oldest unsettled event is, and who does what",
        epilog=f"Exit status 0: answered. {EXIT_STATUSES}",
    )
    add_group(command)
    add_json(command)
    command.set_defaults(run=lambda options: ask(lambda: _run(options)))


def _run(options: argparse.Namespace) -> int:
    settings = load_settings(options)
    found = status(settings)
    if options.json:
        write_json(settings, found.as_json())
    else:
        _print(found, Console())
    return 0


def _print(found: Status, console: Console) -> None:
    console.print(
        f"Oldest unsettled event: {_age(found.oldest_seconds)}. {found.topic}, group {found.group}: {found.state}",
        markup=False,
        highlight=False,
    )
    partitions = new_table(*_COLUMNS)
    for each in found.partitions:
        partitions.add_row(*(Text(printable(cell)) for cell in _cells(each)))
    print_table(partitions)
    if found.tenants:
        tenants = new_table("tenant", "oldest", "unsettled")
        for tenant in found.tenants:
            tenants.add_row(
                Text(printable(tenant.tenant or "(none)")), _age(tenant.oldest_seconds), f"{tenant.unsettled:,}"
            )
        console.print()
        print_table(tenants)
    unread = sum(each.unread for each in found.partitions)
    if unread:
        console.print(f"{unread:,} events further behind the frontiers were not looked at.", highlight=False)


def _cells(each: PartitionStatus) -> tuple[str, ...]:
    numbers = (each.frontier, each.end, each.lag, each.parked, each.dead)
    return (
        str(each.partition),
        _age(each.oldest_seconds),
        *(f"{number:,}" for number in numbers),
        f"{each.rate:.1f}/s",
        str(each.epoch),
        _owner(each.owner),
    )


def _owner(owner: Owner | None) -> str:
    """Say where the owner's page is: it tells more; without one, what Kafka calls it."""
    if owner is None:
        return "nobody"
    return page_address(owner.client_id, owner.host) or f"{owner.client_id}{owner.host}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "none"
    return f"{seconds:,.1f} s"
