"""yt-dlp's formats as streamlink's streams, by the names that a quality is chosen from.

Used by the platforms that ask yt-dlp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamlink.session.session import Streamlink
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream, MuxedHLSStream

from ..errors import PlatformError
from ..quality import AUDIO_ONLY
from .ytdlp import Format, Found


def streams_of(session: Streamlink, found: Found) -> dict[str, Any]:
    """The formats (of which there is one at least) as streams of a session, to which their
    headers are given. Raises PlatformError."""
    session.http.headers.update(found.formats[-1].headers)
    whole = {one.name: HLSStream(session, one.url) for one in found.formats if one.whole}
    if whole:
        return whole
    for one in reversed(found.formats):
        if one.manifest_url is not None:
            return preferred(variants(session, one.manifest_url))
    return _apart(session, found.formats)


def variants(session: Streamlink, url: str) -> dict[str, Any]:
    """What a multivariant playlist lists. Raises PlatformError."""
    try:
        return dict(HLSStream.parse_variant_playlist(session, url, name_key="pixels"))
    except Exception as error:
        # Its parser raises whatever a hostile number makes Python raise.
        raise PlatformError(f"The playlist cannot be read: {error}") from error


def preferred(streams: Mapping[str, Any]) -> dict[str, Any]:
    """The streams with picture and sound together, if there are any; else those apart."""
    whole = {name: one for name, one in streams.items() if isinstance(one, HLSStream)}
    return whole or {
        name: one for name, one in streams.items() if isinstance(one, MuxedHLSStream)}


def _apart(session: Streamlink, formats: Sequence[Format]) -> dict[str, Any]:
    """Each picture with the best of the sounds, which are sorted as yt-dlp prefers them: the
    original language before those that it was dubbed into."""
    sounds = [HLSStream(session, one.url) for one in formats if one.name == AUDIO_ONLY]
    found: dict[str, Any] = {AUDIO_ONLY: sounds[-1]} if sounds else {}
    for one in formats:
        if one.name != AUDIO_ONLY:
            picture = HLSStream(session, one.url)
            found[one.name] = MuxedStream(session, picture, sounds[-1]) if sounds else picture
    return found
