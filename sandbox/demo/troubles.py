"""What the demo sends, and how Fuse fails meanwhile."""

from sandbox.generator import Mix
from sandbox.plan import Answer, Hang, Plan, Reset, Rule
from sandbox.sender import Pace

WEBHOOKS = 5_000
KILL_AFTER = 0.35
"""The share of the webhooks after which a member is killed."""
SEED = 2026

MIX = Mix(connections=800, forged_share=0.04, scrambled_share=0.25, other_share=0.1)
PACE = Pace(rate=320.0)

CALL_TIMEOUT_SECONDS = 2.0
PLAN = Plan(
    seed=SEED,
    delay=(0.02, 0.12),
    rules=(
        Rule(share=0.03, first_attempts=2, action=Answer(do="answer", status=500)),
        Rule(share=0.01, first_attempts=2, action=Answer(do="answer", status=429, retry_after=2)),
        Rule(
            share=0.01,
            first_attempts=2,
            action=Answer(do="answer", status=429, retry_after=1, retry_after_form="date"),
        ),
        Rule(share=0.01, first_attempts=1, action=Hang(do="hang")),
        Rule(share=0.01, first_attempts=1, action=Reset(do="reset")),
    ),
)

SETTINGS = {
    "session_timeout_seconds": 6,
    "call_timeout_seconds": CALL_TIMEOUT_SECONDS,
    "retry_initial_seconds": 0.2,
    "retry_max_seconds": 2,
}
