"""`dead`: list and show dead letters, and send them again."""

import argparse
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from consumer.commands.machines import add_json, write_json
from consumer.commands.options import Commands, add_group, load_settings
from consumer.commands.repair import (
    DONE,
    INCOMPLETE,
    add_sending,
    new_table,
    print_table,
    printable,
    run_repair,
    show_report,
    watching,
)
from consumer.commands.times import time_argument
from consumer.letters import Letter, LetterFilter, ListedLetter, RedriveRequest, find_letters, letters, redrive
from consumer.moments import exact, moment
from schemas.record import encode_attribute

_REDRIVEN = {True: "yes", False: "no", None: "unknown"}
_TIMES = ("called", "parked", "ended")
_COLUMNS = ("when", "tenant", "connection", "reason", "attempts", "source", "redriven", "error")


def add_to(commands: Commands) -> None:
    """Declare the command and what it can do."""
    command = commands.add_parser("dead", help="list and show dead letters, and send them again")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    _add_list(actions)
    _add_show(actions)
    _add_redrive(actions)


def _add_list(actions: Commands) -> None:
    command = actions.add_parser("list", help="list the latest dead letters, the last first")
    _add_filter(command)
    command.add_argument("--limit", type=_count, default=100, metavar="N", help="so many at most (default: 100)")
    add_json(command)
    command.set_defaults(run=lambda options: run_repair(lambda: _list(options)))


def _add_show(actions: Commands) -> None:
    command = actions.add_parser("show", help="show all about the dead letters of one event")
    add_group(command)
    command.add_argument("id", metavar="ID", help="the event's id, or its PARTITION:OFFSET in the topic of webhooks")
    command.add_argument("--body", action="store_true", help="write the body's bytes, and nothing else")
    add_json(command)
    command.set_defaults(run=lambda options: run_repair(lambda: _show(options)))


def _add_redrive(actions: Commands) -> None:
    command = actions.add_parser(
        "redrive",
        help="send the events of dead letters again",
        description="Send the events of dead letters again. What was sent again already is not, and nothing is done "
        "unless --yes stands there. Exit status: 0 done, 1 interrupted, 2 bad usage or configuration, 3 no answer "
        "from Kafka.",
    )
    _add_filter(command)
    command.add_argument(
        "--expired", action="store_true", help="also those whose records have expired in the topic of webhooks"
    )
    add_sending(command)
    command.set_defaults(run=lambda options: run_repair(lambda: _redrive(options)))


def _add_filter(command: argparse.ArgumentParser) -> None:
    add_group(command)
    command.add_argument("--tenant", help="only this tenant's")
    command.add_argument("--connection", help="only this connection's")
    command.add_argument("--reason", help="only these: permanent, budget_spent, unreadable")
    command.add_argument("--since", type=time_argument, metavar="TIME", help="given up from then on")
    command.add_argument("--until", type=time_argument, metavar="TIME", help="given up before")


def _filter(options: argparse.Namespace) -> LetterFilter:
    return LetterFilter(
        tenant=options.tenant,
        connection=options.connection,
        reason=options.reason,
        since=options.since,
        until=options.until,
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:  # noqa: PLR2004 - all of them are held in memory
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 10000")
    return int(text)


def _list(options: argparse.Namespace) -> int:
    settings = load_settings(options)
    with watching(settings, options) as watch:
        found = letters(settings, _filter(options), most=options.limit, watch=watch)
    if options.json:
        write_json(settings, {"letters": [_listed(listed) for listed in found]})
        return DONE
    table = new_table(*_COLUMNS)
    for listed in found:
        table.add_row(*(Text(printable(cell)) for cell in _cells(listed)))
    if found:
        print_table(table)
    else:
        Console().print("No dead letters.")
    return DONE


def _cells(listed: ListedLetter) -> tuple[str, ...]:
    """Give what people read of a letter, in the order of `_COLUMNS`."""
    letter, note = listed.letter, listed.letter.note
    event = _event(letter)
    return (
        *(moment(note.ended), event["tenant"], event["connection"], note.reason, str(note.attempts)),
        *(f"{letter.partition}:{note.offset}", _REDRIVEN[listed.redriven], note.error),
    )


def _listed(listed: ListedLetter) -> Mapping[str, object]:
    letter, note = listed.letter, listed.letter.note
    return {
        "partition": letter.partition,
        "offset": note.offset,
        **_event(letter),
        "reason": note.reason,
        "error": note.error,
        "attempts": note.attempts,
        "ended": exact(note.ended),
        "redriven": listed.redriven,
    }


def _event(letter: Letter) -> Mapping[str, str]:
    """Say which event it is, as logs and keys have it; of a record that is none, all of it is empty."""
    event = letter.event
    if event is None:
        return {"id": "", "tenant": "", "connection": ""}
    names = {"id": event.id, "tenant": event.tenant, "connection": event.connection}
    return {name: encode_attribute(text).decode() for name, text in names.items()}


def _show(options: argparse.Namespace) -> int:
    settings = load_settings(options)
    with watching(settings, options) as watch:
        found = find_letters(settings, options.id, watch=watch)
    if not found:
        sys.stderr.write(f"Group {settings.group} has no dead letter {printable(options.id)}.\n")
        return INCOMPLETE
    if options.body:  # those of one record are all the same
        sys.stdout.buffer.write(found[-1].record.value or b"")
    elif options.json:
        write_json(settings, {"letters": [_details(letter) for letter in found]})
    else:
        _print_details(found)
    return DONE


def _details(letter: Letter) -> Mapping[str, object]:
    record, note = letter.record, letter.note.model_dump(exclude={"record", "v", "topic", "group"})
    return {
        **_event(letter),
        **note,
        **{name: exact(note[name]) for name in _TIMES},
        "position": letter.position,
        "key": _shown(record.key),
        "body_bytes": None if record.value is None else len(record.value),
        "headers": [[printable(name), _shown(value)] for name, value in record.headers],
    }


def _print_details(found: list[Letter]) -> None:
    for letter in found:
        table = new_table("what", "value")
        for name, value in letter.record.headers:
            table.add_row(Text(printable(name)), Text(str(_shown(value))))
        for field, shown in _details(letter).items():
            if field != "headers":
                table.add_row(field, Text(printable(str(shown))))
        Console().print(table)


def _shown(value: bytes | None) -> str | None:
    return None if value is None else printable(value.decode("utf-8", "backslashreplace"))


def _redrive(options: argparse.Namespace) -> int:
    settings = load_settings(options)
    request = RedriveRequest(filter=_filter(options), rate=options.rate, expired=options.expired)
    with watching(settings, options) as watch:
        report = redrive(settings, request, dry_run=not options.yes, watch=watch)
    return show_report(settings, report, options)
