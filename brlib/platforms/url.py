"""Platform `url`: the address of a playlist, a manifest, a stream of media, or of any page
that streamlink or yt-dlp understands; and single videos of YouTube.

An address is looked at unless one of streamlink's site plugins knows it; yt-dlp is asked only
of what turns out to be a page. The requests of a check are over within 30 s, redirects
included, and 10 s for a head that trickles; where yt-dlp is asked, its process has 45 s in
addition, and what it found 15 s. Owns one streamlink session and plugin object per channel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from streamlink.session.session import Streamlink
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.dash.manifest import MPD
from streamlink.stream.hls.hls import HLSStream
from streamlink.stream.http import HTTPStream

from .. import naming
from ..errors import Invalid, PlatformError, Problem
from ..models import Broadcast, Channel
from ..quality import choose
from .bare import Bare, Html, Media, host_only, look
from .base import Address, Checked, Offline, Opened, Platform, Profile
from .deadline import within
from .kept import Kept
from .live_manifest import live_manifest
from .liveness import live_edge
from .page import page_image
from .sessions import Sessions
from .streams import opened
from .url_page import OFFLINE_HOLDS_S, VideoPage
from .url_plugin import PluginPage
from .youtube_address import is_video, video_address
from .ytdlp import YtDlp

CHECK_MAX_S = 30.0
# These have code of their own here.
OWN = {"twitch.tv": "twitch", "kick.com": "kick", "youtube.com": "youtube",
       "youtu.be": "youtube"}
# Plugins for bare media addresses, which we look at ourselves.
_GENERIC = ("hls", "dash", "http")


@dataclass
class _Page:
    session: Streamlink
    plugin_page: PluginPage | None
    video_page: VideoPage
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        self.session.http.close()
        self.video_page.close()


class UrlPlatform:
    name = "url"
    batch_size = 1

    def __init__(
        self, sessions: Sessions, ytdlp: YtDlp | None = None, videos: Platform | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`videos` is who knows YouTube's single videos; without one they are refused."""
        self._sessions = sessions
        self._ytdlp = ytdlp or YtDlp()
        self._videos = videos
        self._clock = clock
        self._lock = threading.Lock()
        self._kept = Kept(self._new_page)
        # Of YouTube's videos those that were not live, and when they were asked for.
        self._offline: dict[str, tuple[float, Offline]] = {}

    def address(self, name: str) -> Address:
        """The name is the address itself. Raises Invalid for what is no http(s) URL."""
        url = name.strip()
        try:
            parts = urlsplit(url)
            parts.port  # raises ValueError when it is no number
        except ValueError as error:
            raise Invalid([Problem("name", f"is not an address: {error}")]) from error
        if parts.scheme.lower() not in ("http", "https"):
            raise Invalid([Problem("name", "must be an http:// or https:// address")])
        if not parts.hostname or any(c.isspace() or ord(c) < 32 for c in url):
            raise Invalid([Problem("name", "is not an address: it needs a host and no spaces")])
        if self._videos is not None and (video := video_address(url)) is not None:
            return video
        for host, platform in OWN.items():
            # Their plugins take a refusal for "offline"; the platforms' own code does not.
            if parts.hostname == host or parts.hostname.endswith("." + host):
                raise Invalid([Problem(
                    "name", f"add the channel as platform {platform}, not as an address")])
        return Address(url, naming.name_of_url(url), url)

    def check(self, channel: Channel) -> Broadcast | None:
        """Asked for by who doubts a recording: an answer is never an old one."""
        videos = self._videos_for(channel)
        if videos is not None:
            with within(CHECK_MAX_S):
                return videos.check(channel)
        answer = self._look(channel, patient=False)
        return answer if isinstance(answer, Broadcast) else None

    def check_many(
        self, channels: Sequence[Channel], fresh: bool = False
    ) -> Mapping[str, Checked]:
        return {channel.id: self._checked(channel, fresh) for channel in channels}

    def _checked(self, channel: Channel, fresh: bool) -> Checked:
        try:
            videos = self._videos_for(channel)
            if videos is not None:
                return self._check_video(videos, channel, fresh)
            return self._look(channel, patient=not fresh, fresh=fresh)
        except PlatformError as error:
            return error

    def _videos_for(self, channel: Channel) -> Platform | None:
        return self._videos if is_video(channel.url) else None

    def _check_video(self, videos: Platform, channel: Channel, fresh: bool) -> Checked:
        """By YouTube's rhythm, which is slower than that of addresses. Raises PlatformError."""
        with self._lock:
            asked_s, offline = self._offline.get(channel.id, (0.0, None))
        if offline is not None and not fresh and self._clock() - asked_s < OFFLINE_HOLDS_S:
            return offline
        with within(CHECK_MAX_S):
            answer = videos.check_many([channel], fresh)[channel.id]
        with self._lock:
            self._offline.pop(channel.id, None)
            if isinstance(answer, Offline):
                self._offline[channel.id] = (self._clock(), answer)
        return answer

    def _look(
        self, channel: Channel, patient: bool, fresh: bool = False
    ) -> Broadcast | Offline:
        """Raises PlatformError."""
        kept = self._kept.get(channel)
        with kept.lock:
            if kept.plugin_page is not None:
                with within(CHECK_MAX_S):
                    return kept.plugin_page.check(channel.quality) or Offline()
            if fresh:
                kept.video_page.distrust()
            known = kept.video_page.find(channel.quality, patient)
            if known is not None:
                return known
            with within(CHECK_MAX_S):
                found = look(kept.session, channel.url)
                if not isinstance(found, Html):
                    kept.video_page.forget()
                    return _live(kept.session, channel, found) or Offline()
            return kept.video_page.ask(channel.url, channel.quality)

    def open(self, channel: Channel) -> Opened | None:
        videos = self._videos_for(channel)
        if videos is not None:
            return videos.open(channel)
        kept = self._kept.get(channel)
        with kept.lock:
            if kept.plugin_page is not None:
                with within(CHECK_MAX_S):
                    return kept.plugin_page.open(channel.quality)
            return kept.video_page.reopen(channel.quality) or self._open(kept, channel)

    def _open(self, kept: _Page, channel: Channel) -> Opened | None:
        page = kept.video_page
        answer = page.find(channel.quality, patient=False)
        if answer is None:
            with within(CHECK_MAX_S):
                found = look(kept.session, channel.url)
                if not isinstance(found, Html):
                    page.forget()
                    return _opened(_streams(kept.session, channel.url, found), channel.quality)
            answer = page.ask(channel.url, channel.quality)
        return page.open(channel.quality) if isinstance(answer, Broadcast) else None

    def profile(self, channel: Channel) -> Profile:
        """A page shows an image of itself to those who link to it; a playlist has none."""
        if urlsplit(channel.url).path.lower().endswith(".m3u8"):
            return Profile()
        # A session of its own: nobody who adds a channel waits for its check, or the check
        # for a page.
        session = self._sessions.new()
        try:
            with within(CHECK_MAX_S):
                return Profile(profile_image_url=page_image(session, channel.url))
        finally:
            session.http.close()

    def forget(self, channel_id: str) -> None:
        self._kept.drop(channel_id)
        with self._lock:
            self._offline.pop(channel_id, None)
        if self._videos is not None:
            self._videos.forget(channel_id)

    def close(self) -> None:
        self._ytdlp.stop()
        self._kept.close()

    def _new_page(self, channel: Channel) -> _Page:
        session = self._sessions.new()
        name, plugin = self._sessions.find_plugin(session, channel.url) or ("hls", None)
        page = None
        if plugin is not None and name not in _GENERIC:
            page = PluginPage(session, plugin, channel.url)
        return _Page(session, page, VideoPage(self._ytdlp, self._sessions.new(), self._clock))


def _live(session: Streamlink, channel: Channel, found: Bare | None) -> Broadcast | None:
    """What is live of what stands at a bare address. Raises PlatformError."""
    if isinstance(found, Media):
        return Broadcast()
    if isinstance(found, MPD):
        return live_manifest(session, found)
    if found is not None and not isinstance(found, Html) and found.is_master:
        # The variant that would be recorded: its newest segment is compared with ours.
        variants: dict[str, str] = {}
        for one in found.playlists:
            if not one.is_iframe:
                variants.setdefault(one.get_name(key="name") or "live", one.uri)
        name = choose(variants, channel.quality)
        if name is None:
            raise PlatformError("The playlist lists neither segments nor streams")
        found = look(session, variants[name])
    return _live_playlist(found)


def _live_playlist(found: Bare | None) -> Broadcast | None:
    if isinstance(found, (Media, MPD, Html)):
        raise PlatformError("The playlist lists what is no playlist")
    if found is None or found.is_endlist:
        return None
    if not found.segments:
        raise PlatformError("The playlist has no segments: nothing to record (yet)")
    return live_edge(found)


def _streams(session: Streamlink, url: str, found: Bare | None) -> dict[str, Any]:
    """Streams by name; a bare media playlist is the stream `live`; {} when it is not there."""
    if found is None:
        return {}
    if isinstance(found, Media):
        return {"live": HTTPStream(session, url)}
    try:
        if isinstance(found, MPD):
            dynamic = found.type == "dynamic"
            return dict(DASHStream.parse_manifest(session, url)) if dynamic else {}
        if not isinstance(found, Html) and found.is_master:
            return dict(HLSStream.parse_variant_playlist(session, url))
    except Exception as error:
        # Parsers raise whatever a hostile number makes Python raise.
        raise PlatformError(host_only(f"The playlist cannot be read: {error}", url)) from error
    return {"live": HLSStream(session, url)}


def _opened(streams: Mapping[str, Any], quality: str) -> Opened | None:
    name = choose(streams, quality)
    return None if name is None else opened(name, streams[name])
