"""Anything that claims to be an image → a JPEG of known size, by an FFmpeg on a short lead.

Used by `images`, from the threads of requests and of fetches: a few at a time, the others
wait for their turn.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from .. import picture
from ..config import Settings
from ..errors import Invalid, Problem, Unavailable
from ..picture import Limits
from ..workers import Child
from .base import ImageKind

log = logging.getLogger(__name__)

CONVERSIONS_MAX = 2
KILLED_WITHIN_S = 2.0


class Converter:
    def __init__(self, settings: Callable[[], Settings], limits: Limits) -> None:
        self._settings = settings
        self._limits = limits
        self._changed = threading.Condition()
        self._stopping = False
        self._running: set[Child] = set()

    def convert(self, source: Path, target: Path, kind: ImageKind) -> None:
        """Make `target` of `source`, which may be changed. Raises Invalid for what is no
        image, Unavailable, OSError."""
        with open(source, "rb") as file:
            form = picture.demuxer(file.read(picture.HEAD_BYTES))
        if form is None:
            raise _invalid("is not a PNG, JPEG, GIF or WebP image")
        if form == picture.WEBP:
            _make_still(source)
        ffmpeg = shutil.which(self._settings().ffmpeg_path)
        if ffmpeg is None:
            raise Unavailable("Images cannot be converted: FFmpeg is missing")
        code = self._run(picture.convert_args(
            ffmpeg, form, source, target, kind.size, self._limits))
        trouble = picture.trouble(code)
        if trouble is not None:
            raise Unavailable(trouble)
        # An input without a single frame is no error to FFmpeg, and no file.
        written = target.read_bytes() if target.exists() else b""
        if code != 0 or picture.jpeg_size(written) != kind.size:
            raise _invalid("is damaged, or has more than "
                           f"{self._limits.pixels_max // 1_000_000} megapixels")

    def _run(self, argv: list[str]) -> int | None:
        child = self._started(argv)
        try:
            code = child.wait(self._limits.deadline_s)
            if code is None:
                child.kill()
                child.wait(KILLED_WITHIN_S)
        finally:
            with self._changed:
                self._running.discard(child)
                self._changed.notify_all()
        for line in child.tail:
            log.debug("ffmpeg: %s", line)
        return code

    def _started(self, argv: list[str]) -> Child:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or len(self._running) < CONVERSIONS_MAX,
                self._limits.turn_max_s)
            if self._stopping:
                raise Unavailable("The daemon is stopping")
            if len(self._running) >= CONVERSIONS_MAX:
                raise Unavailable("Other images are being converted: try again in a moment")
            child = Child("image", argv)
            self._running.add(child)
            return child

    def stop(self) -> None:
        """End what runs and refuse what comes; returns at once, idempotent."""
        with self._changed:
            self._stopping = True
            for child in self._running:
                child.kill()
            self._changed.notify_all()


def _make_still(source: Path) -> None:
    frame = picture.first_frame(source.read_bytes())
    if frame is not None:
        source.write_bytes(frame)


def _invalid(message: str) -> Invalid:
    return Invalid([Problem("file", message)])
