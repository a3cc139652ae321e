"""The member's page over HTTP: its paths, and what it does not do."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from broker.membership import client_id, page_address
from consumer.page import Page, open_page
from consumer.why.ask import ask
from consumer.why.asked import lane_key
from schemas.errors import ConfigurationError
from schemas.record import record_key
from tests.consumer.fakes import event, settings, until
from tests.consumer.stage import Stage, stage

WITHIN = aiohttp.ClientTimeout(total=30)


@asynccontextmanager
async def served(on: Stage | None) -> AsyncIterator[str]:
    """Serve the page of a member on a stage, or of one that has not started."""
    page = Page()
    if on is not None:
        page.show(on.member.view())
    async with open_page(settings(), page) as address:
        assert address is not None
        yield address


async def get(address: str, path: str, method: str = "GET") -> tuple[int, Mapping[str, Any]]:
    """Ask, and read the answer."""
    async with (
        aiohttp.ClientSession(timeout=WITHIN) as session,
        session.request(method, f"http://{address}{path}") as answer,
    ):
        body = await answer.json() if answer.content_type == "application/json" else {}
        return answer.status, body


async def test_a_member_that_has_not_started_lives_and_is_not_ready() -> None:
    """Its address is known before it joins the group."""
    async with served(None) as address:
        assert await get(address, "/healthz") == (200, {"status": "alive"})
        assert await get(address, "/readyz") == (503, {"ready": False, "reasons": ["has not started yet"]})
        assert (await get(address, "/state"))[0] == 503


async def test_a_member_answers_for_its_state_and_its_lanes() -> None:
    """Whatever characters a connection has; and a body is in no answer."""
    connection = 'odd /%2F "é'
    async with stage() as on, served(on) as address:
        await on.take(0)
        on.handler.hold("event-0")
        on.deliver(event(0, connection=connection, body=b'{"secret": "xyzzy"}'))
        await until(lambda: on.handler.inside)
        await on.commits()
        assert await get(address, "/readyz") == (200, {"ready": True, "reasons": []})
        status, state = await get(address, "/state")
        assert (status, [each["partition"] for each in state["partitions"]]) == (200, [0])
        lane = record_key("acme", connection).decode()
        answer = await asyncio.to_thread(ask, address, lane)
        assert answer is not None
        assert [each.head.stage for each in answer.lanes if each.head is not None] == ["call"]
        assert "xyzzy" not in str(state) + str(answer)
        on.handler.release("event-0")
        await until(on.log.ended)


async def test_nothing_can_be_changed() -> None:
    """Other methods and paths are refused."""
    async with served(None) as address:
        assert (await get(address, "/state", "POST"))[0] == 405
        assert (await get(address, "/lanes/acme/one", "DELETE"))[0] == 405
        assert (await get(address, "/"))[0] == 404


async def test_an_address_that_is_taken_is_a_fault_of_the_settings() -> None:
    """The start stops, with the names of the settings."""
    async with served(None) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match="FUSE_SYNC_MEMBER_HOST, FUSE_SYNC_MEMBER_PORT: cannot listen"):
            async with open_page(settings(member_port=port), Page()):
                """Never reached."""


async def test_no_page_is_served_where_none_is_wanted() -> None:
    """And then Kafka tells no address either."""
    async with open_page(settings(member_port=-1), Page()) as address:
        assert address is None
        assert client_id(address) == "fuse-sync"


async def test_what_does_not_answer_as_a_page_is_no_answer() -> None:
    """Nobody there, or somebody else."""
    assert await asyncio.to_thread(ask, "127.0.0.1:1", "acme/one") is None
    async with served(None) as address:
        assert await asyncio.to_thread(ask, address, "acme/one") is None


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("fuse-sync@127.0.0.1:8081", "127.0.0.1:8081"),
        ("fuse-sync@0.0.0.0:8081", "10.1.2.3:8081"),
        ("fuse-sync@:::8081", "10.1.2.3:8081"),
        ("fuse-sync", None),
        ("another@127.0.0.1:1", None),
        ("", None),
    ],
)
def test_the_address_is_found_from_what_kafka_tells(client: str, address: str | None) -> None:
    """A page on all addresses is looked for where Kafka sees the member."""
    assert page_address(client, "/10.1.2.3") == address


@pytest.mark.parametrize("connection", ["plain-1", "a/b", 'odd "é', "", "%"])
def test_a_lane_is_found_by_its_key_as_logs_have_it(connection: str) -> None:
    """What is encoded is not encoded again."""
    key = record_key("acme", connection)
    assert lane_key(key.decode()) == key


def test_a_lane_is_found_by_the_connection_as_fuse_has_it() -> None:
    """What is not encoded yet is."""
    assert lane_key('acme/odd "é') == record_key("acme", 'odd "é')
