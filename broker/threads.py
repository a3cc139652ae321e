"""How librdkafka's threads share a core with ours."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def patient_threads() -> Iterator[None]:
    """Let the threads that are started within wait for the only core we have, instead of interrupting who has it.

    Kafka answers each produce request by itself, and each answer wakes a thread of librdkafka. An ordinary thread that
    wakes up gets a core at once; if there is but one, that is an interruption of the event loop, with caches to fill
    again, for every few records. As batch threads (sched(7)) they run when the loop waits or its time slice ends, and
    then find several answers. It needs no privilege. With more cores, elsewhere than on Linux, where it is refused, and
    under a policy that the operator has chosen, nothing changes. It is for the ingress: they wait for whoever else has
    the core, too, and what a member reads and writes takes several turns of them.
    """
    is_changed = _become(batch=True)  # threads inherit it from who starts them
    try:
        yield
    finally:
        if is_changed:
            _become(batch=False)


def _become(*, batch: bool) -> bool:
    """Make this thread a batch thread or an ordinary one, if it is the other; say whether that was done."""
    if sys.platform != "linux":
        return False
    was, becomes = (os.SCHED_OTHER, os.SCHED_BATCH) if batch else (os.SCHED_BATCH, os.SCHED_OTHER)
    try:
        if len(os.sched_getaffinity(0)) > 1 or os.sched_getscheduler(0) != was:
            return False
        os.sched_setscheduler(0, becomes, os.sched_param(0))
    except OSError:
        return False
    return True
