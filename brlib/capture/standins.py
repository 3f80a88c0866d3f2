"""What stands where streamlink has something of its own: for its ring buffer, and for a stream's
address. Used by `segments`."""

from __future__ import annotations

import threading
from typing import Any

from streamlink.stream.http import HTTPStream


class Tray:
    """Stands where streamlink has its ring buffer: takes one segment's bytes at a time."""

    def __init__(self) -> None:
        self.closed = False
        self.length = 0
        self.written_once = False
        self.event_used = threading.Event()
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._chunks.append(data)

    def take(self) -> bytes:
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def read(self, *_: Any, **__: Any) -> bytes:
        return b""

    def wait_free(self, timeout: float | None = None) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
        self.event_used.set()


class StreamMixin:
    """Before a stream: streamlink prepares a whole request each time that it is asked for its
    address, which is at every reload of the playlist."""

    args: dict[str, Any]
    session: Any
    _named: tuple[Any, str] | None = None

    @property
    def url(self) -> str:
        made_of = (self.args.get("url"), repr(self.args.get("params")),
                   repr(self.session.http.params))
        if self._named is None or self._named[0] != made_of:
            url: str = super().url  # type: ignore[misc]
            self._named = (made_of, url)
        return self._named[1]


def name_once(stream: Any) -> None:
    """Have a stream keep its address; some plugins have streams that make it anew."""
    if type(stream).url is HTTPStream.url:
        stream.__class__ = type("CaptureStream", (StreamMixin, type(stream)), {})
