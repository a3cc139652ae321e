"""The Fuse of the benchmarks: what it says of itself, and how it breaks down."""

import os
import time
import urllib.error
import urllib.request

import pytest

from benchmarks.member import ask, lean_fuse
from benchmarks.sync_calls import BODY, PATH


def _call(port: int) -> int:
    """Call it; give the status, and 0 if there is no connection."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", data=BODY, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - ours, on this machine
            status: int = answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0
    return status


@pytest.mark.parametrize(("how", "status"), [("down", 503), ("refuse", 0)])
def test_it_breaks_down_for_as_long_as_it_is_told(how: str, status: int) -> None:
    """An outage that does not happen would need no memory; and only calls that it served count."""
    with lean_fuse(0.0, os.sched_getaffinity(0)) as port:
        assert _call(port) == 200
        began = time.monotonic()
        ask(port, f"{how}/0.5")
        statuses = [_call(port)]
        while statuses[-1] != 200:
            statuses.append(_call(port))
        assert status in statuses
        assert set(statuses) == {status, 200}
        assert time.monotonic() - began >= 0.5
        assert ask(port, "count") == b"2"
