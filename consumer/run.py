"""`python -m consumer run`: one member of a group, until it is told to stop."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog

from broker.log_reader import LogReader
from broker.log_trimmer import LogTrimmer
from broker.publisher import Bounds, Publisher
from broker.subscription import Subscription
from consumer.alarms import Alarms
from consumer.calls import Calls
from consumer.clients import Clients
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


async def run(settings: ConsumerSettings, tenants: LiveTenants) -> int:
    """Run a member until SIGTERM or SIGINT; give the exit status: 1 if it could not go on."""
    stop = stop_signal()
    async with open_member(settings, tenants) as (member, subscription, publisher):
        regular = [asyncio.create_task(work) for work in member.regular_work()]
        for task in regular:
            task.add_done_callback(member.check)
        endings = (stop, member.failure, subscription.failure, publisher.failure)
        await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        failures = [ending.result() for ending in endings[1:] if ending.done()]
        for failure in failures:
            structlog.get_logger().error(LogEvent.MEMBER_FAILED, error=repr(failure), exc_info=failure)
        if failures:
            member.abandon()
        for task in regular:
            task.cancel()
    structlog.get_logger().info(LogEvent.MEMBER_STOPPED, unreadable=member.unreadable)
    return 1 if failures else 0


@asynccontextmanager
async def open_member(
    settings: ConsumerSettings, tenants: LiveTenants
) -> AsyncIterator[tuple[GroupMember, Subscription, Publisher]]:
    """Open all that a member needs, and close it in reverse: the partitions are let go first."""
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
        tenants.subscribe(member.reopen)
        _end_on_unexpected(member)
        page.show(member.view())
        subscription = Subscription(settings, member, address)
        member.connect(
            Clients(
                subscription=subscription,
                publisher=publisher,
                logs=logs,
                trimmer=trimmer,
                topics=group_topics(settings.topic, settings.group),
            )
        )
        async with subscription:
            structlog.get_logger().info(LogEvent.MEMBER_STARTED, group=settings.group, topic=settings.topic)
            yield member, subscription, publisher


def _member_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _end_on_unexpected(member: GroupMember) -> None:
    """End the process when a callback fails: going on could leave events in memory that nobody handles."""

    def unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if "handle" in context:  # a callback; failed tasks of ours are noticed by `GroupMember.check`
            member.fail(context.get("exception") or RuntimeError(context["message"]))

    asyncio.get_running_loop().set_exception_handler(unexpected)
