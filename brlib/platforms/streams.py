"""Which of streamlink's streams can be recorded: the one place where platforms ask that.

Plain HLS is captured segment by segment; separate audio, DASH and plain HTTP go through
FFmpeg (`brlib.capture.remux`), which is another capture to nobody but the capture.
"""

from __future__ import annotations

from typing import Any

from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.http import HTTPStream

from ..errors import PlatformError
from .base import Opened


def recordable(stream: Any) -> bool:
    if isinstance(stream, MuxedStream):
        return bool(stream.substreams) and all(map(recordable, stream.substreams))
    return isinstance(stream, (HTTPStream, DASHStream))


def opened(name: str, stream: Any) -> Opened:
    """The stream of this name, to be recorded. Raises PlatformError for what cannot be."""
    if not recordable(stream):
        raise PlatformError(
            f"The stream {name} is of a kind ({type(stream).shortname()}) that cannot be recorded")
    return Opened(stream, "source" if name in ("live", "best") else name)
