"""Pieces of finished files, cut by FFmpeg when they are asked for and kept for a while.

A piece has the file's own packets and its own timeline: every packet stands in exactly one
piece. FFmpeg's `-ss` and `-to` are no such bounds (they look at
decoding times, and differ between streams): they only spare it the rest of the file. What is
in a piece is decided packet by packet, by the `noise` bitstream filter: video from keyframe
to keyframe in the order of the file, audio by its presentation time.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import Unavailable
from .base import LOOK_EVERY_S, run
from .outline import Outline

AT_ONCE = 2
QUEUE_MAX_S = 10.0
CUT_MAX_S = 20.0
KEPT_BYTES = 64 * 1024 ** 2
# What was asked for just now is there when it is opened, however large.
KEPT_FILES = 8
# Decoding times run before presentation times, and audio may be interleaved late.
_MARGIN_S = 2.0


def cut_args(
    ffmpeg: str, source: Path, outline: Outline, number: int, shift_s: float, target: Path
) -> list[str]:
    """FFmpeg from a piece of a file to a transport stream or, init section first, fragmented
    MP4: streams copied, `shift_s` added to all times."""
    begin_s, end_s = outline.window(number)
    args = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    if begin_s is not None:
        # Counted from the file's start, unlike the times that -copyts leaves as they are.
        args += ["-ss", f"{max(0.0, begin_s - outline.begins_s[0] - _MARGIN_S):.3f}"]
    args += ["-copyts", "-protocol_whitelist", "file", "-i", str(source)]
    if end_s is not None:
        args += ["-to", f"{end_s + _MARGIN_S:.3f}"]
    # FFmpeg 5.1 tells its filters the time base of the input and the times in that of the
    # output: they have to be the same one.
    if outline.video is not None:
        args += ["-map", "0:V:0", "-bsf:v", _video_filter(begin_s, end_s),
                 "-time_base:v", "1:90000"]
    for place, stream in enumerate(outline.audible(number)):
        clock_hz = 90_000 if outline.packing == ".ts" else outline.audio[stream].rate_hz
        args += ["-map", f"0:a:{stream}", f"-time_base:a:{place}", f"1:{clock_hz}"]
    return args + [
        "-bsf:a", _audio_filter(begin_s, end_s), "-c", "copy", "-max_muxing_queue_size", "4096",
        "-output_ts_offset", f"{shift_s:g}", *_packing_args(outline), str(target),
    ]


def _packing_args(outline: Outline) -> tuple[str, ...]:
    if outline.packing == ".ts":
        return ("-muxdelay", "0", "-muxpreload", "0", "-mpegts_flags", "initial_discontinuity",
                "-f", "mpegts")
    # Players of Apple's know HEVC by this name only.
    hevc = outline.video is not None and outline.video.codec == "hevc"
    return (*(("-tag:v", "hvc1") if hevc else ()),
            "-video_track_timescale", "90000", "-avoid_negative_ts", "disabled",
            "-use_editlist", "0", "-strict", "-2", "-movflags",
            "frag_keyframe+empty_moov+default_base_moof+frag_discont+skip_trailer", "-f", "mp4")


def _video_filter(begin_s: float | None, end_s: float | None) -> str:
    """From the first keyframe at `begin_s` or behind it up to the first at `end_s`: pictures
    that are shown before their keyframe follow it in the file, and stay with it."""
    passed = "+".join(f"gte(pts*tb,{bound:.6f})" for bound in (begin_s, end_s)
                      if bound is not None) or "0"
    inside = 0 if begin_s is None else 1
    return f"noise=drop='st(0,max(ld(0),key*({passed})))*0+not(eq(ld(0),{inside}))'"


def _audio_filter(begin_s: float | None, end_s: float | None) -> str:
    outside = [f"lt(pts*tb,{begin_s:.6f})"] if begin_s is not None else []
    outside += [f"gte(pts*tb,{end_s:.6f})"] if end_s is not None else []
    return f"noise=drop='{'+'.join(outside) or '0'}'"


def init_bytes(source: BinaryIO) -> int:
    """How long the init section is: up to the first moof box (ISO/IEC 14496-12, 8.8.4).

    Raises Unavailable when there is none: nothing was cut.
    """
    at = 0
    while len(head := source.read(8)) == 8 and head[4:] != b"moof":
        at = source.seek(at + max(8, int.from_bytes(head[:4], "big")))
    if len(head) < 8:
        raise Unavailable("FFmpeg cut an empty piece")
    return at


@dataclass(frozen=True)
class Cut:
    """A piece to be had: the name it is kept under, that of the init section where this is
    the piece to take it from, and the FFmpeg call that writes both to a path."""

    name: str
    init_name: str | None
    args: Callable[[Path], list[str]]


class Cuts:
    """A directory of pieces, at most `KEPT_BYTES` of them, the longest unused out first."""

    def __init__(self, directory: Path, stopping: threading.Event) -> None:
        self._directory = directory
        self._stopping = stopping
        self._lock = threading.Lock()
        self._turn = threading.Condition()
        self._making: set[str] = set()
        self._kept: OrderedDict[str, int] = OrderedDict()

    def get(self, cut: Cut, wanted: str) -> tuple[Path, int]:
        """Path and size of what is called `wanted`: the cut's piece or its init section.

        Raises Unavailable when there is no free FFmpeg soon, or it fails.
        """
        found = self._find(wanted)
        if found is not None:
            return found
        with self._its_turn(cut.name):
            # Somebody else may have had it cut just now.
            found = self._find(wanted)
            if found is None:
                self._make(cut)
                found = self._find(wanted)
        if found is None:
            raise Unavailable("The piece was dropped again at once")
        return found

    def forget(self, prefix: str) -> None:
        """Drop what is called so."""
        with self._lock:
            for name in [name for name in self._kept if name.startswith(prefix)]:
                self._drop(name)

    @contextmanager
    def _its_turn(self, name: str) -> Iterator[None]:
        """Only so many at a time, and each piece only once."""
        end_s = time.monotonic() + QUEUE_MAX_S
        with self._turn:
            while name in self._making or len(self._making) >= AT_ONCE:
                self._turn.wait(LOOK_EVERY_S)
                if self._stopping.is_set() or time.monotonic() > end_s:
                    raise Unavailable("Too much is being watched at the same time: try again")
            self._making.add(name)
        try:
            yield
        finally:
            with self._turn:
                self._making.discard(name)
                self._turn.notify_all()

    def _find(self, name: str) -> tuple[Path, int] | None:
        with self._lock:
            size_bytes = self._kept.get(name)
            if size_bytes is None:
                return None
            self._kept.move_to_end(name)
        return self._directory / name, size_bytes

    def _make(self, cut: Cut) -> None:
        made = self._directory / f".{secrets.token_hex(4)}.made"
        try:
            run("ffmpeg-cut", cut.args(made), CUT_MAX_S, self._stopping)
            if cut.name.endswith(".m4s"):
                self._split(made, cut)
            else:
                self._name(made, cut.name)
        except OSError as error:
            raise Unavailable(f"The piece cannot be written: {error}") from error
        finally:
            made.unlink(missing_ok=True)

    def _split(self, made: Path, cut: Cut) -> None:
        part = made.with_suffix(".part")
        try:
            with open(made, "rb") as source:
                media_at = init_bytes(source)
                source.seek(0)
                part.write_bytes(source.read(media_at))
                if cut.init_name is not None:
                    self._name(part, cut.init_name)
                with open(part, "wb") as target:
                    shutil.copyfileobj(source, target, 1024 ** 2)
            self._name(part, cut.name)
        finally:
            part.unlink(missing_ok=True)

    def _name(self, path: Path, name: str) -> None:
        """A whole file gets its name, and the longest unused ones leave."""
        size_bytes = path.stat().st_size
        if not size_bytes:
            raise Unavailable("FFmpeg cut an empty piece")
        with self._lock:
            os.replace(path, self._directory / name)
            self._kept[name] = size_bytes
            self._kept.move_to_end(name)
            self._make_room()

    def _make_room(self) -> None:
        while len(self._kept) > KEPT_FILES and sum(self._kept.values()) > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: str) -> None:
        del self._kept[name]
        (self._directory / name).unlink(missing_ok=True)
