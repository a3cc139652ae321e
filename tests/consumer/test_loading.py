"""Which handler a group runs: by name, with a clear sentence for each way in which the name can be wrong."""

import re
import sys
from pathlib import Path

import pytest

from consumer.handler import Context
from consumer.handlers.relay import Relay
from consumer.handlers.sync import SUPERSEDES, Sync
from consumer.loading import load_handler, superseded_by
from schemas.errors import ConfigurationError
from schemas.outcome import Applied, Ignored
from schemas.tenants import Tenants
from tests.consumer.fakes import event, settings

DOCS = Path(__file__).parents[2] / "docs" / "handlers.md"
CONTEXT = Context(idempotency_key="event-0:0", attempt=1)
number = 3


class Shop:
    """A handler that is an object."""

    supersedes = frozenset({"a"})

    async def __call__(self, *_: object) -> Applied:
        """Do nothing."""
        return Applied()


shop = Shop()


def plain(*_: object) -> int:
    """Open nothing."""
    return number


@pytest.mark.parametrize("name", ["notes:note", "notes:open_note"])
async def test_the_handlers_of_the_documentation_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word for word as they are printed, named directly and by what opens them."""
    (tmp_path / "notes.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "notes", raising=False)
    async with load_handler(name)(settings(), Tenants({})) as handler:
        assert await handler(event(), CONTEXT) == Ignored(reason="type_not_noted")
        assert await handler(event(type="financial_connection.disconnected"), CONTEXT) == Applied()
    assert sys.modules["notes"].seen == ["event-0:0 acme/one"]
    assert superseded_by(handler) == frozenset()


@pytest.mark.parametrize(("name", "kind", "superseded"), [("sync", Sync, SUPERSEDES), ("relay", Relay, frozenset())])
async def test_our_own_handlers_have_names(name: str, kind: type, superseded: frozenset[str]) -> None:
    """Only `sync` lets events be superseded."""
    async with load_handler(name)(settings(), Tenants({})) as handler:
        assert isinstance(handler, kind)
        assert superseded_by(handler) == superseded


async def test_an_object_can_be_a_handler() -> None:
    """With what it says it supersedes."""
    async with load_handler(f"{__name__}:shop")(settings(), Tenants({})) as handler:
        assert handler is shop
        assert superseded_by(handler) == {"a"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("snyc", "is no handler"),
        ("nowhere.at_all:handle", "cannot be imported"),
        (f"{__name__}:nothing", "has no nothing"),
        (f"{__name__}:number", "cannot be called"),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_opened(name: str, sentence: str) -> None:
    """So that a typing error costs seconds."""
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        load_handler(name)
    assert name in str(caught.value)


async def test_what_opens_no_handler_is_told() -> None:
    """A function that is not async is taken for an opener, and gives something else."""
    with pytest.raises(ConfigurationError, match="neither an async function"):
        async with load_handler(f"{__name__}:plain")(settings(), Tenants({})):
            pass
