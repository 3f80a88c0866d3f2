"""When a platform may be asked again: its pace, its limits, and rest after failures.

Pure but for what it remembers: the time is handed in. The supervisor keeps one `Pace` per
platform and asks it before every request to that platform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .errors import Trouble

REST_S = 30.0
REST_MAX_S = 600.0
# What platforms ask for is honoured, within reason: a mistaken header must not blind us.
ASKED_MAX_S = 3600.0
# Single failures are a channel's own; so many in a row, of several channels, are the platform's.
FAILURES_MAX = 5
# These say of the platform (or of us, to it) what holds for every channel.
OF_ALL = (Trouble.BLOCKED, Trouble.RATE_LIMITED)
# With these the platform answered well enough: the trouble is a channel's, or a login's.
OF_ONE = (Trouble.NOT_FOUND, Trouble.RESTRICTED, Trouble.LOGIN_EXPIRED)


@dataclass(frozen=True, eq=False)
class Asked:
    """A request that is out, and since when."""

    at_s: float


@dataclass
class Pace:
    """`spacing_s` apart at least; after platform-wide trouble nothing for a while, longer each
    time, and then one request alone until one succeeds.

    `not_before_s` is the end of the rest, `wish_until_s` of what the platform itself asked
    for. What was asked before a rest began neither prolongs nor ends it: several requests are
    out when a platform fails, and that is one failure.
    """

    spacing_s: float = 0.0
    shared: bool = True
    not_before_s: float = -math.inf
    wish_until_s: float = -math.inf
    rests: int = 0
    failed_in_a_row: int = 0
    _last_s: float = -math.inf
    _began_s: float = -math.inf
    _trying: Asked | None = field(default=None, repr=False)

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the next request may go; None while the one that tries is out."""
        if self._trying is not None:
            return None
        return max(0.0, self.not_before_s - now_s, self._last_s + self.spacing_s - now_s)

    def resume(self, now_s: float, left_s: float) -> None:
        """Go on with a rest of an earlier process. It is bounded here, too: a clock that was
        wrong then or is now (a Pi has none of its own) may make years of it."""
        self.not_before_s = self.wish_until_s = now_s + min(left_s, ASKED_MAX_S)
        self.rests, self._began_s = 1, now_s

    def asked(self, now_s: float) -> Asked:
        """A request goes out. What comes of it is told with what this returns."""
        asked = Asked(now_s)
        self._last_s = now_s
        if self.rests and self._trying is None:
            self._trying = asked
        return asked

    def withdrawn(self, asked: Asked) -> None:
        """It did not go out after all."""
        if self._trying is asked:
            self._trying = None

    def succeeded(self, asked: Asked) -> None:
        self.withdrawn(asked)
        if asked.at_s < self._began_s:
            return
        self.rests = self.failed_in_a_row = 0
        self.not_before_s = self.wish_until_s

    def failed(self, asked: Asked, now_s: float, trouble: Trouble, retry_after_s: float | None,
               whole: bool, jitter: float) -> bool:
        """Whether it was the platform that failed, which rests now, and not one channel.

        `retry_after_s` is what the platform asked us to wait; `whole` says that a request for
        several channels failed and not one channel in it; `jitter` is from 0 to 1.
        """
        tried = self._trying is asked
        if trouble in OF_ONE and retry_after_s is None:
            self.succeeded(asked)
            return False
        self.withdrawn(asked)
        if not self.shared:
            return False
        if retry_after_s is not None:
            self.wish_until_s = max(
                self.wish_until_s, now_s + min(max(retry_after_s, 1.0), ASKED_MAX_S))
            self.not_before_s = max(self.not_before_s, self.wish_until_s)
        if asked.at_s < self._began_s:
            return True
        self.failed_in_a_row += 1
        tired = whole or tried or self.failed_in_a_row >= FAILURES_MAX
        if trouble not in OF_ALL and retry_after_s is None and not tired:
            return False
        self._rest(now_s, retry_after_s is not None, jitter)
        return True

    def _rest(self, now_s: float, wished: bool, jitter: float) -> None:
        """A wish is taken at its word once; who keeps to it and is refused all the same waits
        longer each time."""
        steps = self.rests - wished
        if steps >= 0:
            rest_s = min(REST_MAX_S, REST_S * 2.0 ** min(steps, 10)) * (0.9 + 0.2 * jitter)
            self.not_before_s = max(self.not_before_s, now_s + rest_s)
        self._began_s = now_s
        self.rests += 1
