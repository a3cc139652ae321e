"""What a group's handler sees: everything, but for what was sent again for another group alone."""

import pytest

from consumer.handler import ANOTHER_GROUP, AddressedTo, Context, destination_of
from schemas.outcome import Applied, HandlerResult, Ignored
from tests.consumer.fakes import ScriptedHandler, event


@pytest.mark.parametrize(
    ("group", "result"), [(None, Applied(status=200)), ("sync", Applied(status=200)), ("other", None)]
)
async def test_what_was_sent_again_for_another_group_is_ignored_and_never_handled(
    group: str | None, result: HandlerResult | None
) -> None:
    """A replay repairs one group; the others must not call anybody again."""
    handler = ScriptedHandler()
    given = event(generation=1, group=group)
    handled = await AddressedTo(group="sync", handler=handler)(given, Context(idempotency_key="key", attempt=1))
    assert isinstance(handled, Applied if result else Ignored)
    assert len(handler.attempts) == (1 if result else 0)
    if isinstance(handled, Ignored):
        assert handled.reason == ANOTHER_GROUP


async def test_the_destination_of_what_is_handled_stays_known() -> None:
    """Else a hold would never apply; for what is ignored there is none."""
    handler = ScriptedHandler(destinations={"acme": "http://fuse"})
    addressed = AddressedTo(group="sync", handler=handler)
    whom = destination_of(addressed)
    assert whom(event()) == "http://fuse"
    assert whom(event(generation=1, group="other")) is None
