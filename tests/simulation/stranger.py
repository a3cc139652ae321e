"""A stranger: writes marks into the logs of the group, as a second installation with the same topics would.

What it may not do is to write one between an owner's mark and that owner's parks, with a higher epoch: those would be
void, and nothing but the refusal of commits, which a stranger does not bring about, keeps such an owner from going on.
"""

from consumer.engine.commands import Log
from schemas.outcome import Taken
from tests.simulation.facts import Facts
from tests.simulation.world import World

_OFTEN = 0.05


def come(world: World, owner: Facts) -> None:
    """Now and then, write a mark while the owner that just claimed has none: not lower than what it claimed."""
    for log, marked in ((Log.OUTCOMES, owner.marked_epoch), (Log.PARKED, owner.parked_marked_epoch)):
        if marked < owner.claimed_epoch and world.network.chance(_OFTEN):
            _mark(world, owner, log)


def _mark(world: World, owner: Facts, log: Log) -> None:
    above = world.rng.choice((0, 0, 1, 3))
    name = world.rng.choice((owner.member, "stranger"))
    taken = Taken(epoch=owner.claimed_epoch + above, member=name)
    world.note(name, lambda: f"{log}[{owner.partition}] = taken(epoch {taken.epoch}), by a stranger")
    world.audit.stranger_landed(owner.partition, log, taken)
    world.seen(f"stranger's mark of {'a higher' if above else 'the same'} epoch in {log}")
    if name == owner.member:
        world.seen("stranger's mark in the owner's name")
