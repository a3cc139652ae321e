"""`python -m consumer run`: one member of a group, until it is told to stop."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from broker.layout import Layout
from broker.log_reader import LogReader
from broker.log_trimmer import LogTrimmer
from broker.publisher import Bounds, Publisher
from broker.subscription import Subscription
from broker.topics import ensure_topics
from consumer.alarms import Alarms
from consumer.calls import Calls
from consumer.clients import Clients
from consumer.drain.gate import Gate
from consumer.drain.progress import Late
from consumer.drain.until import tell_late, until_drained, until_extended
from consumer.handler import AddressedTo
from consumer.holds import Holds
from consumer.limits import hold_policy, lane_budget, policy
from consumer.loading import load_handler, superseded_by
from consumer.member import GroupMember
from consumer.page import Page, open_page
from schemas.live_tenants import LiveTenants
from schemas.process import stop_signal
from schemas.settings import ConsumerSettings
from schemas.telemetry import LogEvent
from schemas.topics import group_topics

Over = Callable[[LogReader], Coroutine[Any, Any, None]]
"""Waits for what ends a member without anything being wrong with it, or raises what is wrong with its topics."""


async def run(settings: ConsumerSettings, tenants: LiveTenants, layout: Layout) -> int:
    """Run a member until SIGTERM or SIGINT; give the exit status: 1 if it could not go on.

    Where `layout` moves keys, it drains the old one with its group, extends the group's topics, and goes on as one of
    the new layout; beside that it tells what came too late to be kept in order. Raises what `ensure_topics` raises.
    """
    stop = stop_signal()
    if not layout.moves_keys:
        return await _run_on(settings, tenants, stop, layout)
    behind = dict[int, Late]()

    async def drained(_: LogReader) -> None:
        behind.update(await until_drained(settings, layout))

    status = await _run_member(settings, tenants, stop, drained, drains=layout)
    if status is not None:
        return status
    extended = await ensure_topics(settings, drained_for=layout.new)
    telling = asyncio.create_task(tell_late(settings, behind))
    try:
        return await _run_on(settings, tenants, stop, extended)
    finally:
        telling.cancel()


async def _run_on(settings: ConsumerSettings, tenants: LiveTenants, stop: asyncio.Future[None], layout: Layout) -> int:
    return await _run_member(settings, tenants, stop, lambda logs: until_extended(logs, settings.topic, layout)) or 0


async def _run_member(
    settings: ConsumerSettings,
    tenants: LiveTenants,
    stop: asyncio.Future[None],
    over: Over,
    drains: Layout | None = None,
) -> int | None:
    """Run a member until it is stopped, cannot go on, or is `over`; give the exit status, None for the latter."""
    async with open_member(settings, tenants, drains) as (member, subscription, publisher, logs):
        regular = [asyncio.create_task(work) for work in member.regular_work()]
        for task in regular:
            task.add_done_callback(member.check)
        ending = asyncio.create_task(over(logs))
        broken = (member.failure, subscription.failure, publisher.failure)
        await asyncio.wait((stop, ending, *broken), return_when=asyncio.FIRST_COMPLETED)
        failures = _failures(broken)
        if failures:
            member.abandon()
        for task in (ending, *regular):
            task.cancel()
        if ending.done() and (refused := ending.exception()) is not None:
            failures.append(refused)
        _log_failed(failures)
    structlog.get_logger().info(LogEvent.MEMBER_STOPPED, unreadable=member.unreadable)
    if not failures and not stop.done():
        failures = _failures(broken)  # while it closed: nobody knows what of it is left undone, so nothing goes on
        _log_failed(failures)
    if failures:
        return 1
    return 0 if stop.done() else None


def _failures(broken: Iterable[asyncio.Future[Any]]) -> list[BaseException]:
    return [failure.result() for failure in broken if failure.done()]


def _log_failed(failures: Iterable[BaseException]) -> None:
    for failure in failures:
        structlog.get_logger().error(LogEvent.MEMBER_FAILED, error=repr(failure), exc_info=failure)


@asynccontextmanager
async def open_member(
    settings: ConsumerSettings, tenants: LiveTenants, drains: Layout | None = None
) -> AsyncIterator[tuple[GroupMember, Subscription, Publisher, LogReader]]:
    """Open all that a member needs, and close it in reverse: the partitions are let go first.

    With `drains` it hears only of what has to end before that layout begins.
    """
    bounds = Bounds(
        messages=settings.max_unacknowledged_outcomes,
        bytes=settings.max_held_bytes,
        deadline_seconds=0.0,  # an outcome waits for Kafka for ever: until it is there, the frontier waits
        stop_seconds=settings.drain_seconds,
    )
    page = Page()
    async with (
        open_page(settings, page) as address,
        load_handler(settings.handler)(settings, tenants) as handler,
        Publisher(settings, bounds) as publisher,
        LogReader(settings) as logs,
        LogTrimmer(settings) as trimmer,
    ):
        addressed = AddressedTo(group=settings.group, handler=handler)
        calls = Calls(
            handler=addressed, budget=lane_budget(settings), holds=Holds(hold_policy(settings), Alarms(time.time))
        )
        treated = policy(settings, tenants=len(tenants), supersedes=superseded_by(handler))
        member = GroupMember(settings, _member_name(), calls, treated)
        _end_on_unexpected(member)
        page.show(member.view())
        subscription = _subscription(settings, member, address, drains)
        member.connect(
            Clients(
                subscription=subscription,
                publisher=publisher,
                logs=logs,
                trimmer=trimmer,
                topics=group_topics(settings.topic, settings.group),
            )
        )
        with tenants.telling(member.reopen):
            async with subscription:
                structlog.get_logger().info(LogEvent.MEMBER_STARTED, group=settings.group, topic=settings.topic)
                yield member, subscription, publisher, logs


def _subscription(
    settings: ConsumerSettings, member: GroupMember, address: str | None, drains: Layout | None
) -> Subscription:
    if drains is None:
        return Subscription(settings, member, address)
    gate = Gate(member, drains)
    subscription = Subscription(settings, gate, address)
    gate.pause = subscription.pause
    return subscription


def _member_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _end_on_unexpected(member: GroupMember) -> None:
    """End the process when a callback fails: going on could leave events in memory that nobody handles."""

    def unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if "handle" in context:  # a callback; failed tasks of ours are noticed by `GroupMember.check`
            member.fail(context.get("exception") or RuntimeError(context["message"]))

    asyncio.get_running_loop().set_exception_handler(unexpected)
