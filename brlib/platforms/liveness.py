"""Whether what a site lists is live: a look at the playlist, the manifest or the answer itself.

Used by `url` and its pages. Sites list their finished videos as they list what is live.
"""

from __future__ import annotations

from typing import Any

from streamlink.session.session import Streamlink
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.dash.manifest import MPD
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream
from streamlink.stream.hls.m3u8 import M3U8
from streamlink.stream.http import HTTPStream

from ..continuity import path_hash, set_offsets
from ..errors import PlatformError
from ..models import Broadcast
from .bare import Bare, answer_of, look, refusal
from .live_manifest import live_manifest

# What a playlist is that lists segments, or other playlists.
Playlist = M3U8[Any, Any]


def find_live(session: Streamlink, stream: Any) -> Broadcast | None:
    """What is live of a stream that a site calls live, with the newest segment on offer where
    that is to be seen; None where the stream has an end.

    Raises PlatformError, also for what the site lists and its servers do not have.
    """
    if isinstance(stream, MuxedStream):
        return find_live(session, stream.substreams[0])
    if isinstance(stream, DASHStream):
        return live_manifest(session, stream.mpd, **stream.args)
    if isinstance(stream, HLSStream):
        playlist = _there(look(session, **stream.args))
        # What has not begun yet is live all the same: the site says so.
        return live_edge(playlist) if playlist.segments else _unbegun(playlist)
    return None if is_file(session, stream) else Broadcast()


def is_file(session: Streamlink, stream: Any) -> bool:
    """Whether a stream is one answer that has a length: it was over before it began.

    Raises PlatformError.
    """
    if not isinstance(stream, HTTPStream) or isinstance(stream, HLSStream):
        return False
    with answer_of(session, **stream.args) as answer:
        if not answer.ok:
            raise refusal(
                answer.status_code, answer.headers.get("Retry-After"), stream.args["url"])
        return "Content-Length" in answer.headers


def live_edge(playlist: Playlist) -> Broadcast | None:
    """What a playlist with segments says; None when it has come to its end."""
    if playlist.is_endlist:
        return None
    newest = playlist.segments[-1]
    set_offsets(playlist.segments)
    offset = newest.byterange.offset if newest.byterange else None
    return Broadcast(edge=f"{newest.num}:{path_hash(newest.uri, offset)}")


def _unbegun(playlist: Playlist) -> Broadcast | None:
    return None if playlist.is_endlist else Broadcast()


def _there(found: Bare | None) -> Playlist:
    if found is None:
        raise PlatformError("The site calls it live, but its playlist is not there (any more)")
    if isinstance(found, M3U8):
        return found
    what = "a DASH manifest" if isinstance(found, MPD) else "something else"
    raise PlatformError(f"The site lists a playlist that is none: it is {what}")
