"""Whose turn it is: channels that are due, in batches, at each platform's pace.

Asked by the supervisor once a second, and told by its checks what came of each request.
Rests outlast a restart.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from ..errors import PlatformError, Trouble
from ..models import Channel, iso
from ..pacing import OF_ALL, Asked, Pace
from ..platforms import Checked, Platform
from ..store import Store
from .base import Clocks, Watches

log = logging.getLogger(__name__)

# Between two requests, in whole seconds, as the loop's rounds are. YouTube serves a guest
# about 1000 pages an hour and then none for up to an hour; Kick has allowed an app 20 requests
# a minute, and guards its site. With more channels than fit the rounds take longer.
SPACING_S = {"twitch": 1.0, "kick": 3.0, "youtube": 4.0}
# An address is nobody's but its own: what one of them does says nothing of the others.
UNSHARED = ("url",)
TITLES = {"twitch": "Twitch", "kick": "Kick", "youtube": "YouTube"}
# A batch takes along what would be due so soon (of the interval), so that batches stay full.
EARLY = 0.25
# What is due and not wanted (paused, say) is looked at again then.
UNWANTED_S = 5.0


class Rota:
    def __init__(
        self, platforms: Mapping[str, Platform], store: Store, clocks: Clocks
    ) -> None:
        self._platforms = platforms
        self._store = store
        self._clock = clocks.clock
        self._now = clocks.now
        self._jitter = clocks.jitter
        # Asked from the loop, told from the checks' threads.
        self._lock = threading.Lock()
        self._paces = {name: self._pace(name) for name in platforms}
        self._said: dict[str, str] = {}

    def _pace(self, name: str) -> Pace:
        """With the rest that an earlier process was asked for."""
        pace = Pace(SPACING_S.get(name, 0.0), shared=name not in UNSHARED)
        until = self._store.rests.find(name)
        if until is not None and (left_s := (until - self._now()).total_seconds()) > 0:
            pace.resume(self._clock(), left_s)
        return pace

    def batch(
        self, name: str, channels: Iterable[Channel], watches: Watches, interval_s: float,
        wanted: Callable[[Channel], bool],
    ) -> list[Channel]:
        """Who is to be asked for now, in one request; empty when nobody or not yet."""
        now_s, size = self._clock(), self._platforms[name].batch_size
        with self._lock:
            if self._paces[name].wait_s(now_s) != 0.0:
                return []
        until_s = now_s + (EARLY * interval_s if size > 1 else 0.0)
        found: list[tuple[float, Channel]] = []
        due = False
        for channel in channels:
            watch = watches.find(channel.id)
            if watch is None or watch.out or watch.due_s > until_s:
                continue
            if wanted(channel):
                found.append((watch.due_s, channel))
                due = due or watch.due_s <= now_s
            else:
                watch.due_s = now_s + UNWANTED_S
        if not due:
            return []
        found.sort(key=lambda one: one[0])
        return [channel for _, channel in found[:size]]

    def asked(self, name: str) -> Asked:
        with self._lock:
            return self._paces[name].asked(self._clock())

    def withdrawn(self, name: str, asked: Asked) -> None:
        """The request did not go out after all."""
        with self._lock:
            self._paces[name].withdrawn(asked)

    def answered(self, name: str, asked: Asked, answers: Sequence[Checked]) -> bool:
        """What the answers for each channel say of the platform: whether it is the platform
        that failed, and rests now."""
        errors = [answer for answer in answers if isinstance(answer, PlatformError)]
        grave = [error for error in errors if _of_all(error)]
        if grave:
            return self.failed(name, asked, max(grave, key=_asked_s), whole=False)
        if len(errors) < len(answers):
            with self._lock:
                self._paces[name].succeeded(asked)
            return False
        # One that says nothing of the platform is an answer of its.
        return self.failed(name, asked, max(errors, key=_answered), whole=False)

    def failed(self, name: str, asked: Asked, error: PlatformError, whole: bool) -> bool:
        """Whether it is the platform that failed, and rests now. `whole`: the request failed,
        and was for several channels."""
        with self._lock:
            pace, now_s = self._paces[name], self._clock()
            before_s = pace.not_before_s
            rests = pace.failed(
                asked, now_s, error.trouble, error.retry_after_s, whole, self._jitter())
            left_s = pace.not_before_s - now_s
            if pace.not_before_s <= max(before_s, now_s):
                return rests
            self._said[name] = str(error)
        log.warning("%s is not asked for %.0f s: %s", TITLES.get(name, name), left_s, error)
        try:
            self._store.rests.keep(name, self._now() + timedelta(seconds=left_s))
        except sqlite3.Error as trouble:
            # It holds for this process all the same.
            log.warning("The rest of %s cannot be stored: %s", name, trouble)
        return rests

    def refuse_while_wished(self, name: str) -> None:
        """Raises PlatformError while the platform asked us to wait. A person may try to cut
        short a rest of our own, not that."""
        with self._lock:
            left_s = self._paces[name].wish_until_s - self._clock()
            said = self._said.get(name)
        if left_s > 0:
            until = iso(self._now() + timedelta(seconds=math.ceil(left_s)))
            raise PlatformError(
                f"{TITLES.get(name, name)} asked not to be asked until {until}; checks go on "
                "by themselves then" + (f" ({said})" if said else ""),
                Trouble.RATE_LIMITED, left_s)

    def problems(self) -> list[str]:
        """The platforms that are not asked for longer, and why: their channels show what was
        known before."""
        now_s = self._clock()
        with self._lock:
            return [f"{TITLES.get(name, name)} is not asked for {pace.not_before_s - now_s:.0f} s"
                    f": {self._said.get(name, 'as it asked before the restart')}"
                    for name, pace in self._paces.items()
                    if pace.not_before_s > now_s
                    and (pace.rests > 1 or pace.wish_until_s > now_s)]


def _of_all(error: PlatformError) -> bool:
    return error.trouble in OF_ALL or error.retry_after_s is not None


def _asked_s(error: PlatformError) -> float:
    return error.retry_after_s or 0.0


def _answered(error: PlatformError) -> bool:
    return error.trouble is not Trouble.ERROR
