"""The engine's cost per event stays what it was, within what machines and noise explain."""

from benchmarks.guard import ALLOWED, COSTS, costs


def test_an_event_costs_the_engine_no_more_than_it_did() -> None:
    """When this fails after a change on purpose, `python -m benchmarks.guard` gives the new costs."""
    measured = costs()
    slower = {name: (cost, COSTS[name]) for name, cost in measured.items() if cost > ALLOWED * COSTS[name]}
    assert not slower, f"measured and allowed for, in turns of the loop: {slower}"
