"""Draining: let every lane of the old layout end before anything of the new one is handled.

A source that gets more partitions moves keys: the events of one connection then lie in two partitions, the older ones
in the old place. `gate.py` lets through to a member only what comes before the first record that was moved in;
`progress.py` says when nothing of the old layout is left, `look.py` finds that out from Kafka alone, and `until.py`
waits for it.
"""
