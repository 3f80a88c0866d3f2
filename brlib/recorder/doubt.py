"""Whether a broadcast that gives nothing is still there: asks, and remembers the answers.

Used by `ActiveRecording` when a session stands still or the stream cannot be opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..errors import PlatformError
from ..models import Broadcast, Channel
from ..platforms import Platform
from ..rules import Absence, Verdict, end_of_broadcast

log = logging.getLogger(__name__)

# Nothing new for so long: ask, and go on asking every so often.
AFTER_S = 15.0
EVERY_S = 10.0


class Doubt:
    def __init__(
        self, platform: Platform, channel: Channel, reconnect_window_s: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._platform = platform
        self._channel = channel
        self._window_s = reconnect_window_s
        self._clock = clock
        self._asked_s = clock()
        self._offline_answers = 0
        self._offline_since_s: float | None = None

    def clear(self) -> None:
        """A segment came: the broadcast is there."""
        self._offline_answers, self._offline_since_s = 0, None

    def ask(self, edge: str | None, idle_s: float, quiet_s: float) -> Verdict | None:
        """The verdict of a check; None when it is too early for one or it failed.

        `edge` is the newest segment we have, `idle_s` the time since it came, `quiet_s` how
        long whatever brings segments now has brought none.
        """
        if quiet_s < AFTER_S or self._clock() - self._asked_s < EVERY_S:
            return None
        self._asked_s = self._clock()
        try:
            broadcast = self._platform.check(self._channel)
        except PlatformError as error:
            log.info("%s: a check failed: %s", self._channel.display_name, error)
            return None
        return self.heard(broadcast, edge, idle_s)

    def heard(self, broadcast: Broadcast | None, edge: str | None, idle_s: float) -> Verdict:
        """The verdict once a healthy answer came (None: offline)."""
        offline_for_s = None
        if broadcast is None:
            self._offline_answers += 1
            if self._offline_since_s is None:
                self._offline_since_s = self._clock()
            offline_for_s = self._clock() - self._offline_since_s
        else:
            self.clear()
        frozen = broadcast is not None and edge is not None and broadcast.edge == edge
        absence = Absence(idle_s, self._offline_answers, offline_for_s, frozen)
        return end_of_broadcast(absence, self._window_s())
