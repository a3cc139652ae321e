"""`python -m sandbox demo`: the whole path on this machine, told from beginning to end."""

import asyncio
from itertools import islice

import aiohttp
from rich.console import Console

from sandbox.demo.ending import passed, show
from sandbox.demo.kafka import intention, open_kafka
from sandbox.demo.pipeline import TENANTS_FILE, Pipeline, Site, open_pipeline
from sandbox.demo.screen import Screen
from sandbox.demo.troubles import KILL_AFTER, MIX, PACE, PLAN, SEED, SETTINGS, WEBHOOKS
from sandbox.demo.watch import Watch
from sandbox.generator import generate
from sandbox.inquiry import Inquiry
from sandbox.judge import Verdict
from sandbox.manifest import Manifest, Notes
from sandbox.sender import send
from schemas.errors import FuseSyncError
from schemas.tenants import load_tenants

_SENT_WITHIN = 120.0
_SYNCED_WITHIN = 60.0
"""Seconds after which the demo stops waiting, and judges what is there."""


def main() -> int:
    """Play the demo; give the exit status: 0 if every promise was kept. Ctrl-C raises KeyboardInterrupt at its end."""
    console = Console()
    try:
        with Screen(console) as screen:
            verdict = asyncio.run(_play(screen))
    except FuseSyncError as error:
        Console(stderr=True).print(f"The demo cannot go on. {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    show(verdict, console)
    return 0 if passed(verdict) else 1


async def _play(screen: Screen) -> Verdict:
    screen.say(intention())
    async with open_kafka() as kafka:
        screen.say(f"Running on {kafka.origin}.")
        site = Site(
            bootstrap_servers=kafka.bootstrap_servers,
            topic=kafka.topic,
            plan=PLAN,
            settings=SETTINGS,
            kept=kafka.client_settings,
        )
        async with open_pipeline(site, members=2) as pipeline, aiohttp.ClientSession() as session:
            screen.say(f"The sandbox's Fuse is at {pipeline.fuse_url}, the ingress at {pipeline.ingress_url}.")
            return await _disturb(pipeline, Inquiry(session, pipeline.fuse_url), screen)


async def _disturb(pipeline: Pipeline, inquiry: Inquiry, screen: Screen) -> Verdict:
    """Send webhooks while Fuse fails now and then; kill a member in the middle; wait for the rest, and judge."""
    notes = Notes()
    watch = Watch(pipeline, inquiry, notes, screen)
    screen.say(f"Sending {WEBHOOKS} webhooks, some scrambled, some forged.")
    screen.say("Fuse answers some calls with 500 or 429, some never, and breaks off others.")
    sending = asyncio.create_task(_send(pipeline.ingress_url, notes))
    try:
        await watch.until(lambda progress: progress.sent >= KILL_AFTER * WEBHOOKS, within=_SENT_WITHIN)
        _kill_one(pipeline, screen)
        await watch.until(lambda _: pipeline.is_shared or sending.done(), within=_SENT_WITHIN)
        screen.say(f"{pipeline.join().name} joins in its place.")
        await watch.until(lambda _: sending.done(), within=_SENT_WITHIN)
        screen.say("All sent. Waiting for what is still to be synced.")
        await watch.until(lambda progress: progress.nearly_done, within=_SYNCED_WITHIN)
    finally:
        sending.cancel()
    return await inquiry.verdict(notes.manifest(), _SYNCED_WITHIN)


async def _send(url: str, notes: Notes) -> Manifest:
    webhooks = generate(load_tenants(TENANTS_FILE, {}), MIX, SEED)
    return await send(islice(webhooks, WEBHOOKS), url, PACE, notes)


def _kill_one(pipeline: Pipeline, screen: Screen) -> None:
    victim = pipeline.members[0]
    held = len(victim.partitions)
    victim.child.kill()
    screen.say(
        f"Killed {victim.name} (process {victim.pid}) with SIGKILL; it held {held} partitions. "
        "Kafka gives them to the other one once it misses it."
    )
