"""Platform `youtube`: who is live on YouTube, and their streams.

A check is one page per channel (`…/live`); with a key the Data API tells how a broadcast that
is known goes on. A stream is opened by streamlink's plugin, which knows no accounts, and by
yt-dlp where the plugin has nothing although the page says live. Owns one streamlink session
and plugin object per channel that was opened.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from requests import Response
from streamlink.plugin import Plugin
from streamlink.plugin.api import useragents
from streamlink.session.session import Streamlink
from streamlink.stream.hls.hls import HLSStream, MuxedHLSStream

from ..errors import Invalid, PlatformError, Problem, Trouble, hosts_only
from ..models import Broadcast, Channel
from ..quality import choose
from . import youtube_page
from .answers import ask, refused
from .base import Address, Checked, Logins, Offline, Opened, Profile
from .sessions import Sessions
from .streams import opened
from .youtube_api import YouTubeApi
from .ytdlp import Found, YtDlp

log = logging.getLogger(__name__)

SITE_URL = "https://www.youtube.com"
# For a visitor who agreed to cookies; yt-dlp sets the same.
CONSENT = ("SOCS", "CAI")
HOSTS = ("youtube.com", "www.youtube.com", "m.youtube.com", "gaming.youtube.com")
# An address that asked for too much is blocked for up to an hour, and no header says so.
RATE_LIMIT_S = 1800.0
# What concerns every channel, not the one that was asked for.
SHARED = (Trouble.BLOCKED, Trouble.RATE_LIMITED)
_HEADERS = {"User-Agent": useragents.CHROME, "Accept-Language": "en-US,en;q=0.9"}
_CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
# Handles have 3 to 30 characters, in many scripts; those of some have fewer.
_HANDLE = re.compile(r"@(?![.·_-])[\w.·-]{1,30}(?<![.·-])")
_OLD_NAME = re.compile(r"(c|user)/[\w.-]{1,100}")
# The first part of addresses on youtube.com that are no channels.
PAGES = frozenset((
    "account", "clip", "embed", "feed", "gaming", "hashtag", "live", "playlist", "post",
    "premium", "redirect", "results", "shorts", "v", "watch"))
_ENDED = ("was_live", "post_live", "is_upcoming")


@dataclass
class _Kept:
    session: Streamlink
    plain: Streamlink  # for what yt-dlp finds: its headers are not the plugin's
    plugin: Plugin
    lock: threading.Lock = field(default_factory=threading.Lock)


class YouTube:
    name = "youtube"
    # A page shows one channel. The API's answers for fifty are shared among the checks.
    batch_size = 1

    def __init__(
        self, sessions: Sessions, logins: Logins,
        runtimes: Callable[[], Sequence[str]] = lambda: (), *,
        clock: Callable[[], float] = time.monotonic, ytdlp: YtDlp | None = None,
    ) -> None:
        """`runtimes`: the JavaScript runtimes that yt-dlp may use, "node:/usr/bin/node"."""
        self._sessions = sessions
        self._logins = logins
        self._ytdlp = ytdlp or YtDlp(runtimes)
        self._api = YouTubeApi(sessions, logins, clock)
        self._pages = _new_session(sessions)
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._live: dict[str, Broadcast] = {}

    def address(self, name: str) -> Address:
        """`@handle`, a bare handle, `UC…`, `c/Name`, `user/Name`, or any address of the channel
        on youtube.com. Raises Invalid, also for one video: that is no channel."""
        name = _name_of(name.strip())
        if _CHANNEL_ID.fullmatch(name):
            return Address(name, name, f"{SITE_URL}/channel/{name}")
        if _HANDLE.fullmatch(name) or _OLD_NAME.fullmatch(name):
            return Address(name, name.rpartition("/")[2], f"{SITE_URL}/{quote(name, safe='@/')}")
        raise Invalid([Problem(
            "name", "is no YouTube channel: give @handle, the channel's id (UC…) or its address")])

    def check(self, channel: Channel) -> Broadcast | None:
        checked = self._look(channel)
        return checked if isinstance(checked, Broadcast) else None

    def check_many(self, channels: Sequence[Channel]) -> Mapping[str, Checked]:
        """By channel id. Raises PlatformError for what concerns all of them."""
        found: dict[str, Checked] = {}
        for channel in channels:
            try:
                found[channel.id] = self._look(channel)
            except PlatformError as error:
                if error.trouble in SHARED:
                    raise
                found[channel.id] = error
        return found

    def open(self, channel: Channel) -> Opened | None:
        kept = self._keep(channel)
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
        with self._lock:
            kept = self._kept.pop(channel_id, None)
            self._live.pop(channel_id, None)
        if kept is not None:
            _close(kept)

    def close(self) -> None:
        self._ytdlp.close()
        with self._lock:
            kept, self._kept = list(self._kept.values()), {}
        for one in kept:
            _close(one)
        self._pages.http.close()
        self._api.close()

    def _keep(self, channel: Channel) -> _Kept:
        with self._lock:
            kept = self._kept.get(channel.id)
            if kept is None:
                session = _new_session(self._sessions)
                # The plugin knows this form only: no query behind it.
                found = self._sessions.find_plugin(session, f"{channel.url}/live")
                if found is None:
                    raise PlatformError(f"streamlink does not know {channel.url}/live")
                kept = _Kept(session, self._sessions.new(), found[1])
                self._kept[channel.id] = kept
            return kept

    def _look(self, channel: Channel) -> Broadcast | Offline:
        """Raises PlatformError."""
        with self._lock:
            known = self._live.get(channel.id)
            others = [one.id for one in self._live.values() if one.id is not None]
        live = self._api.find_live(known, others) if known is not None else None
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
        return youtube_page.look(self._page(f"{channel.url}/live"), cookies)

    def _page(self, url: str) -> str:
        """Raises PlatformError."""
        answer = ask(self._pages, "GET", url, headers=_HEADERS)
        if urlsplit(answer.url).hostname == youtube_page.CONSENT_HOST:
            form = youtube_page.consent_form(answer.text)
            if form is None:
                raise PlatformError("YouTube asks to agree to cookies in a way that is not known")
            answer = ask(self._pages, "POST", form[0], headers=_HEADERS, data=form[1])
        return _html(answer)

    def _without_plugin(self, kept: _Kept, channel: Channel) -> dict[str, Any] | None:
        """Streams by name; None when the channel is offline. Raises PlatformError.

        The plugin says as little of an offline channel as of a stream it cannot open.
        """
        live = self._read_page(channel)
        if not isinstance(live, Broadcast):
            return None
        cookies = self._logins.playback("youtube")
        found = self._ytdlp.find(f"{SITE_URL}/watch?v={live.id}", cookies)
        if cookies is not None and found.cookies_rotated:
            self._logins.refused(
                "youtube", "playback", "YouTube does not take the cookies any more: store new ones")
        if found.formats and found.live_status == "is_live":
            return _hls(kept.plain, found)
        if found.live_status in _ENDED:
            return None
        # The last one is the reason; warnings of its own come first.
        raise youtube_page.trouble_of(" ".join(reversed(found.said)))


def _name_of(name: str) -> str:
    """The name in an address, or what was typed as a name; "" for an address elsewhere."""
    if "/" not in name:
        plain = name.startswith("@") or _CHANNEL_ID.fullmatch(name)
        return name if plain else f"@{name}"
    if _OLD_NAME.fullmatch(name):
        return name
    try:
        parts = urlsplit(name if "://" in name else f"https://{name}")
        host = parts.hostname
    except ValueError:  # brackets that hold no IPv6 address
        return ""
    if host == "youtu.be" or host in HOSTS and parts.path.startswith(
            ("/watch", "/live/", "/shorts/", "/embed/")):
        raise Invalid([Problem(
            "name", "is the address of one video, which is over some day: give the channel's "
            "address (…/@handle), or add the video as platform \"url\"")])
    if parts.scheme not in ("http", "https") or host not in HOSTS:
        return ""
    steps = [step for step in unquote(parts.path).split("/") if step]
    if steps[:1] == ["channel"]:
        return steps[1] if len(steps) > 1 else ""
    if steps and steps[0] in ("c", "user"):
        return "/".join(steps[:2])
    if not steps or steps[0].lower() in PAGES:
        return ""
    # youtube.com/Name is an old name, too.
    return steps[0] if steps[0].startswith("@") else f"c/{steps[0]}"


def _new_session(sessions: Sessions) -> Streamlink:
    session = sessions.new()
    session.http.cookies.set(*CONSENT, domain=".youtube.com", path="/")
    return session


def _close(kept: _Kept) -> None:
    kept.session.http.close()
    kept.plain.http.close()


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
    return _preferred(streams)


def _preferred(streams: Mapping[str, Any]) -> dict[str, Any]:
    """The streams with picture and sound together, if there are any; else those apart."""
    whole = {name: one for name, one in streams.items() if isinstance(one, HLSStream)}
    return whole or {
        name: one for name, one in streams.items() if isinstance(one, MuxedHLSStream)}


def _hls(session: Streamlink, found: Found) -> dict[str, Any]:
    """yt-dlp's formats as streams. Raises PlatformError."""
    session.http.headers.update(found.formats[-1].headers)
    whole = {one.name: HLSStream(session, one.url) for one in found.formats if one.whole}
    if any(name != "audio_only" for name in whole):
        return whole
    for one in reversed(found.formats):
        if one.manifest_url is not None:
            try:
                return _preferred(HLSStream.parse_variant_playlist(
                    session, one.manifest_url, name_key="pixels"))
            except Exception as error:
                # Its parser raises whatever a hostile number makes Python raise.
                raise PlatformError(
                    f"YouTube's playlist cannot be read: {hosts_only(str(error))}") from error
    raise PlatformError("YouTube gives picture and sound apart; that cannot be recorded yet")
