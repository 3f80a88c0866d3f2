"""Whether a broadcast that gives nothing is still there: asks, and remembers the answers.

Used by `ActiveRecording` when a session stands still or the stream cannot be opened, and before
it records a broadcast that has been recorded to its end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..errors import PlatformError
from ..models import Broadcast, Channel, EndReason, Recording
from ..platforms import Opened, Platform
from ..platforms.liveness import find_live
from ..rules import Absence, Verdict, end_of_broadcast
from ..store.recordings import Filter, Recordings

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

    def is_another(self, broadcast_id: str | None, idle_s: float) -> bool:
        """Whether what is live now is another broadcast than the one whose last segment came
        `idle_s` ago: nobody could look for long, or this daemon did not run. Within the
        reconnect window a new id is the same streamer, back again. Raises PlatformError."""
        if broadcast_id is None or idle_s <= self._window_s():
            return False
        broadcast = self._platform.check(self._channel)
        return broadcast is not None and broadcast.id not in (None, broadcast_id)

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


def find_stream(
    platform: Platform, channel: Channel, recordings: Recordings, broadcast_id: str | None
) -> Opened | None:
    """The stream to begin a recording with; None when there is nothing (more) to be had of the
    broadcast. Raises PlatformError, sqlite3.Error."""
    opened = platform.open(channel)
    if opened is None:
        return None
    latest = recordings.find_page(Filter(channel.id), 1, 0)
    if not came_to_its_end(next(iter(latest), None), broadcast_id):
        return opened
    return opened if goes_on(opened) else None


def came_to_its_end(last: Recording | None, broadcast_id: str | None) -> bool:
    """Whether a channel's last recording was of this broadcast, and its playlist said that
    nothing follows. Platforms call it live for a while yet."""
    return (last is not None and last.end_reason is EndReason.ENDED
            and broadcast_id is not None and last.broadcast_id == broadcast_id)


def goes_on(opened: Opened) -> bool:
    """Whether a stream has more to give than the end that its playlist tells of. Raises
    PlatformError."""
    return find_live(opened.stream.session, opened.stream) is not None
