"""Platform `url`: the address of a playlist, or of any page that streamlink understands.

An address is asked for a playlist first unless one of streamlink's site plugins knows it.
Owns one streamlink session (and plugin object) per channel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from streamlink.session.session import Streamlink
from requests import Response
from streamlink.plugin import Plugin
from streamlink.stream.hls.hls import HLSStream, MuxedHLSStream
from streamlink.stream.hls.m3u8 import M3U8, M3U8Parser, parse_m3u8
from urllib3.exceptions import HTTPError as Urllib3Error

from .. import naming
from ..continuity import path_hash, set_offsets
from ..errors import Invalid, PlatformError, Problem
from ..models import Broadcast, Channel
from ..quality import choose
from .base import Address, Checked, Offline, Opened, Profile
from .page import page_image
from .sessions import WHOLE_MAX_BYTES, WHOLE_MAX_S, Sessions

CHUNK_BYTES = 64 * 1024
SNIFFED_BYTES = 16
GONE = (404, 410)
# Plugins for bare media addresses, which we look at ourselves.
_GENERIC = ("hls", "dash", "http")


# What streamlink gives: HLS, muxed HLS, plain HTTP, DASH …
Streams = dict[str, Any]


@dataclass
class _Kept:
    session: Streamlink
    plugin: Plugin | None
    lock: threading.Lock = field(default_factory=threading.Lock)


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
        return Address(url, naming.name_of_url(url), url)

    def check(self, channel: Channel) -> Broadcast | None:
        kept = self._keep(channel)
        with kept.lock:
            if kept.plugin is not None:
                return _live_page(kept.plugin)
            return _live_playlist(kept.session, channel)

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
                streams = _streams(kept.plugin)
            else:
                streams = _variants(kept.session, channel.url)
            if not streams:
                return None
        name = choose(streams, channel.quality)
        if name is None:
            return None
        stream = streams[name]
        if isinstance(stream, MuxedHLSStream):
            raise PlatformError(
                f"The stream {name} has its audio in a playlist of its own; "
                "that cannot be recorded yet")
        if not isinstance(stream, HLSStream):
            raise PlatformError(f"The stream {name} is not HLS; that cannot be recorded yet")
        return Opened(stream, "source" if name in ("live", "best") else name)

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
            return kept


def _live_playlist(session: Streamlink, channel: Channel) -> Broadcast | None:
    playlist = _load(session, channel.url)
    if playlist is not None and playlist.is_master:
        # The variant that would be recorded: its newest segment is compared with ours.
        variants: dict[str, str] = {}
        for one in playlist.playlists:
            if not one.is_iframe:
                variants.setdefault(one.get_name(key="name") or "live", one.uri)
        name = choose(variants, channel.quality)
        if name is None:
            raise PlatformError("The playlist lists neither segments nor streams")
        playlist = _load(session, variants[name])
    if playlist is None or playlist.is_endlist:
        return None
    if not playlist.segments:
        raise PlatformError("The playlist has no segments: nothing to record (yet)")
    newest = playlist.segments[-1]
    set_offsets(playlist.segments)
    offset = newest.byterange.offset if newest.byterange else None
    return Broadcast(edge=f"{newest.num}:{path_hash(newest.uri, offset)}")


def _load(session: Streamlink, url: str) -> M3U8[Any, Any] | None:
    """The playlist at an address; None when the origin says that it is not there."""
    try:
        answer = session.http.get(
            url, exception=PlatformError, raise_for_status=False, stream=True)
    except PlatformError as error:
        raise PlatformError(_host_only(f"{_why(error)}", url)) from error
    with answer:
        if answer.status_code in GONE:
            return None
        if not answer.ok:
            raise PlatformError(f"The address answers HTTP {answer.status_code}")
        data = _read(answer, url)
    text = data.decode("utf-8", "replace").lstrip("\ufeff")
    if not text.startswith("#EXTM3U"):
        kind = answer.headers.get("Content-Type", "").partition(";")[0] or "something"
        what = "HTML" if "html" in kind or text.lstrip()[:1] == "<" else kind
        raise PlatformError(
            f"The address answers {what}, not a live stream: give the address of an .m3u8 "
            "playlist or of a page that streamlink knows")
    try:
        playlist: M3U8[Any, Any] = parse_m3u8(text, base_uri=answer.url, parser=M3U8Parser)
    except Exception as error:
        # Its parser raises whatever a hostile number makes Python raise.
        raise PlatformError(f"The playlist cannot be read: {error}") from error
    return playlist


def _read(answer: Response, url: str) -> bytes:
    """The body, as far as it can be a playlist: a media file or a radio stream at this
    address ends at its first bytes. Raises PlatformError."""
    data, deadline_s = b"", time.monotonic() + WHOLE_MAX_S
    try:
        while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
            data += chunk
            if len(data) >= SNIFFED_BYTES and not _begins_like_a_playlist(data):
                break
            if len(data) > WHOLE_MAX_BYTES or time.monotonic() > deadline_s:
                raise PlatformError(f"{urlsplit(url).hostname} gives a playlist without end")
    except (OSError, Urllib3Error) as error:
        raise PlatformError(f"{urlsplit(url).hostname} broke off its answer: {error}") from error
    return data


def _begins_like_a_playlist(data: bytes) -> bool:
    return data.removeprefix(b"\xef\xbb\xbf").startswith(b"#EXTM3U")


def _variants(session: Streamlink, url: str) -> Streams:
    """Streams by name; a bare media playlist is the stream `live`; {} when it is not there."""
    playlist = _load(session, url)
    if playlist is None:
        return {}
    if not playlist.is_master:
        return {"live": HLSStream(session, url)}
    try:
        return dict(HLSStream.parse_variant_playlist(session, url))
    except Exception as error:
        raise PlatformError(_host_only(f"The playlist cannot be read: {error}", url)) from error


def _streams(plugin: Plugin) -> Streams:
    try:
        return dict(plugin.streams())
    except Exception as error:
        # Plugins are many people's work: what they let out is a failed request to us.
        raise PlatformError(f"streamlink: {error}") from error


def _live_page(plugin: Plugin) -> Broadcast | None:
    if not _streams(plugin):
        return None
    return Broadcast(
        id=plugin.get_id(), title=plugin.get_title(), category=plugin.get_category())


def _why(error: PlatformError) -> str:
    """The reason behind streamlink's `Unable to open URL: … (reason)`."""
    cause = getattr(error, "err", None)
    name = type(cause).__name__ if cause is not None else "an error"
    return f"The address cannot be reached ({name})"


def _host_only(message: str, url: str) -> str:
    """A message without the address, whose path and query may hold tokens."""
    return message.replace(url, urlsplit(url).hostname or "")
