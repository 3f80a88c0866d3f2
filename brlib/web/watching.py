"""A recording's media: the finished file, and a playlist to watch it while it is made."""

from __future__ import annotations

import gzip
from typing import Any

from flask import Response, request

from ..errors import NotFound
from . import files, kinds
from .kinds import Field
from .routes import Given, Media, Routes, service

routes = Routes("watching")

NOT_FOUND = "RECORDING_NOT_FOUND"
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
TYPES = {".mp4": "video/mp4", ".mkv": "video/x-matroska", ".ts": "video/mp2t",
         ".m4s": "video/iso.segment", ".aac": "audio/aac", ".mp3": "audio/mpeg",
         ".ac3": "audio/ac3"}
GZIPPED_FROM_BYTES = 8192
FILE = {"part": Field(kinds.whole_text(1, 10_000), about="Of a recording in several files")}


def type_of(name: str) -> str:
    return TYPES.get(name[name.rfind("."):], "application/octet-stream")


@routes.get("/recordings/<recording_id>/file", "Get the finished file",
            Media(tuple(TYPES.values()), partial=True), query=FILE,
            errors=(NOT_FOUND, "UNAVAILABLE"))
def get_file(recording_id: str, query: Given) -> Response:
    """Whole or one range of it."""
    path = service().archive.file(recording_id, query.get("part", 1))
    try:
        found = path.stat()
    except OSError as error:
        raise NotFound("The file is not there any more") from error
    etag = f"{found.st_mtime_ns:x}-{found.st_size:x}"
    return files.send(path, type_of(path.name), etag=etag, name=path.name)


@routes.get("/recordings/<recording_id>/playlist.m3u8", "Watch a recording",
            Media((PLAYLIST_TYPE,)), errors=(NOT_FOUND, "CONFLICT", "UNAVAILABLE"))
def get_playlist(recording_id: str) -> Any:
    """An HLS playlist from the recording's beginning: while it is made, and afterwards."""
    engine = service()
    with files.making():
        text = engine.viewing.playlist(engine.archive.watched(recording_id))
    response = Response(text, content_type=PLAYLIST_TYPE)
    response.headers["Vary"] = "Accept-Encoding"
    if len(text) > GZIPPED_FROM_BYTES and request.accept_encodings["gzip"]:
        # Ten hours are 1.9 MB at every reload, or 0.16.
        response.data = gzip.compress(text.encode(), 1)
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@routes.get("/recordings/<recording_id>/media/<name>", "Get what a playlist names",
            Media(tuple(TYPES.values()), partial=True),
            errors=(NOT_FOUND, "CONFLICT", "UNAVAILABLE"))
def get_media(recording_id: str, name: str) -> Response:
    engine = service()
    with files.making():
        media = engine.viewing.media(engine.archive.watched(recording_id), name)
    return files.send(
        media.path, media.content_type, start=media.start, size_bytes=media.size_bytes)
