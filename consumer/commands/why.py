"""`why`: what holds a connection, or a tenant, in a sentence each."""

import argparse
import sys
import time
from collections.abc import Sequence

from consumer.commands.machines import add_json, write_json
from consumer.commands.options import Commands, add_group, load_settings
from consumer.commands.repair import printable
from consumer.why.asked import Asked, parse
from consumer.why.cause import Cause, Finding
from consumer.why.decide import decide, tenant_wide
from consumer.why.gather import TopicMissing, gather
from schemas.errors import ConfigurationError, Permanent, Retryable
from schemas.settings import ENVIRON, ConsumerSettings
from schemas.tenants import load_tenants

_FREE, _HELD, _USAGE, _SILENT = 0, 1, 2, 3


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "why",
        help="say what holds a connection, or a tenant",
        description="Say in a sentence each what holds a connection, or the connections of a tenant that have waited "
        "for longest, and what to do. Changes nothing. Exit status: 0 nothing holds it, 1 something does, 2 bad usage "
        "or configuration, 3 no answer from Kafka.",
    )
    command.add_argument("name", metavar="TENANT[/CONNECTION]", help="the connection as logs and record keys have it")
    add_group(command)
    add_json(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        settings = load_settings(options)
        findings, status = explain(settings, parse(options.name), options.name)
    except Permanent as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE
    if options.json:
        write_json(settings, _as_fields(options.name, findings))
    else:
        sys.stdout.write(_as_text(findings))
    return status


def explain(settings: ConsumerSettings, asked: Asked, name: str) -> tuple[Sequence[Finding], int]:
    """Say what holds what was asked about, by its name; give the exit status as well. Raises Permanent."""
    try:
        findings = _ask(settings, asked, name)
    except Retryable as error:
        servers = settings.kafka_bootstrap_servers
        says = f"Kafka at {servers} does not answer: {error}."
        do = "Look at the brokers, and at FUSE_SYNC_KAFKA_BOOTSTRAP_SERVERS."
        return [Finding(about=name, cause=Cause.KAFKA_SILENT, says=says, do=do)], _SILENT
    except TopicMissing as error:
        says = f"there is no topic {error}."
        do = "Check FUSE_SYNC_TOPIC and --group; the start of a member creates its topics."
        findings = [Finding(about=name, cause=Cause.TOPIC_MISSING, says=says, do=do)]
    return findings, _HELD if any(finding.holds for finding in findings) else _FREE


def _ask(settings: ConsumerSettings, asked: Asked, name: str) -> Sequence[Finding]:
    now = int(time.time() * 1000)
    in_tenants_file = _in_tenants_file(settings, asked.tenant)
    facts = gather(settings, asked, in_tenants_file=in_tenants_file, now=now)
    if asked.key is not None:
        return decide(next((each for each in facts if each.open), facts[-1]))
    return tenant_wide(name, facts, in_tenants_file=in_tenants_file)


def _in_tenants_file(settings: ConsumerSettings, tenant: str) -> bool | None:
    """Say whether the tenant is known; None where the file cannot be read here, such as for want of its secrets."""
    try:
        return tenant in load_tenants(settings.tenants_file, ENVIRON)
    except ConfigurationError:
        return None


def _as_text(findings: Sequence[Finding]) -> str:
    return "".join(f"{printable(f'{finding.about}: {finding.says} {finding.do}')}\n" for finding in findings)


def _as_fields(name: str, findings: Sequence[Finding]) -> dict[str, object]:
    holds = any(finding.holds for finding in findings)
    return {"about": name, "holds": holds, "findings": [_values(finding) for finding in findings]}


def _values(finding: Finding) -> dict[str, object]:
    return {
        "about": finding.about,
        "cause": finding.cause.value,
        "holds": finding.holds,
        "partition": finding.partition,
        "offset": finding.offset,
        "says": finding.says,
        "do": finding.do,
    }
