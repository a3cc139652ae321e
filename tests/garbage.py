"""What is left to the garbage collector: it comes rarely, and until then bodies stay in memory."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def frames_left() -> Iterator[Counter[str]]:
    """Count, at the end, the frames of functions that only a garbage collection frees, and what they hold with them."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(each.f_code.co_qualname for each in gc.garbage if isinstance(each, FrameType))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
