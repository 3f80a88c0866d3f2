"""Eight seconds of MPEG-TS that can be repeated for hours as one broadcast.

FFmpeg encodes them once; every repeat moves the timestamps on and keeps the continuity counters
going, so that a recorder sees no seam. Used by `origin`, which serves the segments, and by
tables that write them to a file themselves.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SEGMENT_S = 2
FRAMES_PER_S = 30
SEGMENT_FRAMES = SEGMENT_S * FRAMES_PER_S
# 375 frames of AAC at 48 kHz are 8 s exactly: no shorter stretch repeats without a seam.
SEGMENTS = 4
# The encoder and the muxer begin with delays of their own: what repeats is the second stretch.
FIRST = SEGMENTS
ENCODE_MAX_S = 300
AUDIO_BITS_PER_S = 128_000
_TICKS_PER_S = 90_000
_REPEAT_TICKS = SEGMENTS * SEGMENT_S * _TICKS_PER_S
_PACKET_BYTES = 188
_STAMP_MASK = (1 << 33) - 1


@dataclass(frozen=True)
class Look:
    size: str
    bits_per_s: int


FULL = Look("1280x720", 6_000_000)
SMALL = Look("320x180", 800_000)


@dataclass(frozen=True)
class _Stamp:
    """A timestamp of 90 kHz in a segment: where, its value, and the bits beside it."""

    at: int
    ticks: int
    clock: bool

    def write(self, body: bytearray, ticks: int) -> None:
        if self.clock:
            body[self.at:self.at + 4] = (ticks >> 1).to_bytes(4, "big")
            body[self.at + 4] = body[self.at + 4] & 0x7F | (ticks & 1) << 7
            return
        body[self.at] = body[self.at] & 0xF1 | ticks >> 29 & 0x0E
        body[self.at + 1:self.at + 3] = (ticks >> 14 & 0xFFFE | 1).to_bytes(2, "big")
        body[self.at + 3:self.at + 5] = (ticks << 1 & 0xFFFE | 1).to_bytes(2, "big")


class Template:
    """The segments of a broadcast, by their numbers."""

    def __init__(self, directory: Path) -> None:
        self._bodies = [(directory / f"{FIRST + i}.ts").read_bytes() for i in range(SEGMENTS)]
        self._stamps = [_stamps(body) for body in self._bodies]
        self._pids = [[(at, _pid(body, at)) for at in _counted(body)] for body in self._bodies]
        self._turn = Counter(pid for found in self._pids for _, pid in found)
        # Counters have four bits: after 16 repeats all is as it was.
        self._variants: dict[tuple[int, int], bytes] = {}

    @property
    def segment_bytes(self) -> int:
        """The mean."""
        return sum(map(len, self._bodies)) // SEGMENTS

    def segment(self, number: int) -> bytearray:
        repeat, which = divmod(number, SEGMENTS)
        body = bytearray(self._counting(which, repeat % 16))
        for stamp in self._stamps[which]:
            stamp.write(body, stamp.ticks + repeat * _REPEAT_TICKS & _STAMP_MASK)
        return body

    def _counting(self, which: int, repeat: int) -> bytes:
        if (which, repeat) not in self._variants:
            body = bytearray(self._bodies[which])
            for at, pid in self._pids[which]:
                count = body[at + 3] + repeat * self._turn[pid] & 0x0F
                body[at + 3] = body[at + 3] & 0xF0 | count
            self._variants[which, repeat] = bytes(body)
        return self._variants[which, repeat]


def make(directory: Path, look: Look) -> None:
    """Encode the segments into `directory`, at a constant bit rate."""
    video = look.bits_per_s - AUDIO_BITS_PER_S
    gop = str(SEGMENT_FRAMES)
    command = [
        "ffmpeg", "-nostdin", "-v", "error",
        "-f", "lavfi", "-i", f"testsrc2=size={look.size}:rate={FRAMES_PER_S}",
        "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
        "-t", str((FIRST + SEGMENTS + 1) * SEGMENT_S),
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0",
        "-g", gop, "-keyint_min", gop, "-sc_threshold", "0",
        "-b:v", str(video), "-minrate", str(video), "-maxrate", str(video),
        "-bufsize", str(video // 2), "-x264-params", "nal-hrd=cbr",
        "-c:a", "aac", "-b:a", str(AUDIO_BITS_PER_S),
        "-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_list_size", "0",
        "-hls_segment_filename", str(directory / "%d.ts"), str(directory / "list.m3u8")]
    subprocess.run(command, check=True, timeout=ENCODE_MAX_S)


def _pid(body: bytes, at: int) -> int:
    return int.from_bytes(body[at + 1:at + 3], "big") & 0x1FFF


def _counted(body: bytes) -> list[int]:
    """Packets with a payload: the others do not count."""
    return [at for at in range(0, len(body), _PACKET_BYTES) if body[at + 3] & 0x10]


def _stamps(body: bytes) -> list[_Stamp]:
    found = []
    for at in range(0, len(body), _PACKET_BYTES):
        payload = at + 4
        if body[at + 3] & 0x20:
            if body[at + 4] and body[at + 5] & 0x10:
                base = int.from_bytes(body[at + 6:at + 11], "big") >> 7
                found.append(_Stamp(at + 6, base, True))
            payload += 1 + body[at + 4]
        if body[at + 1] & 0x40 and body[payload:payload + 3] == b"\x00\x00\x01":
            flags = body[payload + 7] >> 6
            for place in range(payload + 9, payload + 9 + 5 * (flags >> 1) + 5 * (flags & 1), 5):
                if flags >> 1:
                    found.append(_Stamp(place, _read(body, place), False))
    return found


def _read(body: bytes, at: int) -> int:
    return ((body[at] & 0x0E) << 29 | (int.from_bytes(body[at + 1:at + 3], "big") & 0xFFFE) << 14
            | int.from_bytes(body[at + 3:at + 5], "big") >> 1)
