"""What stands at a bare address: an HLS playlist, a DASH manifest, or media itself.

Called by `url`, which knows what to make of it. Told by the first bytes, never by names; what
has no end is left there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from requests import Response
from streamlink.session.session import Streamlink
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.dash.manifest import MPD
from streamlink.stream.hls.m3u8 import M3U8, M3U8Parser, parse_m3u8
from urllib3.exceptions import HTTPError as Urllib3Error

from ..errors import PlatformError
from ..ffmpeg import source_format
from .sessions import WHOLE_MAX_BYTES, WHOLE_MAX_S

CHUNK_BYTES = 64 * 1024
# Three packets of a transport stream and what may stand before them.
SNIFFED_BYTES = 1024
GONE = (404, 410)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Media:
    """A live answer that is media itself."""

    form: str


Bare = M3U8[Any, Any] | MPD | Media


def look(session: Streamlink, url: str) -> Bare | None:
    """What is live at an address; None when the origin says that it is not there.

    Raises PlatformError.
    """
    try:
        answer = session.http.get(
            url, exception=PlatformError, raise_for_status=False, stream=True)
    except PlatformError as error:
        raise PlatformError(host_only(_why(error), url)) from error
    with answer:
        if answer.status_code in GONE:
            return None
        if not answer.ok:
            raise PlatformError(f"The address answers HTTP {answer.status_code}")
        data = _read(answer, url)
    text = data.decode("utf-8", "replace").lstrip("\ufeff")
    if text.startswith("#EXTM3U"):
        return _playlist(text, answer.url)
    if "<MPD" in text:
        return _manifest(text, answer.url)
    return _media(data, text, answer)


def _playlist(text: str, url: str) -> M3U8[Any, Any]:
    try:
        playlist: M3U8[Any, Any] = parse_m3u8(text, base_uri=url, parser=M3U8Parser)
    except Exception as error:
        # Its parser raises whatever a hostile number makes Python raise.
        raise PlatformError(f"The playlist cannot be read: {error}") from error
    return playlist


def _manifest(text: str, url: str) -> MPD:
    try:
        return DASHStream.parse_mpd(text, {"url": url, "base_url": url})
    except Exception as error:
        raise PlatformError(
            host_only(f"The DASH manifest cannot be read: {error}", url)) from error


def _media(data: bytes, text: str, answer: Response) -> Media:
    """What has a length is a file, and over before it begins."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0] or "something"
    form = source_format(data, kind)
    if form is not None and "Content-Length" not in answer.headers:
        return Media(form)
    what = "HTML" if "html" in kind or text.lstrip()[:1] == "<" else kind
    if form is not None:
        raise PlatformError(
            f"The address answers {what}, not a live stream: it is a file of "
            f"{answer.headers['Content-Length']} bytes")
    raise PlatformError(
        f"The address answers {what}, not a live stream: give the address of an .m3u8 "
        "playlist, of a DASH manifest, of a stream of media, or of a page that streamlink knows")


def _read(answer: Response, url: str) -> bytes:
    """The body, as far as it can be a playlist or a manifest: a media file or a radio stream
    at this address ends at its first bytes. Raises PlatformError."""
    data, deadline_s = b"", time.monotonic() + WHOLE_MAX_S
    try:
        while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
            data += chunk
            if len(data) >= SNIFFED_BYTES and not _begins_like_text(data):
                break
            if len(data) > WHOLE_MAX_BYTES or time.monotonic() > deadline_s:
                raise PlatformError(f"{urlsplit(url).hostname} gives a playlist without end")
    except (OSError, Urllib3Error) as error:
        raise PlatformError(f"{urlsplit(url).hostname} broke off its answer: {error}") from error
    return data


def _begins_like_text(data: bytes) -> bool:
    begin = data.removeprefix(_BOM).lstrip()
    return begin.startswith((b"#EXTM3U", b"<?xml", b"<MPD", b"<!--"))


def _why(error: PlatformError) -> str:
    """The reason behind streamlink's `Unable to open URL: … (reason)`."""
    cause = getattr(error, "err", None)
    name = type(cause).__name__ if cause is not None else "an error"
    return f"The address cannot be reached ({name})"


def host_only(message: str, url: str) -> str:
    """A message without the address, whose path and query may hold tokens."""
    return message.replace(url, urlsplit(url).hostname or "")
