"""Platform `url`: the address of a playlist, a manifest, a stream of media, or of any page
that streamlink understands.

An address is looked at unless one of streamlink's site plugins knows it.
Owns one streamlink session (and plugin object) per channel.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from requests import Response
from streamlink.session.session import Streamlink
from streamlink.plugin import Plugin
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.dash.manifest import MPD
from streamlink.stream.hls.hls import HLSStream
from streamlink.stream.http import HTTPStream

from .. import naming
from ..continuity import path_hash, set_offsets
from ..errors import Invalid, PlatformError, Problem
from ..models import Broadcast, Channel
from ..quality import choose
from .bare import Bare, Media, host_only, look
from .base import Address, Checked, Offline, Opened, Profile
from .page import page_image
from .sessions import Sessions
from .streams import opened

# Plugins for bare media addresses, which we look at ourselves.
# These have code of their own here.
OWN = {"twitch.tv": "twitch", "kick.com": "kick", "youtube.com": "youtube",
       "youtu.be": "youtube"}
GONE = (404, 410)
_GENERIC = ("hls", "dash", "http")


# What streamlink gives: HLS, muxed HLS, plain HTTP, DASH …
Streams = dict[str, Any]


@dataclass
class _Kept:
    session: Streamlink
    plugin: Plugin | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    # Of the answers that the plugin got since it was last asked.
    statuses: list[int] = field(default_factory=list)

    def watch(self) -> None:
        """Note every answer's status from here on."""
        def note(response: Response, *_: Any, **__: Any) -> None:
            self.statuses.append(response.status_code)
        self.session.http.hooks["response"].append(note)


class UrlPlatform:
    name = "url"
    batch_size = 1

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

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
        for host, platform in OWN.items():
            # Their plugins take a refusal for "offline"; the platforms' own code does not.
            if parts.hostname == host or parts.hostname.endswith("." + host):
                raise Invalid([Problem(
                    "name", f"add the channel as platform {platform}, not as an address")])
        return Address(url, naming.name_of_url(url), url)

    def check(self, channel: Channel) -> Broadcast | None:
        kept = self._keep(channel)
        with kept.lock:
            if kept.plugin is not None:
                return _live_page(kept, channel)
            return _live(kept.session, channel)

    def check_many(self, channels: Sequence[Channel]) -> Mapping[str, Checked]:
        return {channel.id: self._checked(channel) for channel in channels}

    def _checked(self, channel: Channel) -> Checked:
        try:
            return self.check(channel) or Offline()
        except PlatformError as error:
            return error

    def open(self, channel: Channel) -> Opened | None:
        kept = self._keep(channel)
        with kept.lock:
            if kept.plugin is not None:
                streams = _page_streams(kept, channel)
            else:
                streams = _variants(kept.session, channel.url)
            if not streams:
                return None
        name = choose(streams, channel.quality)
        if name is None:
            return None
        return opened(name, streams[name])

    def profile(self, channel: Channel) -> Profile:
        """A page shows an image of itself to those who link to it; a playlist has none."""
        if urlsplit(channel.url).path.lower().endswith(".m3u8"):
            return Profile()
        # A session of its own: nobody who adds a channel waits for its check, or the check
        # for a page.
        session = self._sessions.new()
        try:
            return Profile(profile_image_url=page_image(session, channel.url))
        finally:
            session.http.close()

    def forget(self, channel_id: str) -> None:
        with self._lock:
            kept = self._kept.pop(channel_id, None)
        if kept is not None:
            kept.session.http.close()

    def close(self) -> None:
        with self._lock:
            kept, self._kept = list(self._kept.values()), {}
        for one in kept:
            one.session.http.close()

    def _keep(self, channel: Channel) -> _Kept:
        with self._lock:
            kept = self._kept.get(channel.id)
            if kept is None:
                session = self._sessions.new()
                found = self._sessions.find_plugin(session, channel.url)
                plugin = found[1] if found and found[0] not in _GENERIC else None
                kept = self._kept[channel.id] = _Kept(session, plugin)
                if plugin is not None:
                    kept.watch()
            return kept


def _live(session: Streamlink, channel: Channel) -> Broadcast | None:
    found = look(session, channel.url)
    if isinstance(found, Media):
        return Broadcast()
    if isinstance(found, MPD):
        return Broadcast() if found.type == "dynamic" else None
    if found is not None and found.is_master:
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
    if isinstance(found, (Media, MPD)):
        raise PlatformError("The playlist lists what is no playlist")
    if found is None or found.is_endlist:
        return None
    if not found.segments:
        raise PlatformError("The playlist has no segments: nothing to record (yet)")
    newest = found.segments[-1]
    set_offsets(found.segments)
    offset = newest.byterange.offset if newest.byterange else None
    return Broadcast(edge=f"{newest.num}:{path_hash(newest.uri, offset)}")


def _variants(session: Streamlink, url: str) -> Streams:
    """Streams by name; a bare media playlist is the stream `live`; {} when it is not there."""
    found = look(session, url)
    if found is None:
        return {}
    if isinstance(found, Media):
        return {"live": HTTPStream(session, url)}
    try:
        if isinstance(found, MPD):
            dynamic = found.type == "dynamic"
            return dict(DASHStream.parse_manifest(session, url)) if dynamic else {}
        if found.is_master:
            return dict(HLSStream.parse_variant_playlist(session, url))
    except Exception as error:
        # Parsers raise whatever a hostile number makes Python raise.
        raise PlatformError(host_only(f"The playlist cannot be read: {error}", url)) from error
    return {"live": HLSStream(session, url)}


def _streams(plugin: Plugin) -> Streams:
    try:
        return dict(plugin.streams())
    except Exception as error:
        # Plugins are many people's work: what they let out is a failed request to us.
        raise PlatformError(f"streamlink: {error}") from error


def _page_streams(kept: _Kept, channel: Channel) -> Streams:
    """What a site's plugin finds. Raises PlatformError, also where the plugin itself takes a
    refused request for "nothing is on"."""
    plugin = kept.plugin
    assert plugin is not None
    # A plugin remembers: another address that it was led to, the last broadcast's title.
    plugin.url = channel.url
    plugin.id = plugin.author = plugin.category = plugin.title = None
    kept.statuses.clear()
    streams = _streams(plugin)
    failed = [status for status in kept.statuses if status >= 400 and status not in GONE]
    if not streams and failed:
        raise PlatformError(f"{urlsplit(channel.url).hostname} answers {failed[-1]}")
    return streams


def _live_page(kept: _Kept, channel: Channel) -> Broadcast | None:
    plugin = kept.plugin
    if not _page_streams(kept, channel) or plugin is None:
        return None
    return Broadcast(
        id=plugin.get_id(), title=plugin.get_title(), category=plugin.get_category())
