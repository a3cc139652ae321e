"""Endings: what is said of a lane of which nothing waits."""

from consumer.moments import moment
from consumer.why.cause import Cause, Finding
from consumer.why.facts import Facts
from schemas.outcome import Ended, OutcomeKind

_NOTHING = "Nothing to do."


def last_ending(facts: Facts) -> Finding:
    """Say how the lane's last event ended; or that there is none."""
    ended = facts.ended.get(facts.events[-1].offset) if facts.events else None
    if ended is None:
        return _never_seen(facts)
    cause, says, do = _ending(facts, ended)
    return Finding(
        about=facts.lane, cause=cause, says=says, do=do, partition=facts.partition.number, offset=ended.offset
    )


def _ending(facts: Facts, ended: Ended) -> tuple[Cause, str, str]:
    what = f"nothing holds it: the last event, at offset {ended.offset}, "
    when = moment(ended.ended)
    match ended.outcome:
        case OutcomeKind.APPLIED:
            return Cause.APPLIED, f"{what}was applied at {when} ({_calls(ended)}).", _NOTHING
        case OutcomeKind.SUPERSEDED:
            return Cause.SUPERSEDED, f"{what}was superseded at {when}: an equal one behind it covers it.", _NOTHING
        case OutcomeKind.IGNORED:
            return Cause.IGNORED, f"{what}was ignored at {when}: {ended.reason}.", _NOTHING
        case OutcomeKind.DEAD:
            place = _letter(facts, ended.offset)
            said = f"{what}was given up at {when}: {ended.reason} ({_calls(ended)}). Its letter is {place}."
            return Cause.DEAD, said, _redrive(facts, ended.offset)


def _redrive(facts: Facts, offset: int) -> str:
    show = f"python -m consumer dead show --group {facts.group} {facts.partition.number}:{offset}"
    tenant, _, connection = facts.lane.partition("/")
    lane = f"--tenant {tenant} --connection {connection}"
    redrive = f"python -m consumer dead redrive --group {facts.group} {lane} --yes"
    return f"Read it with `{show}`, mend what it names, then `{redrive}`."


def _letter(facts: Facts, offset: int) -> str:
    position = facts.letters.get(offset)
    where = "not found any more" if position is None else f"at offset {position}"
    return f"in partition {facts.partition.number} of the group's dead letters, {where}"


def _calls(ended: Ended) -> str:
    status = "" if ended.status is None else f", status {ended.status}"
    return f"{ended.attempts} call{'' if ended.attempts == 1 else 's'}{status}"


def _never_seen(facts: Facts) -> Finding:
    exists = facts.partition.existing
    bounded = facts.looked_from > exists.start
    where = f"the newest {exists.stop - facts.looked_from} offsets" if bounded else "all that the topic still holds"
    return Finding(
        about=facts.lane,
        cause=Cause.NEVER_SEEN,
        says=f"no event of it is in partition {facts.partition.number} ({where} were looked through).",
        do="Check the name, and whether the ingress accepted a webhook (`webhook.accepted`, `webhook.refused`).",
    )
