"""How a finished transport stream is divided: byte ranges of the file as it is.

A clean cut stands right before a PAT that a keyframe follows (ISO/IEC 13818-1, 2.4.4): both
FFmpeg and the packagers of HLS write them like that. The file is looked at every few seconds
of media, from there on to the next such place, which is less than a fifth of it. Where the
timestamps jump, as they do in segments that were only put one behind the other, it is read
closely, and the jump becomes a discontinuity.
"""

from __future__ import annotations

import functools
import itertools
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import Conflict, Unavailable
from ..mpegts import TS_PACKET_BYTES, program
from .outline import PIECE_MAX_S, PIECE_S, PIECES

CHUNK_BYTES = 256 * 1024
# Without a clean cut up to there a file has none.
SEARCH_BYTES = 256 * 1024 ** 2
CLOCK_HZ = 90_000
CLOCK_TURN = 1 << 33
_HEAD_BYTES = 4 * 1024 ** 2
# The tables and the beginning of a keyframe stand within so many packets of a PAT.
_LOOK_BYTES = 400 * TS_PACKET_BYTES
# A PAT begins in packets of PID 0 that start a section.
_PAT = b"\x47\x40\x00"
_VIDEO = frozenset(("h264", "hevc", "mpeg2video", "av1"))
_AUDIO = frozenset(("aac", "aac_latm", "mp3", "ac3", "eac3", "opus"))
# What neighbouring pieces' timestamps may be apart before it counts as a jump.
_JUMP_S = 120.0
_ODD_STEP_S = 10.0
# With so many more bytes than the pieces before, one may hide that time began again in it.
_ODD_RATE = 1.5


@dataclass(frozen=True)
class Range:
    """A piece of the file."""

    offset: int
    size_bytes: int
    duration_s: float
    discontinuity: bool = False


@dataclass(frozen=True)
class Place:
    """A clean cut, and the 90 kHz time of the first picture (or sound) behind it."""

    offset: int
    time: int


@dataclass(frozen=True)
class Packet:
    """What a TS packet's header says; `time` is the PTS of a unit that begins in it."""

    offset: int
    pid: int
    begins: bool
    keyframe: bool
    time: int | None


def packets(data: bytes, at: int = 0) -> Iterator[Packet]:
    """The packets of a piece of a stream, from the first sync byte on (2.4.3.2)."""
    while at + TS_PACKET_BYTES <= len(data):
        if data[at] != 0x47:
            at = data.find(b"\x47", at + 1)
            if at < 0:
                return
            continue
        adaptation = data[at + 4] if data[at + 3] & 0x20 else -1
        yield Packet(
            at, (data[at + 1] & 0x1F) << 8 | data[at + 2], bool(data[at + 1] & 0x40),
            adaptation > 0 and bool(data[at + 5] & 0x40),
            _time(data, at + 5 + adaptation) if data[at + 1] & 0x40 else None)
        at += TS_PACKET_BYTES


def _time(data: bytes, at: int) -> int | None:
    """The PTS in a PES header (2.4.3.6)."""
    head = data[at:at + 14]
    if len(head) < 14 or head[:3] != b"\x00\x00\x01" or not head[7] & 0x80:
        return None
    return ((head[9] & 0x0E) << 29 | head[10] << 22 | (head[11] & 0xFE) << 14
            | head[12] << 7 | head[13] >> 1)


@functools.lru_cache(maxsize=64)
def _tables(pair: bytes) -> tuple[int | None, bool, frozenset[int]]:
    """`lead_of` a PAT and a PMT of one packet each: the same again and again in a file."""
    return lead_of(pair)


def lead_of(data: bytes) -> tuple[int | None, bool, frozenset[int]]:
    """The PID that a stream is cut along, whether it is video, and the PIDs of all."""
    streams = [s for s in program(data) if s.codec in _VIDEO | _AUDIO]
    video = [s.pid for s in streams if s.codec in _VIDEO]
    pids = [s.pid for s in streams]
    return next(iter(video or pids), None), bool(video), frozenset(pids)


def clean(data: bytes, at: int, marked: bool) -> int | None:
    """The time at a PAT where nothing is cut in two, None for any other place.

    `marked` asks for a keyframe that says it is one (random_access_indicator, 2.4.3.5).
    """
    piece = data[at:at + _LOOK_BYTES]
    lead, video, pids = _tables(piece[:2 * TS_PACKET_BYTES])
    if lead is None:
        lead, video, pids = lead_of(piece)
    seen: set[int] = set()
    for packet in packets(piece):
        if packet.pid == 0 and packet.offset:
            return None  # The next PAT stands closer.
        if packet.pid not in pids:
            continue
        if not packet.begins and packet.pid not in seen:
            return None
        seen.add(packet.pid)
        if packet.pid == lead and packet.begins:
            return packet.time if packet.keyframe or not (video and marked) else None
    return None


def after_s(before: int, time: int) -> float:
    """Seconds from one time to a later one; the clock turns over every 26.5 hours."""
    return (time - before) % CLOCK_TURN / CLOCK_HZ


def content_s(times: list[int], unit_s: float = 0.0) -> float:
    """How long units last that begin at these times (in the order of decoding): each run
    without a jump from its first to its last, and that one's own length. `unit_s` is that
    length where the times do not tell."""
    runs: list[list[float]] = []
    for before, time in zip([times[0], *times] if times else [], times):
        step_s = ((time - before + CLOCK_TURN // 2) % CLOCK_TURN - CLOCK_TURN // 2) / CLOCK_HZ
        if not runs or abs(step_s) > _ODD_STEP_S:
            runs.append([0.0])
        else:
            runs[-1].append(runs[-1][-1] + step_s)
    steps = [b - a for run in map(sorted, runs) for a, b in zip(run, run[1:]) if b > a]
    unit_s = statistics.median(steps) if steps else unit_s
    return sum(max(run) - min(run) + unit_s for run in runs)


def ranges(path: Path, stopping: threading.Event) -> list[Range]:
    """Raises Conflict for what cannot be cut, Unavailable when it has to stop, OSError."""
    with open(path, "rb") as file:
        return Scan(file, stopping).ranges()


class Scan:
    """One pass over a file, from place to place."""

    def __init__(self, file: BinaryIO, stopping: threading.Event) -> None:
        self._file = file
        self._stopping = stopping
        self._size_bytes = file.seek(0, 2)
        self._marked = False
        self._jumped = False
        self._unit_s = 0.0
        self._step_s = PIECE_S
        self._found: list[Range] = []

    def ranges(self) -> list[Range]:
        here, bytes_per_s = self._begin()
        self._step_s = min(PIECE_MAX_S, max(PIECE_S, self._size_bytes / bytes_per_s / PIECES))
        while True:
            there = next(self._places(here.offset + int(bytes_per_s * self._step_s) + 1), None)
            if there is None:
                self._add_closely(here, None)
                return self._found
            size_bytes, duration_s = there.offset - here.offset, after_s(here.time, there.time)
            if 0 < duration_s < _JUMP_S and size_bytes < bytes_per_s * duration_s * _ODD_RATE:
                self._add(here, there.offset, duration_s)
                bytes_per_s = (bytes_per_s + size_bytes / duration_s) / 2
            else:
                self._add_closely(here, there)
            here = there

    def _begin(self) -> tuple[Place, float]:
        """Where the first piece begins, and how many bytes a second takes there."""
        head = self._read(0, _HEAD_BYTES)
        lead, _, _ = lead_of(head)
        self._marked = any(p.keyframe and p.pid == lead for p in packets(head))
        first = next(self._places(0, SEARCH_BYTES), None)
        if first is None:
            raise Conflict("The finished file has no place where it could be cut for HLS: take "
                           "the whole file, GET /api/recordings/{id}/file")
        times = times_of(head, lead)
        length_s = content_s(times)
        self._unit_s = length_s / len(times) if times else 0.0
        return first, max(1.0, len(head) / length_s if length_s else CHUNK_BYTES)

    def _read(self, offset: int, size_bytes: int) -> bytes:
        if self._stopping.is_set():
            raise Unavailable("The daemon is stopping")
        self._file.seek(offset)
        return self._file.read(size_bytes)

    def _places(self, offset: int, limit_bytes: int | None = None) -> Iterator[Place]:
        """The clean cuts from an offset on; `limit_bytes` is how far to look for them."""
        end = self._size_bytes if limit_bytes is None else offset + limit_bytes
        data = b""
        while offset < end:
            more = self._read(offset + len(data), CHUNK_BYTES)
            data += more
            at = data.find(_PAT)
            while at >= 0 and (at + _LOOK_BYTES <= len(data) or not more):
                time = clean(data, at, self._marked)
                if time is not None:
                    yield Place(offset + at, time)
                at = data.find(_PAT, at + 1)
            if not more:
                return
            # A place that needs more bytes, or two that may begin one.
            used = at if at >= 0 else len(data) - len(_PAT) + 1
            offset, data = offset + used, data[used:]

    def _add(self, here: Place, end: int, duration_s: float) -> None:
        # What stands before the first place belongs to the first piece.
        offset = here.offset if self._found else 0
        self._found.append(Range(offset, end - offset, duration_s, self._jumped))
        self._jumped = False

    def _add_closely(self, here: Place, there: Place | None) -> None:
        """Pieces up to a place (None: the end of the file) with all jumps between."""
        end = there.offset if there else self._size_bytes
        between = itertools.takewhile(
            lambda place: place.offset < end, self._places(here.offset + 1))
        before = here
        for place in (*between, there):
            offset = place.offset if place else end
            step_s = after_s(before.time, place.time) if place else 0.0
            whole_s = after_s(here.time, before.time) + step_s
            jumps = not 0 < step_s < _JUMP_S
            if jumps:
                data = self._read(before.offset, offset - before.offset)
                whole_s += content_s(times_of(data, lead_of(data)[0]), self._unit_s) - step_s
            if jumps or whole_s >= self._step_s or place is there:
                self._add(here, offset, whole_s)
                self._jumped = jumps
                here = place or here
            before = place or before


def times_of(data: bytes, lead: int | None) -> list[int]:
    """When the units of a stream are shown, in the order of decoding."""
    return [p.time for p in packets(data) if p.pid == lead and p.time is not None]
