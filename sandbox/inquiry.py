"""Ask a running fake Fuse what it received, over HTTP."""

import asyncio
import math

import aiohttp
from pydantic import TypeAdapter

from sandbox.admin import MAX_PAGE, PREFIX
from sandbox.calls import Call, read_calls
from sandbox.judge import Verdict, judge
from sandbox.ledger import Summary
from sandbox.manifest import Manifest
from sandbox.plan import Plan
from schemas.errors import ConfigurationError
from schemas.webhook import WebhookType

_SUMMARY: TypeAdapter[Summary] = TypeAdapter(Summary)
_POLL_SECONDS = 0.5


class Inquiry:
    """A fake Fuse at a base URL. Every method raises aiohttp.ClientError where it cannot be reached or refuses."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._root = f"{url.rstrip('/')}{PREFIX}"

    async def summary(self) -> Summary:
        """Ask for the counts."""
        async with self._session.get(f"{self._root}summary", raise_for_status=True) as response:
            return _SUMMARY.validate_json(await response.read())

    async def calls(self) -> list[Call]:
        """Ask for all calls. Raises ConfigurationError if the fake Fuse could not keep them all."""
        if (await self.summary()).unrecorded:
            raise ConfigurationError(
                ["the fake Fuse received more calls than it keeps: start it with a larger --keep."]
            )
        calls: list[Call] = []
        while page := await self._page(len(calls)):
            calls.extend(page)
        return calls

    async def follow(self, plan: Plan) -> None:
        """Replace the failure plan."""
        body = plan.model_dump_json()
        headers = {"Content-Type": "application/json"}
        async with self._session.put(f"{self._root}plan", data=body, headers=headers, raise_for_status=True):
            pass

    async def reset(self) -> None:
        """Forget all calls and begin the plan anew."""
        async with self._session.post(f"{self._root}reset", raise_for_status=True):
            pass

    async def verdict(self, manifest: Manifest, wait: float) -> Verdict:
        """Judge, once nothing accepted is missing and no call is open, or after `wait` seconds."""
        expected = sum(event.type == WebhookType.SYNC_DATA for event in manifest.accepted)
        before: Summary | None = None
        for _ in range(math.ceil(wait / _POLL_SECONDS)):
            summary = await self.summary()
            if summary.open == 0 and (summary.synced >= expected or summary == before):
                verdict = judge(manifest, await self.calls())
                if not verdict.lost:
                    return verdict
            before = summary
            await asyncio.sleep(_POLL_SECONDS)
        return judge(manifest, await self.calls())

    async def _page(self, first: int) -> list[Call]:
        parameters = {"from": str(first), "limit": str(MAX_PAGE)}
        async with self._session.get(f"{self._root}calls", params=parameters, raise_for_status=True) as response:
            return read_calls(await response.read())
