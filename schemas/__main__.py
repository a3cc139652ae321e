"""What this package can tell or write: `python -m schemas --help`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.aggregators import AGGREGATORS
from schemas.errors import ConfigurationError
from schemas.settings import ENVIRON
from schemas.settings_page import reference_page
from schemas.tenants import Account, Tenant, Tenants, load_tenants


def main() -> int:
    """Run one subcommand; the exit status is 1 where what it checks is wrong."""
    options = _parser().parse_args()
    try:
        options.run(options)
    except ConfigurationError as error:
        print(*error.faults, sep="\n", file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m schemas", description="Check tenants, write reference pages.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check-tenants", help="say what is wrong with a tenants file, or what it configures")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=_check_tenants)
    commands.add_parser("settings", help="print the reference page of all settings").set_defaults(run=_settings)
    contract = commands.add_parser("contract", help="write JSON Schema, OpenAPI and AsyncAPI into a folder")
    contract.add_argument("directory", type=Path, metavar="DIR")
    contract.set_defaults(run=_contract)
    return parser


def _check_tenants(options: argparse.Namespace) -> None:
    for line in _table(load_tenants(options.file, ENVIRON)):
        print(line)  # noqa: T201 - a command's answer


def _settings(_: argparse.Namespace) -> None:
    print(reference_page(), end="")  # noqa: T201 - a command's answer


def _contract(options: argparse.Namespace) -> None:
    from schemas.contract import write  # noqa: PLC0415 - costly to import, and only this subcommand needs it

    write(options.directory)


def _table(tenants: Tenants) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        ("tenant", "environment", "aggregators", "API keys", "base URL", "ingest limit", "relay")
    ]
    for tenant in tenants.values():
        rows.extend(_row(tenant, name, account) for name, account in tenant.accounts.items())
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(tenant: Tenant, environment: str, account: Account) -> tuple[str, ...]:
    limit = "none" if tenant.ingest_limit is None else f"{tenant.ingest_limit:g}/s, burst {tenant.ingest_burst}"
    keys = str(1 + len(account.accepted_keys))
    return tenant.name, environment, _configured(account), keys, account.base_url or "default", limit, _relay(tenant)


def _relay(tenant: Tenant) -> str:
    return "none" if tenant.relay is None else f"{tenant.relay.url}, secrets: {len(tenant.relay.secrets)}"


def _configured(account: Account) -> str:
    names = [
        name
        for name, credentials in AGGREGATORS.items()
        if any(credential.header in account.credentials for credential in credentials)
    ]
    ours = {credential.header for credentials in AGGREGATORS.values() for credential in credentials}
    extra = [header for header in account.credentials if header not in ours]
    return ", ".join([*names, *(f"header {name}" for name in extra)]) or "none"


if __name__ == "__main__":
    sys.exit(main())
