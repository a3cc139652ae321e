"""Limits: the settings as the engine wants them."""

from consumer.engine.doors import Doors
from consumer.engine.hold import HoldPolicy
from consumer.engine.policy import Bounds, Policy
from consumer.engine.retry import Backoff, LaneBudget, ParkedBudget
from schemas.settings import ConsumerSettings

_TURNS_SHARE = 4
"""A quarter of the calls in flight may be for parked events: however many wait there, new ones are called too."""


def lane_budget(settings: ConsumerSettings) -> LaneBudget:
    """Say how long an event is tried in its lane."""
    backoff = Backoff(initial=settings.retry_initial_seconds, most=settings.retry_max_seconds)
    return LaneBudget(backoff=backoff, attempts=settings.retry_attempts, seconds=settings.retry_seconds)


def hold_policy(settings: ConsumerSettings) -> HoldPolicy:
    """Say when calls to a destination are held."""
    return HoldPolicy(
        share=settings.hold_failure_share,
        failures=settings.hold_min_failures,
        window=int(settings.hold_window_seconds * 1000),
        probe=int(settings.hold_probe_seconds * 1000),
        ramp=settings.hold_ramp_per_second,
        ramp_time=int(settings.hold_ramp_seconds * 1000),
    )


def policy(settings: ConsumerSettings, *, tenants: int, supersedes: frozenset[str]) -> Policy:
    """Say how events are treated; `supersedes` are the types that the handler lets be superseded.

    Where there is one tenant alone, nobody else needs a share of the memory.
    """
    return Policy(
        parked=ParkedBudget(
            backoff=Backoff(initial=settings.parked_initial_seconds, most=settings.parked_max_seconds),
            attempts=settings.parked_attempts,
            seconds=settings.parked_seconds,
        ),
        lane_waiting=settings.lane_max_waiting,
        tenant_share=settings.tenant_max_held_share if tenants > 1 else 1.0,
        supersede=supersedes if settings.supersede else frozenset(),
        parked_span=settings.parked_log_span,
        doors=Doors(int(settings.tenant_probe_seconds * 1000)),
    )


def share(settings: ConsumerSettings, partitions: int) -> Bounds:
    """Share what a member may hold among so many partitions."""
    return Bounds(
        events=max(1, settings.max_held_events // partitions),
        bytes=max(1, settings.max_held_bytes // partitions),
        distance=settings.max_frontier_distance,
        turns=max(1, settings.max_in_flight // (_TURNS_SHARE * partitions)),
        scratch=max(1, settings.scratch_max_bytes // partitions),
    )
