"""What the sandbox's tests share: the demo's tenants, and a fake Fuse on a port."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from pathlib import Path

import aiohttp
import pytest

import sandbox
from sandbox.fuse import FakeFuse
from sandbox.generator import GeneratedWebhook, Mix, generate
from sandbox.inquiry import Inquiry
from sandbox.inspection import SYNC_PATH, know
from sandbox.plan import Plan
from sandbox.server import serving
from schemas.event import Environment
from schemas.tenants import Tenants, load_tenants

TENANTS_FILE = Path(sandbox.__file__).with_name("tenants.toml")


class Caller:
    """A client of a fake Fuse that sends what a right sync call has, and whatever else it is told."""

    def __init__(self, session: aiohttp.ClientSession, url: str, fuse: FakeFuse, tenants: Tenants) -> None:
        self.session = session
        self.url = url
        self.fuse = fuse
        self.inquiry = Inquiry(session, url)
        self._tenants = tenants

    def headers(self, webhook: GeneratedWebhook, key: str = "event:0") -> dict[str, str]:
        """Give the headers of a right call."""
        account = self._tenants[webhook.tenant].accounts[Environment.SANDBOX]
        return {
            **webhook.headers,
            **{name: secret.get_secret_value() for name, secret in account.credentials.items()},
            "Fuse-Client-Id": account.client_id.get_secret_value(),
            "Fuse-Api-Key": account.api_key.get_secret_value(),
            "Idempotency-Key": key,
        }

    async def sync(
        self, webhook: GeneratedWebhook, headers: dict[str, str], *, path: str = SYNC_PATH, method: str = "POST"
    ) -> aiohttp.ClientResponse:
        """Make a call and read its answer."""
        async with self.session.request(method, self.url + path, data=webhook.body, headers=headers) as response:
            await response.read()
            return response


Calling = Callable[[Plan], AbstractAsyncContextManager[Caller]]


@pytest.fixture(scope="session")
def tenants() -> Tenants:
    """Read the demo's tenants."""
    return load_tenants(TENANTS_FILE, {})


@pytest.fixture
def webhook(tenants: Tenants) -> GeneratedWebhook:
    """Make one genuine webhook of a tenant with an account in Fuse's sandbox."""
    webhooks = generate(tenants, Mix(connections=1, other_share=0, tenants=("borealis",)), seed=1)
    return next(islice(webhooks, 1))


@pytest.fixture
def calling(tenants: Tenants) -> Calling:
    """Give a context manager that serves a fake Fuse with a plan, and a caller of it."""

    @asynccontextmanager
    async def open_(plan: Plan) -> AsyncIterator[Caller]:
        fuse = FakeFuse(accounts=know(tenants), plan=plan)
        async with serving(fuse) as url, aiohttp.ClientSession() as session:
            yield Caller(session, url, fuse, tenants)

    return open_
