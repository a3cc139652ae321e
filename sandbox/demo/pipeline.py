"""The pipeline on this machine: the sandbox's Fuse, an ingress and members of a group, each a process of its own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import sandbox
from sandbox.demo.child import Child, ChildEnded
from sandbox.demo.member import Member, log_fields
from sandbox.plan import Plan
from schemas.settings import ENVIRON, PREFIX, variable
from schemas.telemetry import LogEvent

TENANTS_FILE = Path(sandbox.__file__).with_name("tenants.toml")
HOST = "127.0.0.1"
READY_SECONDS = 60.0
_POLL_SECONDS = 0.05
_LISTENING = b"listening on "


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where and how a pipeline runs.

    `topic` has to be nobody else's. `settings` are settings by their names, above the pipeline's own; `kept` are
    variables of this process's environment that its processes inherit although they are settings.
    """

    bootstrap_servers: str
    topic: str
    plan: Plan = field(default_factory=Plan)
    settings: Mapping[str, object] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


class Pipeline:
    """A running pipeline. `members` holds all that ever joined, those that have ended too.

    `partitions` is how many the topic has: to be set by whoever extends it.
    """

    def __init__(self, site: Site, directory: Path) -> None:
        self._site = site
        self._directory = directory
        self._children: list[Child] = []
        self.members: list[Member] = []
        self.fuse_url = ""
        self.ingress_url = ""
        self.partitions = int(str(self._settings()["topic_partitions"]))

    @property
    def running(self) -> list[Member]:
        """The members that have neither ended nor been asked to."""
        return [member for member in self.members if member.child.running and not member.child.expected_to_end]

    async def begin(self, members: int) -> None:
        """Start everything, and wait until it answers and the members have shared all partitions."""
        plan = self._directory / "plan.json"
        plan.write_text(self._site.plan.model_dump_json(), encoding="utf-8")
        fuse = self._start(
            "fuse", "sandbox", "fuse", "--tenants", str(TENANTS_FILE), "--port", "0", "--plan", str(plan)
        )
        self.fuse_url = await fuse.say(_fuse_url, READY_SECONDS)
        self._ingress = self._start("ingress", "ingress")
        for _ in range(members):
            self.join()
        self.ingress_url = await self._ingress.say(_ingress_url, READY_SECONDS)
        await self.shared()

    async def restart_ingress(self) -> None:
        """End the ingress, and start another at another address."""
        self._ingress.terminate()
        await self._ingress.ended(READY_SECONDS)
        self._ingress = self._start("ingress-restarted", "ingress")
        self.ingress_url = await self._ingress.say(_ingress_url, READY_SECONDS)

    def join(self, *options: str, **settings: object) -> Member:
        """Start another member, with options of the command, and settings of its own by their names."""
        child = self._start(f"consumer-{len(self.members) + 1}", "consumer", "run", *options, **settings)
        member = Member(child)
        self.members.append(member)
        return member

    async def shared(self) -> None:
        """Wait until each partition is held by one of the running members, and each of them holds some."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not self.is_shared:
                    self.check()
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            held = {member.name: sorted(member.partitions) for member in self.running}
            raise ChildEnded(f"the members did not share the partitions in {READY_SECONDS:.0f} s: {held}") from None

    def check(self) -> None:
        """Look at every process. Raises ChildEnded for one that ended without having been asked to."""
        for child in self._children:
            child.check()
        for member in self.members:
            member.follow()

    def remove(self) -> None:
        """End all processes at once."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.remove()

    @property
    def is_shared(self) -> bool:
        """Say whether each partition is held by one of the running members, and each of them holds some."""
        held = [member.partitions for member in self.running]
        return all(held) and sorted(chain.from_iterable(held)) == list(range(self.partitions))

    def log(self, name: str) -> list[Mapping[str, object]]:
        """Read the whole log of a process."""
        return [log_fields(line) for line in (self._directory / f"{name}.log").read_bytes().splitlines()]

    def _start(self, name: str, *arguments: str, **own: object) -> Child:
        settings = {**self._settings(), **own}
        child = Child(
            name,
            arguments,
            environment={variable(setting): str(value) for setting, value in settings.items()},
            without=[other for other in ENVIRON if other.startswith(PREFIX) and other not in self._site.kept],
            directory=self._directory,
        )
        self._children.append(child)
        return child

    def _settings(self) -> dict[str, object]:
        return {
            "kafka_bootstrap_servers": self._site.bootstrap_servers,
            "topic": self._site.topic,
            "topic_partitions": 12,
            "tenants_file": TENANTS_FILE,
            "group": "sync",
            "fuse_sandbox_url": self.fuse_url or f"http://{HOST}",
            "fuse_production_url": self.fuse_url or f"http://{HOST}",
            "ingress_host": HOST,
            "ingress_port": 0,
            "log_format": "json",
            "log_level": "info",
            **self._site.settings,
        }


@asynccontextmanager
async def open_pipeline(site: Site, *, members: int) -> AsyncIterator[Pipeline]:
    """Run a pipeline with so many members; at the end its processes and files are gone. Raises ChildEnded."""
    with tempfile.TemporaryDirectory(prefix="fuse-sync-demo-") as directory:
        pipeline = Pipeline(site, Path(directory))
        try:
            await pipeline.begin(members)
            yield pipeline
        finally:
            pipeline.remove()


def _fuse_url(line: bytes) -> str | None:
    return line.removeprefix(_LISTENING).decode().strip() if line.startswith(_LISTENING) else None


def _ingress_url(line: bytes) -> str | None:
    fields = log_fields(line)
    return f"http://{HOST}:{fields['port']}" if fields.get("event") == LogEvent.INGRESS_STARTED else None
