"""FFmpeg's transport stream, cut at its keyframes. Pure.

FFmpeg (5.1.9) writes a PES in one run of packets, a PAT and PMT before each video keyframe
and every 0.1 s, and marks keyframes with the random access indicator (ISO/IEC 13818-1, 2.4.3.5).
Only packets that begin something are looked at: about 60 a second, however high the bitrate.
"""

from __future__ import annotations

import re

from ..mpegts import TS_PACKET_BYTES
from ..shape import shape_of
from .cuts import (
    HOLE_S, SAME_KEY_S, SAME_SOUND_S, SEGMENT_MAX_BYTES, SEGMENT_MAX_S, SEGMENT_S, Cut, Joint,
)

CLOCK_HZ = 90_000
CLOCK_TURN = 1 << 33
TURN_S = CLOCK_TURN / CLOCK_HZ
# The second byte of a packet with payload_unit_start_indicator and no transport error.
_STARTS = re.compile(rb"[\x40-\x7f]")
_PES = b"\x00\x00\x01"
# PIDs of PAT and SDT, which come before the PMT, and all of them right before a PES.
_TABLES = (0x00, 0x11)
_TABLES_MAX_BYTES = 4 * TS_PACKET_BYTES
_VIDEO_IDS = range(0xE0, 0xF0)
_FRAME_S = 0.04


class TsCutter:
    """Offsets are counted from the first byte ever taken; `_base` is where the buffer begins."""

    def __init__(self, joint: Joint | None = None) -> None:
        self.first_s: float | None = None
        self.joined_s: float | None = None
        self._joint = joint
        self._data = bytearray()
        self._base = 0
        self._seen = 0
        self._table = -1
        self._pes = 0
        self._pes_leads = False
        self._key = 0
        self._key_s = 0.0
        self._video: bool | None = None
        self._start_s: float | None = None
        self._last_s = 0.0
        self._step_s = _FRAME_S
        self._heard_s: float | None = None
        self._cuts: list[Cut] = []

    @property
    def open_s(self) -> float:
        return 0.0 if self._start_s is None else self._last_s - self._start_s + self._step_s

    def take(self, data: bytes) -> list[Cut]:
        self._data += data
        size_bytes = len(self._data) // TS_PACKET_BYTES * TS_PACKET_BYTES
        seen, self._seen = self._seen, self._base + size_bytes
        seconds = self._data[seen - self._base + 1:size_bytes:TS_PACKET_BYTES]
        for found in _STARTS.finditer(seconds):
            self._begins(seen + found.start() * TS_PACKET_BYTES)
        return self._taken()

    def finish(self, whole: bool, rejoin: bool) -> list[Cut]:
        end, duration_s = self._seen, self.open_s
        if not whole and rejoin:
            end, duration_s = self._key, self._key_s - (self._start_s or 0.0)
        elif not whole:
            # What began last may be torn; a picture counts from the one behind it on.
            end, duration_s = self._pes, duration_s - self._step_s * self._pes_leads
        if self._start_s is not None and end > self._base and duration_s > 0:
            self._cut(end, duration_s)
        self._start_s = None
        return self._taken()

    def _taken(self) -> list[Cut]:
        taken, self._cuts = self._cuts, []
        return taken

    def _begins(self, offset: int) -> None:
        """A packet in which a table or a PES begins."""
        at = offset - self._base
        head = self._data[at:at + TS_PACKET_BYTES]
        if not head[1] & 0x1F and head[2] in _TABLES:
            self._table = offset if self._table < 0 else self._table
            return
        key, payload = False, 4
        if head[3] & 0x20:
            key, payload = bool(head[4] and head[5] & 0x40), 5 + head[4]
        if head[payload:payload + 3] != _PES or len(head) < payload + 14:
            return
        ours = 0 <= offset - self._table <= _TABLES_MAX_BYTES
        place = self._table if ours and self._table >= 0 else offset
        self._table, self._pes = -1, place
        ticks = _ticks(head, payload)
        if ticks is not None:
            self._pes_begins(place, head[payload + 3] in _VIDEO_IDS, key, ticks / CLOCK_HZ)

    def _pes_begins(self, place: int, video: bool, key: bool, time_s: float) -> None:
        if self._video is None:
            shape = shape_of(bytes(self._data), None)
            self._video = shape is not None and "video" in shape.kinds
        self._pes_leads = video is self._video
        if not self._pes_leads:
            self._other_begins(time_s)
            return
        if self.first_s is None:
            self.first_s = self._last_s = time_s
        time_s = self._last_s + _less_turns(time_s - self._last_s)
        key = key or not self._video
        if self._start_s is None:
            self._maybe_start(place, key, time_s)
        else:
            self._go_on(place, key, time_s)
        if key:
            self._key, self._key_s = place, time_s
        self._last_s = time_s
        self._heard_s = None

    def _other_begins(self, time_s: float) -> None:
        """Sound beside a picture that does not come any more is what the rest is cut by."""
        if self._heard_s is None:
            self._heard_s = time_s
        elif self._video and _less_turns(time_s - self._heard_s) > SEGMENT_MAX_S:
            self._video = False

    def _maybe_start(self, place: int, key: bool, time_s: float) -> None:
        """The first segment: with all that came before its picture or, behind a joint, from
        the first keyframe that the capture does not have."""
        assert self.first_s is not None
        away_s = None
        if self._joint is not None:
            away_s = self._joint.distance_s(self.first_s, TURN_S)
        if away_s is not None:
            away_s += time_s - self.first_s
            same_s = SAME_KEY_S if self._video else SAME_SOUND_S
            if away_s < -same_s or not key:
                self._drop(place)
                return
            self.joined_s = max(0.0, away_s)
            if self.first_s != time_s:
                self._drop(place)
        self._start_s = time_s

    def _go_on(self, place: int, key: bool, time_s: float) -> None:
        assert self._start_s is not None
        step_s, length_s = time_s - self._last_s, time_s - self._start_s
        if not -HOLE_S <= step_s <= HOLE_S:
            self._cut(place, self.open_s, max(0.0, step_s - self._step_s))
            self._start_s = time_s
        elif key and length_s >= SEGMENT_S - SAME_SOUND_S or length_s >= SEGMENT_MAX_S or (
                place - self._base >= SEGMENT_MAX_BYTES):
            self._cut(place, length_s)
            self._start_s = time_s
        if 0 < step_s <= HOLE_S:
            self._step_s = step_s

    def _cut(self, end: int, duration_s: float, missing_s: float = 0.0) -> None:
        assert self._start_s is not None
        body = bytes(self._data[:end - self._base])
        self._cuts.append(Cut(body, None, self._start_s, duration_s, missing_s))
        self._drop(end)

    def _drop(self, end: int) -> None:
        del self._data[:end - self._base]
        self._base = end


def _less_turns(step_s: float) -> float:
    """A step without the turns of the 33-bit clock in it."""
    return (step_s + TURN_S / 2) % TURN_S - TURN_S / 2


def _ticks(head: bytes | bytearray, at: int) -> int | None:
    """A PES header's DTS, else its PTS (2.4.3.7); None when it has neither."""
    flags = head[at + 7] >> 6
    if flags not in (2, 3):
        return None
    at += 14 if flags == 3 else 9
    if len(head) < at + 5:
        return None
    return ((head[at] >> 1 & 7) << 30 | head[at + 1] << 22 | head[at + 2] >> 1 << 15
            | head[at + 3] << 7 | head[at + 4] >> 1)
