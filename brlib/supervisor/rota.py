"""Whose turn it is: channels that are due, in batches, at each platform's pace.

Asked by the supervisor once a second. Rests that a platform imposed outlast a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from ..errors import PlatformError
from ..models import Channel, utc_now
from ..pacing import Pace
from ..platforms import Platform
from ..store import Store
from .base import Watch

# Between two requests. One request of Twitch's and Kick's asks for up to a hundred channels.
SPACING_S = {"twitch": 1.0, "kick": 1.0, "youtube": 0.3}
# An address is nobody's but its own: what one of them does says nothing of the others.
UNSHARED = ("url",)
# A batch takes along what would be due so soon (of the interval), so that batches stay full.
EARLY = 0.25


class Rota:
    def __init__(
        self, platforms: Mapping[str, Platform], store: Store, clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._platforms = platforms
        self._store = store
        self._clock = clock
        self._jitter = jitter
        self._paces = {name: self._pace(name) for name in platforms}

    def _pace(self, name: str) -> Pace:
        """With the rest that an earlier process was asked for."""
        pace = Pace(SPACING_S.get(name, 0.0), shared=name not in UNSHARED)
        until = self._store.rests.find(name)
        if until is not None and (left_s := (until - utc_now()).total_seconds()) > 0:
            pace.not_before_s, pace.rests = self._clock() + left_s, 1
        return pace

    def batch(
        self, name: str, channels: Iterable[Channel], watches: Mapping[str, Watch],
        interval_s: float,
    ) -> list[Channel]:
        """Who is to be asked for now, in one request; empty when nobody or not yet."""
        now_s, size = self._clock(), self._platforms[name].batch_size
        free = [c for c in channels if not watches[c.id].checking]
        due = [c for c in free if watches[c.id].due_s <= now_s]
        if not due or self._paces[name].wait_s(now_s) != 0.0:
            return []
        if size > 1:
            early_s = now_s + EARLY * interval_s
            due = [c for c in free if watches[c.id].due_s <= early_s]
        due.sort(key=lambda c: watches[c.id].due_s)
        return due[:size]

    def asked(self, name: str) -> None:
        self._paces[name].asked(self._clock())

    def withdrawn(self, name: str) -> None:
        """The request did not go out after all."""
        self._paces[name].withdrawn()

    def succeeded(self, name: str) -> None:
        self._paces[name].succeeded()

    def failed(self, name: str, error: PlatformError, whole: bool) -> None:
        pace, now_s = self._paces[name], self._clock()
        before_s = pace.not_before_s
        pace.failed(now_s, error.trouble, error.retry_after_s, whole, self._jitter())
        if pace.not_before_s > max(before_s, now_s):
            self._store.rests.keep(
                name, utc_now() + timedelta(seconds=pace.not_before_s - now_s))
