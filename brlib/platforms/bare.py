"""What stands at a bare address: an HLS playlist, a DASH manifest, media itself, or a page.

Called by `url` and `liveness`, which know what to make of it. Told by the first bytes, never by
names; what has no end is left there.
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
from urllib3.exceptions import HTTPError as Urllib3Error, ReadTimeoutError

from ..errors import PlatformError, Trouble
from ..ffmpeg import source_format
from .answers import retry_after_s
from .deadline import until_s
from .sessions import WHOLE_MAX_BYTES, WHOLE_MAX_S

CHUNK_BYTES = 64 * 1024
# Three packets of a transport stream and what may stand before them.
SNIFFED_BYTES = 1024
GONE = (404, 410)
_BOM = b"\xef\xbb\xbf"
# Statuses with which a server refuses us, and not the address, and what may help.
_REFUSALS = {
    401: "asks for a login (HTTP 401): write it into the address, as user:password@ before the "
         "host",
    403: "refuses the request (HTTP 403): the address may have expired, or the site blocks "
         "this machine",
    451: "does not show it here, for legal reasons (HTTP 451)",
}


@dataclass(frozen=True)
class Media:
    """A live answer that is media itself."""

    form: str


@dataclass(frozen=True)
class Html:
    """A page for people."""


Bare = M3U8[Any, Any] | MPD | Media | Html


def look(session: Streamlink, url: str, **options: Any) -> Bare | None:
    """What is live at an address; None when the origin says that it is not there. `options`
    are a request's, as one of streamlink's streams wants it.

    Raises PlatformError.
    """
    with answer_of(session, url, **options) as answer:
        if answer.status_code in GONE:
            return None
        if not answer.ok:
            raise refusal(answer.status_code, answer.headers.get("Retry-After"), url)
        data = _read(answer, url)
        if not data and "Content-Length" not in answer.headers:
            # A stream of media whose source is gone: it stays open and gives nothing.
            return None
    text = data.decode("utf-8", "replace").lstrip("\ufeff")
    if text.startswith("#EXTM3U"):
        return _playlist(text, answer.url)
    if "<MPD" in text:
        return _manifest(text, answer.url)
    return _media(data, text, answer)


def answer_of(session: Streamlink, url: str, **options: Any) -> Response:
    """An answer whose body is not read yet, whatever its status. Raises PlatformError."""
    try:
        answer: Response = session.http.request(
            options.pop("method", "GET"), url, exception=PlatformError, raise_for_status=False,
            stream=True, **options)
    except PlatformError as error:
        raise PlatformError(host_only(_why(error), url)) from error
    return answer


def refusal(status: int, retry_after: str | None, url: str) -> PlatformError:
    """The error for an answer whose status is not 2xx; `retry_after` is that header."""
    host, wait_s = urlsplit(url).hostname, retry_after_s(retry_after)
    if status == 429 or status == 503 and wait_s is not None:
        return PlatformError(
            f"{host} allows no more requests for now (HTTP {status}); checks go on later",
            Trouble.RATE_LIMITED, wait_s)
    if status in _REFUSALS:
        return PlatformError(f"{host} {_REFUSALS[status]}", Trouble.BLOCKED, wait_s)
    return PlatformError(f"{host} answers HTTP {status}; it is tried again", retry_after_s=wait_s)


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


def _media(data: bytes, text: str, answer: Response) -> Media | Html:
    """What has a length is a file, and over before it begins."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].lower() or "something"
    form = source_format(data, kind)
    if form is not None and "Content-Length" not in answer.headers:
        return Media(form)
    if form is not None:
        raise PlatformError(
            f"The address answers {kind}, not a live stream: it is a file of "
            f"{answer.headers['Content-Length']} bytes")
    if "html" in kind or text.lstrip()[:1] == "<" and "xml" not in kind:
        return Html()
    raise PlatformError(no_stream(kind))


def no_stream(what: str) -> str:
    """What is said of an address where nothing can be recorded."""
    return (f"The address answers {what}, not a live stream: give the address of an .m3u8 "
            "playlist, of a DASH manifest, of a stream of media, or of a page that streamlink or "
            "yt-dlp knows")


def _read(answer: Response, url: str) -> bytes:
    """The body, as far as it can be a playlist or a manifest: a page, a media file or a radio
    stream at this address ends at its first bytes. Raises PlatformError."""
    data, deadline_s = b"", min(until_s(), time.monotonic() + WHOLE_MAX_S)
    try:
        while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
            data += chunk
            if len(data) >= SNIFFED_BYTES and not _begins_like_text(data):
                break
            if len(data) > WHOLE_MAX_BYTES or time.monotonic() > deadline_s:
                raise PlatformError(f"{urlsplit(url).hostname} gives a playlist without end")
    except (OSError, Urllib3Error) as error:
        if not data and isinstance(error, ReadTimeoutError):
            return data
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
