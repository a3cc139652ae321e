"""The simulation finds bugs: each mutant is caught, and without one nothing is."""

import pytest

from schemas.parked import Park
from tests.mutants.every import MUTANTS, catch_each
from tests.mutants.mutant import Mutant, replaced
from tests.simulation.run import Failure

pytestmark = pytest.mark.timeout(300)  # other work may share the cores
SEEDS = 600


@pytest.fixture(scope="module")
def caught() -> dict[str, Failure | None]:
    """Hunt all mutants once."""
    return dict(zip((mutant.name for mutant in MUTANTS), catch_each(SEEDS), strict=True))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(caught: dict[str, Failure | None], mutant: Mutant) -> None:
    """A rule whose absence goes unnoticed is not defended by the simulation."""
    assert caught[mutant.name] is not None, f"{mutant.name} survives: nothing defends the rule: {mutant.rule}"


def test_names_are_unique() -> None:
    """A name stands for one mutant."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_what_was_replaced_is_put_back() -> None:
    """A mutant leaves nothing behind, even if the run fails."""
    before = Park.model_dump
    with pytest.raises(KeyError), replaced(Park, "model_dump", None):
        raise KeyError
    assert Park.model_dump is before
