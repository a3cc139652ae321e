"""Connections of which a few are hot: the n-th has a share in proportion to 1/n (Zipf)."""

import random
from collections.abc import Sequence
from itertools import accumulate


def connections(events: int, keys: int) -> Sequence[int]:
    """Draw a connection for each event, the same ones in every run; 0 is the hottest."""
    weights = [*accumulate(1 / (number + 1) for number in range(keys))]
    return random.Random(1).choices(range(keys), cum_weights=weights, k=events)
