"""Files as answers: one range or all of it, by sendfile from its offset, or "not modified".

Used by the routes that give media. Werkzeug's own `send_file` would read and throw away
everything before a range: gunicorn's wrapper cannot seek for it.
"""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from flask import Response, g, request
from werkzeug.datastructures import Range
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import is_resource_modified, parse_range_header, quote_etag, unquote_etag

from ..errors import NotFound, Unavailable
from .connections import MEDIA_THREADS
from .slots import Slots

# Nobody alone takes all downloads that there may be.
SLOTS_EACH = MEDIA_THREADS // 2

# What FFmpeg is waited for: fewer than there are threads.
MAKING_MAX, MAKING_EACH = 12, 4

_slots, _making = Slots(), Slots()


class Download(io.FileIO):
    """An open file that holds one of the slots for downloads until it is closed."""

    def __init__(self, path: Path, holder: str | None) -> None:
        self._holder = ""
        if holder is not None and not _slots.take(holder, MEDIA_THREADS, SLOTS_EACH):
            raise Unavailable("Too many downloads run at the same time: try again soon")
        self._holder = holder or ""
        try:
            super().__init__(path, "rb")
        except OSError:
            self._give_back()
            raise

    def close(self) -> None:
        super().close()
        self._give_back()

    def _give_back(self) -> None:
        holder, self._holder = self._holder, ""
        if holder:
            _slots.give_back(holder)


@contextmanager
def making() -> Iterator[None]:
    """While something is made for whoever asks, which may have to wait for FFmpeg.

    Raises Unavailable.
    """
    holder = g.credential
    if not _making.take(holder, MAKING_MAX, MAKING_EACH):
        raise Unavailable("Too many players wait for pieces at the same time: try again soon")
    try:
        yield
    finally:
        _making.give_back(holder)


def send(path: Path, content_type: str, *, start: int = 0, size_bytes: int | None = None,
         etag: str | None = None, name: str | None = None, small: bool = False) -> Response:
    """The answer to a GET of a file, or of so many bytes of it from `start` on: what stands
    around them is as good as not there. A `small` one takes none of the places for downloads.

    Raises NotFound when it is gone, Unavailable when too many downloads run,
    RequestedRangeNotSatisfiable.
    """
    if etag and not is_resource_modified(request.environ, etag=etag):
        return _dressed(Response(status=304), content_type, etag, name)
    try:
        file = Download(path, None if small else g.credential)
    except OSError as error:
        raise NotFound("The file is not there any more") from error
    try:
        # Of the file that was opened: another may have its name by now.
        there = max(0, os.fstat(file.fileno()).st_size - start)
        size = there if size_bytes is None else size_bytes
        response = _part_of(file, start, size, etag)
    except BaseException:
        file.close()
        raise
    response.headers["Accept-Ranges"] = "bytes"
    return _dressed(response, content_type, etag, name)


def _part_of(file: Download, start: int, size: int, etag: str | None) -> Response:
    """Of what begins at `start` the range that was asked for, or all of it."""
    first, end, status = 0, size, 200
    wanted = _range()
    if wanted is not None and (etag is None or _same(etag)):
        first, end = _bounds(wanted, size)
        status = 206
    response = Response(status=status, direct_passthrough=True)
    if request.method == "HEAD":
        file.close()
    else:
        file.seek(start + first)
        # gunicorn gives what is wrapped so to sendfile, from where it stands.
        response.response = request.environ["wsgi.file_wrapper"](file)
    response.content_length = end - first
    if status == 206:
        response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return response


def _range() -> Range | None:
    """The one range that was asked for; what is no such thing is as good as not there
    (RFC 9110 section 14.2)."""
    found = parse_range_header(request.headers.get("Range"))
    return found if found and found.units == "bytes" and len(found.ranges) == 1 else None


def _bounds(wanted: Range, size: int) -> tuple[int, int]:
    """Of a suffix that is longer than the file all of it is meant (RFC 9110 section 14.1.2).

    Raises RequestedRangeNotSatisfiable.
    """
    ((first, end),) = wanted.ranges
    start = max(0, size + first) if first < 0 else first
    if start >= size:
        raise RequestedRangeNotSatisfiable(size)
    return start, size if end is None else min(end, size)


def _same(etag: str) -> bool:
    """Whether `If-Range` (if any) means the present file."""
    condition = request.headers.get("If-Range")
    return condition is None or unquote_etag(condition) == (etag, False)


def _dressed(response: Response, content_type: str, etag: str | None,
             name: str | None) -> Response:
    response.headers["Content-Type"] = content_type
    response.headers["Cache-Control"] = "private, no-cache"
    if etag:
        response.headers["ETag"] = quote_etag(etag)
    if name:
        plain = re.sub(r"[^\x20-\x7e]", "_", unicodedata.normalize("NFC", name))
        names = {"filename": plain}
        if plain != name:
            names["filename*"] = "UTF-8''" + quote(name, safe="!#$&+-.^_`|~")
        response.headers.set("Content-Disposition", "inline", **names)
    return response
