"""Platform `youtube`: who is live on YouTube, and their streams.

A check is one page per channel (`…/live`); with a key the Data API tells how a broadcast that
is known goes on. A stream is opened by streamlink's plugin, which knows no accounts, and by
yt-dlp where the plugin has nothing although the page says live. Owns one streamlink session
and plugin object per channel that was opened.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from requests import Response
from streamlink.plugin import Plugin
from streamlink.plugin.api import useragents
from streamlink.session.session import Streamlink

from ..errors import PlatformError, Trouble, hosts_only
from ..models import Broadcast, Channel
from ..quality import choose
from . import youtube_page
from .answers import ask, refused
from .base import Address, Checked, Logins, Offline, Opened, Profile
from .kept import Kept
from .sessions import Sessions
from .streams import opened
from .youtube_address import channel_address, live_page, video_url
from .youtube_api import YouTubeApi
from .ytdlp import YtDlp
from .ytdlp_streams import preferred, streams_of

log = logging.getLogger(__name__)

# For a visitor who agreed to cookies; yt-dlp sets the same.
CONSENT = ("SOCS", "CAI")
# An address that asked for too much is blocked for up to an hour, and no header says so.
RATE_LIMIT_S = 1800.0
# What concerns every channel, not the one that was asked for.
SHARED = (Trouble.BLOCKED, Trouble.RATE_LIMITED)
_HEADERS = {"User-Agent": useragents.CHROME, "Accept-Language": "en-US,en;q=0.9"}
_ENDED = ("was_live", "post_live", "is_upcoming")


@dataclass
class _Playback:
    session: Streamlink
    plain: Streamlink  # for what yt-dlp finds: its headers are not the plugin's
    plugin: Plugin
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        self.session.http.close()
        self.plain.http.close()


class YouTube:
    name = "youtube"
    # A page shows one channel. The API's answers for fifty are shared among the checks.
    batch_size = 1

    def __init__(
        self, sessions: Sessions, logins: Logins, ytdlp: YtDlp | None = None, *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._logins = logins
        self._ytdlp = ytdlp or YtDlp()
        self._api = YouTubeApi(sessions, logins, clock)
        self._pages = _new_session(sessions)
        self._kept = Kept(self._new_playback)
        self._lock = threading.Lock()
        self._live: dict[str, Broadcast] = {}

    def address(self, name: str) -> Address:
        """As `youtube_address` has it. Raises Invalid, also for one video: that is no channel."""
        return channel_address(name)

    def check(self, channel: Channel) -> Broadcast | None:
        checked = self._look(channel)
        return checked if isinstance(checked, Broadcast) else None

    def check_many(
        self, channels: Sequence[Channel], fresh: bool = False
    ) -> Mapping[str, Checked]:
        """By channel id. Raises PlatformError for what concerns all of them."""
        found: dict[str, Checked] = {}
        for channel in channels:
            try:
                found[channel.id] = self._look(channel, fresh)
            except PlatformError as error:
                if error.trouble in SHARED:
                    raise
                found[channel.id] = error
        return found

    def open(self, channel: Channel) -> Opened | None:
        kept = self._kept.get(channel)
        with kept.lock:
            streams = _streams(kept.plugin) or self._without_plugin(kept, channel)
        if streams is None:
            return None
        name = choose(streams, channel.quality)
        if name is None:
            raise PlatformError("YouTube's playlist lists no streams (yet)")
        return opened(name, streams[name])

    def profile(self, channel: Channel) -> Profile:
        return youtube_page.profile(self._page(channel.url))

    def forget(self, channel_id: str) -> None:
        self._kept.drop(channel_id)
        with self._lock:
            self._live.pop(channel_id, None)

    def close(self) -> None:
        self._ytdlp.stop()
        self._kept.close()
        self._pages.http.close()
        self._api.close()

    def _new_playback(self, channel: Channel) -> _Playback:
        session = _new_session(self._sessions)
        # The plugin knows this form only: no query behind it.
        found = self._sessions.find_plugin(session, live_page(channel.url))
        if found is None:
            raise PlatformError(f"streamlink does not know {live_page(channel.url)}")
        return _Playback(session, self._sessions.new(), found[1])

    def _look(self, channel: Channel, fresh: bool = False) -> Broadcast | Offline:
        """Raises PlatformError."""
        with self._lock:
            known = self._live.get(channel.id)
            others = [one.id for one in self._live.values() if one.id is not None]
        live = self._api.find_live(known, others, fresh) if known is not None else None
        # What is not live any more may have a successor: the page knows.
        checked = live or self._read_page(channel)
        with self._lock:
            if isinstance(checked, Broadcast):
                self._live[channel.id] = checked
            else:
                self._live.pop(channel.id, None)
        return checked

    def _read_page(self, channel: Channel) -> Broadcast | Offline:
        cookies = self._logins.playback("youtube") is not None
        return youtube_page.look(self._page(live_page(channel.url)), cookies)

    def _page(self, url: str) -> str:
        """Raises PlatformError."""
        answer = ask(self._pages, "GET", url, headers=_HEADERS)
        if urlsplit(answer.url).hostname == youtube_page.CONSENT_HOST:
            form = youtube_page.consent_form(answer.text)
            if form is None:
                raise PlatformError("YouTube asks to agree to cookies in a way that is not known")
            answer = ask(self._pages, "POST", form[0], headers=_HEADERS, data=form[1])
        return _html(answer)

    def _without_plugin(self, kept: _Playback, channel: Channel) -> dict[str, Any] | None:
        """Streams by name; None when the channel is offline. Raises PlatformError.

        The plugin says as little of an offline channel as of a stream it cannot open.
        """
        live = self._read_page(channel)
        if not isinstance(live, Broadcast):
            return None
        cookies = self._logins.playback("youtube")
        found = self._ytdlp.find(video_url(live.id), cookies)
        if cookies is not None and found.cookies_rotated:
            self._logins.refused(
                "youtube", "playback", "YouTube does not take the cookies any more: store new ones")
        if found.formats and found.live_status == "is_live":
            return streams_of(kept.plain, found)
        if found.live_status in _ENDED:
            return None
        # The last one is the reason; warnings of its own come first.
        raise youtube_page.trouble_of(" ".join(reversed(found.said)))


def _new_session(sessions: Sessions) -> Streamlink:
    session = sessions.new()
    session.http.cookies.set(*CONSENT, domain=".youtube.com", path="/")
    return session


def _html(answer: Response) -> str:
    """Raises PlatformError for what is no page."""
    moved = urlsplit(answer.url)
    limited = answer.status_code == 429
    if limited or (moved.hostname or "").endswith("google.com") and "/sorry" in moved.path:
        asked_s = refused(answer, "YouTube").retry_after_s or 0.0
        raise PlatformError(
            "YouTube allows no more requests for now; checks go on later",
            Trouble.RATE_LIMITED, max(asked_s, RATE_LIMIT_S))
    if moved.hostname in ("accounts.google.com", youtube_page.CONSENT_HOST):
        raise PlatformError(f"YouTube sends us to {moved.hostname} instead of the page")
    if not answer.ok:
        raise refused(answer, "YouTube")
    return answer.content.decode("utf-8", "replace")


def _streams(plugin: Plugin) -> dict[str, Any]:
    """What streamlink can open as HLS; {} where it fails, so that others are asked."""
    try:
        streams = plugin.streams()
    except Exception as error:
        # Plugins are many people's work: what they let out is a failed request to us.
        log.info("streamlink cannot open %s: %s", plugin.url, hosts_only(str(error)))
        return {}
    return preferred(streams)
