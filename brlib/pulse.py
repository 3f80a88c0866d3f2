"""Whether a loop moves: since when its present turn runs, and where its thread is.

Every `Worker` and every recording's thread has a `Pulse`; health and the watchdog look at it.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable


class Pulse:
    """`with pulse:` around each turn of a loop. `max_s` is how long a turn may take: longer
    than the deadlines in it together. None: as long as it likes.

    By the monotonic clock, so that a machine that slept has nobody stuck.
    """

    def __init__(
        self, max_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_s = max_s
        self._clock = clock
        self._begun_s: float | None = None

    def __enter__(self) -> None:
        self._begun_s = self._clock()

    def __exit__(self, *exc_info: object) -> None:
        self._begun_s = None

    @property
    def busy_s(self) -> float:
        """How long the present turn has been going on; 0 between two."""
        begun_s = self._begun_s
        return 0.0 if begun_s is None else self._clock() - begun_s

    @property
    def stuck(self) -> bool:
        return self._max_s is not None and self.busy_s > self._max_s


def stack_of(thread_name: str) -> str:
    """Where a thread is at this moment, innermost call last; "" where there is none."""
    idents = {thread.name: thread.ident for thread in threading.enumerate()}
    frame = sys._current_frames().get(idents.get(thread_name) or 0)
    return "" if frame is None else "".join(traceback.format_stack(frame)).rstrip()
