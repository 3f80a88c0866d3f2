"""When a platform may be asked again: its pace, its limits, and rest after failures.

Pure but for what it remembers: the time is handed in. The supervisor keeps one `Pace` per
platform and asks it before every request to that platform.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Trouble

REST_S = 30.0
REST_MAX_S = 600.0
# What platforms ask for is honoured, within reason: a mistaken header must not blind us.
ASKED_MAX_S = 3600.0
# Single failures are a channel's own; so many in a row, of several channels, are the platform's.
FAILURES_MAX = 5
# These say of the platform (or of us, to it) what holds for every channel.
OF_ALL = (Trouble.BLOCKED, Trouble.RATE_LIMITED)


@dataclass
class Pace:
    """`spacing_s` apart at least; after platform-wide trouble nothing for a while, longer each
    time, and then one request alone until one succeeds."""

    spacing_s: float = 0.0
    shared: bool = True
    not_before_s: float = 0.0
    rests: int = 0
    failed_in_a_row: int = 0
    _last_s: float = float("-inf")
    _trying: bool = False

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the next request may go; None while the one that tries is out."""
        if self._trying:
            return None
        return max(0.0, self.not_before_s - now_s, self._last_s + self.spacing_s - now_s)

    def asked(self, now_s: float) -> None:
        """A request goes out."""
        self._last_s = now_s
        self._trying = self.rests > 0

    def withdrawn(self) -> None:
        """It did not go out after all."""
        self._trying = False

    def succeeded(self) -> None:
        self.rests = self.failed_in_a_row = 0
        self._trying = False

    def failed(self, now_s: float, trouble: Trouble, asked_s: float | None, whole: bool,
               jitter: float) -> None:
        """`asked_s` is what the platform asked us to wait; `whole` says that it was the
        request that failed and not one channel in it; `jitter` is from 0 to 1."""
        trying, self._trying = self._trying, False
        self.failed_in_a_row += 1
        if not self.shared:
            return
        tired = whole or trying or self.failed_in_a_row >= FAILURES_MAX
        if trouble in OF_ALL or (tired and trouble is Trouble.ERROR):
            rest_s = min(REST_MAX_S, REST_S * 2.0 ** min(self.rests, 10)) * (0.9 + 0.2 * jitter)
            if asked_s is not None:
                rest_s = max(asked_s, 1.0) if asked_s <= ASKED_MAX_S else ASKED_MAX_S
            self.not_before_s = max(self.not_before_s, now_s + rest_s)
            self.rests += 1


def spread_s(position: int, count: int, interval_s: float, jitter: float) -> float:
    """When one of `count` channels is due in its interval after a long silence: all of them
    evenly, each a little beside its place, so that they never come as one burst."""
    return (position + jitter) / max(1, count) * interval_s
