"""Which clock to believe: time that counts sleep, and whether the wall clock was set.

Three of them: `time.monotonic` stands still while the machine sleeps and is for waiting;
`boot_s` goes on then and is for how long something has been away; `models.utc_now` is for
people and for other processes, and may be set to anything at any time. A Raspberry Pi has no
clock of its own: it starts in the past and is set by the network a while later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from .models import iso, utc_now

log = logging.getLogger(__name__)

# What a wait that is late looks like on a busy machine is no sleep.
ASLEEP_S = 10.0
# Time servers mend seconds; this is another time.
SET_S = 3600.0
# What is older than anything that we noted is not believed before so long.
STEADY_AFTER_S = 24 * 3600.0
ABSENT_S = 24 * 3600.0


def boot_s() -> float:
    """Seconds since the machine started, those of its sleep, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class WallClock:
    """Compares the wall clock with the one that nobody can set.

    `known` is the latest moment that an earlier process noted: a clock far from it is to prove
    itself first, too. Safe from every thread; `look` is called every few seconds.
    """

    def __init__(
        self, known: datetime | None = None, now: Callable[[], datetime] = utc_now,
        boot: Callable[[], float] = boot_s, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._boot = boot
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._offset_s = now().timestamp() - boot()
        self._asleep_s = boot() - monotonic()
        self._doubted_s: float | None = None
        if known is not None:
            away_s = (now() - known).total_seconds()
            if not -SET_S <= away_s <= ABSENT_S:
                self._doubt(f"the last time that was noted is {iso(known)}")

    def look(self) -> float:
        """How long the machine slept since the last look; 0 when it did not."""
        with self._lock:
            self._compare()
            asleep_s = self._boot() - self._monotonic()
            slept_s, self._asleep_s = asleep_s - self._asleep_s, asleep_s
        return slept_s if slept_s > ASLEEP_S else 0.0

    def _compare(self) -> None:
        """With what it said when it was believed last: many small steps count, too."""
        set_by_s = self._now().timestamp() - self._boot() - self._offset_s
        if abs(set_by_s) > SET_S:
            self._offset_s += set_by_s
            self._doubt(f"was set by {set_by_s:+.0f} s")

    def _doubt(self, why: str) -> None:
        self._doubted_s = self._boot()
        log.warning("The clock says %s and %s: nothing is deleted for its age for the next "
                    "%.0f hours", iso(self._now()), why, STEADY_AFTER_S / 3600)

    @property
    def doubted_for_s(self) -> float:
        """How long it is still not to be believed; 0 when it is."""
        with self._lock:
            self._compare()
            if self._doubted_s is None:
                return 0.0
            return max(0.0, self._doubted_s + STEADY_AFTER_S - self._boot())
