"""A page for people, of which yt-dlp is asked: what it said last, and when it is asked again.

Made by `url`, one for a channel. A run costs seconds and more than 54 MiB, too much for every
check. So it is asked
- never while the playlist that it named goes on: a look at that is a check. One that stands
  still may be what an encoder left behind, and the site be live at another address: that is
  asked for as after "offline", or after 30 s where someone wants to record;
- 30 s after its last answer at the earliest, unless a person wants to know;
- 180 s after it said "offline" by the rhythm of checks, which get that answer until then. Who
  doubts a running recording never gets it twice: two answers that end one have to be two, and
  in between there is an error, which proves nothing;
- an hour after it knew nothing of the page, which may have become something else meanwhile:
  that is looked at. A page that it has known is none such: it has trouble.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from streamlink.session.session import Streamlink
from streamlink.stream.hls.hls import HLSStream
from streamlink.stream.hls.m3u8 import M3U8

from ..errors import PlatformError
from ..models import Broadcast
from ..quality import choose
from .bare import look
from .base import Offline, Opened
from .deadline import within
from .liveness import find_live
from .streams import opened
from .url_words import Unknown, judge
from .ytdlp import Found, YtDlp
from .ytdlp_streams import streams_of, variants

APART_S = 30.0
OFFLINE_HOLDS_S = 180.0
UNKNOWN_HOLDS_S = 3600.0
# A run may take so long, and the looks at the playlist behind it.
RUN_MAX_S = 45.0
LOOK_MAX_S = 15.0


class VideoPage:
    """`media` is a session for what yt-dlp finds: its headers are for that alone."""

    def __init__(
        self, ytdlp: YtDlp, media: Streamlink, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ytdlp = ytdlp
        self._media = media
        self._clock = clock
        self._asked_s = -math.inf
        self._answer: Offline | PlatformError | None = None
        # While it is live: what yt-dlp found, and the streams of that.
        self._broadcast = Broadcast()
        self._streams: dict[str, Any] = {}
        # The newest segment at the last look, and since when it is that one.
        self._edge: str | None = None
        self._edge_since_s = -math.inf
        self._understood = False

    def find(self, quality: str, patient: bool) -> Broadcast | Offline | None:
        """What is known without asking; None when the page has to be looked at. `patient`: an
        offline answer of the last minutes will do. Raises PlatformError, also while it is too
        early to ask."""
        answer, early = self._answer, self._since_s() < APART_S
        if self._streams:
            return self._find_playing(quality, patient, early)
        if isinstance(answer, Offline) and patient and self._since_s() < OFFLINE_HOLDS_S:
            return answer
        if answer is None or isinstance(answer, Unknown) or not early:
            return None
        if isinstance(answer, PlatformError):
            raise _anew(answer)
        raise PlatformError("yt-dlp was asked just now, and is not asked again for a moment")

    def distrust(self) -> None:
        """A person wants to know now: what was said before does not count."""
        self._answer, self._asked_s = None, -math.inf

    def reopen(self, quality: str) -> Opened | None:
        """What was found live before and is still there. It may have come to its end: what of
        it is missing is taken. Raises PlatformError."""
        if not self._streams:
            return None
        try:
            with within(LOOK_MAX_S):
                live = self._look(quality)
        except PlatformError:
            if self._since_s() < APART_S:
                raise
            self.forget()
            return None
        if live is not None and self._stands_still(APART_S):
            self.forget()
            return None
        return self.open(quality)

    def ask(self, url: str, quality: str) -> Broadcast | Offline:
        """What yt-dlp says now. Raises PlatformError."""
        holds_s = APART_S if self._understood else UNKNOWN_HOLDS_S
        if isinstance(self._answer, Unknown) and self._since_s() < holds_s:
            raise _anew(self._answer)
        self._streams, self._answer = {}, None
        try:
            found = self._ytdlp.find(url, deadline_s=RUN_MAX_S)
            offline = judge(found, urlsplit(url).hostname or "The site")
            self._understood = True
            if offline is None:
                with within(LOOK_MAX_S):
                    return self._take(found, quality)
        except PlatformError as error:
            self._answer = _anew(error)
            raise
        finally:
            self._asked_s = self._clock()
        self._answer = offline
        return offline

    def open(self, quality: str) -> Opened | None:
        """The stream to record of what was found live. Raises PlatformError."""
        name = choose(self._streams, quality)
        return None if name is None else opened(name, self._streams[name])

    def forget(self) -> None:
        """What was found is not there any more. That nothing is known of the page stays."""
        self._streams = {}
        if not isinstance(self._answer, Unknown):
            self._answer = None

    def close(self) -> None:
        self._media.http.close()

    def _since_s(self) -> float:
        return self._clock() - self._asked_s

    def _stands_still(self, after_s: float) -> bool:
        """Whether the looks have met the same newest segment for so long, and nobody asked where
        else it goes on."""
        since_s = max(self._edge_since_s, self._asked_s)
        return self._edge is not None and self._clock() - since_s >= after_s

    def _find_playing(
        self, quality: str, patient: bool, early: bool
    ) -> Broadcast | Offline | None:
        try:
            with within(LOOK_MAX_S):
                live = self._look(quality)
        except PlatformError:
            if early:
                raise
            return None
        if live is None:
            return Offline() if early else None
        return None if self._stands_still(OFFLINE_HOLDS_S if patient else APART_S) else live

    def _take(self, found: Found, quality: str) -> Broadcast | Offline:
        """Look at what was found: sites are slow to notice that it is over."""
        self._broadcast = Broadcast(id=found.id, title=found.title)
        self._streams = streams_of(self._media, found)
        try:
            self._unfold()
            live = self._look(quality)
        except PlatformError:
            self._streams = {}
            raise
        if live is None:
            self._streams = {}
            self._answer = Offline()
        return live or Offline()

    def _unfold(self) -> None:
        """Not every site's formats are taken apart: one may be a multivariant playlist."""
        stream = next(iter(self._streams.values()))
        if len(self._streams) > 1 or not isinstance(stream, HLSStream):
            return
        playlist = look(self._media, stream.args["url"])
        if isinstance(playlist, M3U8) and playlist.is_master:
            self._streams = variants(self._media, stream.args["url"])

    def _look(self, quality: str) -> Broadcast | None:
        name = choose(self._streams, quality)
        if name is None:
            raise PlatformError("The playlist lists no streams (yet)")
        live = find_live(self._media, self._streams[name])
        if live is None:
            return None
        if live.edge != self._edge:
            self._edge, self._edge_since_s = live.edge, self._clock()
        return replace(live, id=self._broadcast.id, title=self._broadcast.title)


def _anew(error: PlatformError) -> PlatformError:
    """The same, without the frames that it came through: they hold a session."""
    return type(error)(str(error), error.trouble, error.retry_after_s)
