"""What one thread does in turn, each part on its own: one that fails keeps no other from its turn.

Used by `credentials`, whose worker has one thread for all logins.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

log = logging.getLogger(__name__)

BACKOFF_MAX_S = 60.0
FORGOTTEN_S = 60.0


class Part:
    """`step` does one thing and returns the seconds to wait. What escapes from it is logged
    once per message and backed off, as a `Worker` does, and forgotten a minute later: in between
    it may well see to something else."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._name = name
        self._step = step
        self._failures = 0
        self._failed_s = self._again_s = -math.inf
        self._error: str | None = None

    @property
    def problem(self) -> str | None:
        """What fails now, for health."""
        return None if self._error is None else f"{self._name} cannot be seen to: {self._error}"

    def turn(self, now_s: float) -> float:
        """One step, if it is time for one; seconds until the next. `now_s` is monotonic."""
        if now_s < self._again_s:
            return self._again_s - now_s
        try:
            wait_s = self._step()
        except Exception as error:
            self._failures += 1
            message = f"{type(error).__name__}: {error}"
            if message != self._error:
                log.exception("%s cannot be seen to; it is tried again", self._name)
            self._error, self._failed_s = message, now_s
            wait_s = min(BACKOFF_MAX_S, 0.5 * 2.0 ** min(self._failures, 8))
            self._again_s = now_s + wait_s
            return wait_s
        self._failures = 0
        if now_s - self._failed_s >= FORGOTTEN_S:
            self._error = None
        return wait_s
