"""Kick's channels by name: whose user id a slug is, and whether there still is such a channel.

Owned by Kick's API, which asks for streams by user id and would never hear that a channel was
deleted or is called otherwise: who is not live is absent from its answers, and so is who is
gone.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from ..errors import PlatformError, Trouble

log = logging.getLogger(__name__)

SLUGS_MAX = 50
# Requests of a minute that look new slugs up: Kick has allowed an app 20.
LOOK_UPS_MAX = 15
MINUTE_S = 60.0
# A name is asked about again after a day, one that Kick does not know after an hour.
KNOWN_S = 86_400.0
UNKNOWN_S = 3600.0
# Without an answer about names, for so long none is wanted.
REST_S = 600.0

# The user ids of up to 50 slugs, without those that Kick does not know; of one that is unknown
# among them it may take none. Raises PlatformError.
Who = Callable[[Sequence[str]], Mapping[str, int]]


class KickNames:
    """`ids` is kept by whoever gives it: slug → user id, negative once Kick knows the slug no
    more. Safe from every thread."""

    def __init__(
        self, who: Who, ids: MutableMapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._who = who
        self._ids = ids
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_s: dict[str, float] = {}
        self._waiting: deque[Sequence[str]] = deque()
        self._looked_up_s: deque[float] = deque(maxlen=LOOK_UPS_MAX)
        self._rests_until_s = -math.inf

    def find(self, slug: str) -> int | None:
        """Whom to ask for, also where Kick does not know the slug any more: who is live is
        there, whatever was said of the name."""
        number = self._ids.get(slug)
        return None if number is None else abs(number)

    def is_gone(self, slug: str) -> bool:
        """Whether Kick, asked for this slug alone, did not know it."""
        number = self._ids.get(slug)
        if number is not None:
            return number < 0
        return not self._due(slug, UNKNOWN_S)

    def doubt(self, slugs: Sequence[str]) -> None:
        """A person asks for these: who was unknown may have come to be."""
        with self._lock:
            for slug in slugs:
                if self._ids.get(slug, -1) < 0:
                    self._asked_s.pop(slug, None)

    def look_up(self, slugs: Sequence[str]) -> None:
        """Learn the users of those that are new, as far as that goes in one minute. Raises
        PlatformError."""
        waiting = deque(_groups([
            slug for slug in slugs if slug not in self._ids and self._due(slug, UNKNOWN_S)]))
        while waiting and self._may_look_up():
            # A part to its end before the next: what is not begun is begun anew in a minute,
            # and unknown slugs in every part would let none ever come to its end.
            waiting.extendleft(reversed(self._ask(waiting.popleft())))

    def seen(self, slug: str) -> None:
        """The user whose id it is is live under this very slug."""
        number = self._ids.get(slug)
        with self._lock:
            self._asked_s[slug] = self._clock()
        if number is not None and number < 0:
            self._ids[slug] = -number

    def seen_as_another(self, slug: str) -> None:
        """The user whose id it is is live under another slug: ask whose this one is, once an
        hour. Raises PlatformError."""
        if self._due(slug, UNKNOWN_S):
            self._ask([slug])

    def confirm(self, slugs: Sequence[str]) -> None:
        """Whether channels that were known are still called so; one request at the most."""
        now_s = self._clock()
        with self._lock:
            self._asked_s = {slug: at_s for slug, at_s in self._asked_s.items()
                             if now_s - at_s < KNOWN_S}
            waiting = {slug for group in self._waiting for slug in group}
        due = [slug for slug in slugs if slug not in waiting and slug in self._ids
               and self._due(slug, UNKNOWN_S if self._ids[slug] < 0 else KNOWN_S)]
        with self._lock:
            self._waiting.extend(_groups(due))
            if not self._waiting or now_s < self._rests_until_s:
                return
            group = self._waiting.popleft()
        try:
            again = self._ask(group)
        except PlatformError as error:
            log.info("Kick does not say whether channels still have their names: %s", error)
            self._rests_until_s, again = now_s + REST_S, [group]
        with self._lock:
            self._waiting.extend(again)

    def _due(self, slug: str, after_s: float) -> bool:
        with self._lock:
            return self._clock() - self._asked_s.get(slug, -math.inf) >= after_s

    def _may_look_up(self) -> bool:
        """Count one in, if there is room for it in this minute."""
        with self._lock:
            times, now_s = self._looked_up_s, self._clock()
            if len(times) == LOOK_UPS_MAX and now_s - times[0] < MINUTE_S:
                return False
            times.append(now_s)
            return True

    def _ask(self, some: Sequence[str]) -> list[Sequence[str]]:
        """Learn who these are; the parts in which to ask for the others. Raises PlatformError.

        One unknown slug makes a request fail whole, and answers for many leave channels out:
        only of one that was asked for alone it is known that there is none such.
        """
        who = self._who(some)
        left = [slug for slug in some if slug not in who]
        alone = left if len(some) == 1 else []
        with self._lock:
            self._asked_s.update(dict.fromkeys([*who, *alone], self._clock()))
        self._ids.update(who)
        for slug in alone:
            if slug in self._ids:
                self._ids[slug] = -abs(self._ids[slug])
        half = (len(left) + 1) // 2
        return [] if alone else [part for part in (left[:half], left[half:]) if part]


def no_such(slug: str) -> PlatformError:
    return PlatformError(f"Kick has no channel {slug}: check its name", Trouble.NOT_FOUND)


def _groups(slugs: Sequence[str]) -> list[Sequence[str]]:
    return [slugs[start:start + SLUGS_MAX] for start in range(0, len(slugs), SLUGS_MAX)]
