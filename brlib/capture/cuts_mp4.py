"""FFmpeg's fragmented MP4, cut between fragments. Pure.

With `frag_keyframe` FFmpeg begins a fragment at each video keyframe; every fragment is a moof
and its mdat (ISO/IEC 14496-12, 8.8). The index behind the last one (mfra) is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .. import fmp4
from .cuts import HOLE_S, SAME_KEY_S, SAME_SOUND_S, SEGMENT_S, Cut, Joint

_INIT = (b"ftyp", b"moov")
_DURATION_IN_HEADER = 0x08
# trun, 8.8.8: fields before the samples, and those of each sample, with their flags.
_RUN_FIELDS = (0x01, 0x04)
_SAMPLE_FIELDS = (0x100, 0x200, 0x400, 0x800)


@dataclass(frozen=True)
class _Fragment:
    body: bytes
    start_s: float
    duration_s: float
    missing_s: float


class Mp4Cutter:
    def __init__(self, joint: Joint | None = None) -> None:
        self.first_s: float | None = None
        self.joined_s: float | None = None
        self._joint = joint
        self._data = bytearray()
        self._init = b""
        self._moof = b""
        self._track = 0
        self._timescale = 0
        self._open: list[_Fragment] = []
        self._begun = False
        self._cuts: list[Cut] = []

    @property
    def open_s(self) -> float:
        return sum(fragment.duration_s for fragment in self._open)

    def take(self, data: bytes) -> list[Cut]:
        self._data += data
        while len(self._data) >= 8:
            size, kind = struct.unpack_from(">I4s", self._data)
            if size == 1 and len(self._data) >= 16:
                size = struct.unpack_from(">Q", self._data, 8)[0]
            if size < 8 or len(self._data) < size:
                break
            box = bytes(self._data[:size])
            del self._data[:size]
            self._box(kind, box)
        return self._taken()

    def finish(self, whole: bool, rejoin: bool) -> list[Cut]:
        """A torn fragment was never taken, and each begins with a keyframe."""
        self._cut()
        return self._taken()

    def _taken(self) -> list[Cut]:
        taken, self._cuts = self._cuts, []
        return taken

    def _box(self, kind: bytes, box: bytes) -> None:
        if kind in _INIT:
            self._init += box
            if kind == b"moov":
                self._choose_track()
        elif kind == b"moof":
            self._moof = box
        elif kind == b"mdat" and self._moof:
            moof, self._moof = self._moof, b""
            ticks = fmp4.decode_times(moof).get(self._track)
            if ticks is None or not self._timescale:
                # It holds other tracks alone; it belongs to what is open.
                if self._open:
                    self._open.append(_Fragment(moof + box, self._open[-1].start_s, 0.0, 0.0))
                return
            self._fragment(moof, moof + box, ticks / self._timescale)

    def _choose_track(self) -> None:
        """The picture's, where there is one."""
        found = fmp4.tracks(self._init)
        for track in [one for one in found if one.width] or found:
            self._track, self._timescale = track.track_id, track.timescale
            return

    def _fragment(self, moof: bytes, body: bytes, start_s: float) -> None:
        lengths = [ticks / self._timescale for ticks in sample_ticks(moof, self._track)]
        held_s = sum(length for length in lengths if length <= HOLE_S)
        fragment = _Fragment(body, start_s, held_s, sum(lengths) - held_s)
        if self.first_s is None:
            self.first_s = start_s
        if not self._begun and self._is_here(start_s):
            return
        self._begun = True
        if self._open:
            before = self._open[-1]
            if before.missing_s or start_s - self._open[0].start_s >= SEGMENT_S - SAME_SOUND_S:
                self._cut()
        self._open.append(fragment)

    def _is_here(self, start_s: float) -> bool:
        """Whether the capture has this fragment already."""
        if self._joint is None or self.first_s is None:
            return False
        away_s = self._joint.distance_s(self.first_s, 0.0)
        if away_s is None:
            return False
        away_s += start_s - self.first_s
        self.joined_s = max(0.0, away_s)
        return away_s < -SAME_KEY_S

    def _cut(self) -> None:
        if not self._open:
            return
        fragments, self._open = self._open, []
        self._cuts.append(Cut(
            b"".join(fragment.body for fragment in fragments), self._init,
            fragments[0].start_s, sum(fragment.duration_s for fragment in fragments),
            fragments[-1].missing_s))


def sample_ticks(moof: bytes, track: int) -> list[int]:
    """The durations of a track's samples in a moof (tfhd 8.8.7, trun 8.8.8)."""
    found: list[int] = []
    for kind, traf in _boxes(moof[8:]):
        if kind != b"traf":
            continue
        default = 0
        for inner, box in _boxes(traf):
            if inner == b"tfhd":
                flags, number = struct.unpack_from(">II", box)
                if number != track:
                    break
                default = _default_ticks(box, flags & 0xFFFFFF)
            elif inner == b"trun":
                found += _run_ticks(box, default)
    return found


def _default_ticks(tfhd: bytes, flags: int) -> int:
    if not flags & _DURATION_IN_HEADER:
        return 0
    # Behind base_data_offset and sample_description_index, where they are.
    at = 8 + (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0)
    ticks: int = struct.unpack_from(">I", tfhd, at)[0]
    return ticks


def _run_ticks(trun: bytes, default: int) -> list[int]:
    flags, count = struct.unpack_from(">II", trun)
    flags &= 0xFFFFFF
    if not flags & 0x100:
        return [default] * count
    at = 8 + sum(4 for flag in _RUN_FIELDS if flags & flag)
    stride = sum(4 for flag in _SAMPLE_FIELDS if flags & flag)
    return [struct.unpack_from(">I", trun, at + stride * i)[0] for i in range(count)]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield kind, data[at + 8:at + size]
        at += size
