"""How long all the requests of one piece of work may take together, redirects included.

Set by who asks (`url`), held by the adapter (`sessions`) and by who reads a body. It belongs to
the thread: a capture reads with the same session, in threads of its own, and has no such end.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """Requests of this thread that are not over `limit_s` from now fail. Inside another one
    the nearer end holds."""
    before_s = until_s()
    _here.until_s = min(before_s, time.monotonic() + limit_s)
    try:
        yield
    finally:
        _here.until_s = before_s


def until_s() -> float:
    """The end, on the monotonic clock; infinite where nobody set one."""
    found: float = getattr(_here, "until_s", math.inf)
    return found


def left_s() -> float:
    """Seconds until then; less than nothing when it is over."""
    return until_s() - time.monotonic()
