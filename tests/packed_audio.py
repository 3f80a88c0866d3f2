"""Packed audio as HLS has it (RFC 8216, 3.4): AAC in ADTS, cut between frames, each segment's
time in an ID3 tag before it. FFmpeg makes the sound; cutting and tags are made here."""

from __future__ import annotations

import functools
import subprocess

from .media import Clip

RATE_HZ = 48_000
FRAME_SAMPLES = 1024
CLOCK_HZ = 90_000
_OWNER = b"com.apple.streaming.transportStreamTimestamp\0"


@functools.cache
def frames(length_s: float) -> list[bytes]:
    """A tone as ADTS frames of 1024 samples."""
    data = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i",
         f"sine=frequency=500:sample_rate={RATE_HZ}", "-t", str(length_s), "-c:a", "aac", "-f",
         "adts", "pipe:1"], capture_output=True, timeout=60, check=True).stdout
    found, at = [], 0
    while at < len(data):
        # ISO/IEC 13818-7, 6.2: 13 bits of length, the header included.
        size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        found.append(data[at:at + size])
        at += size
    return found


def tag(time_s: float) -> bytes:
    frame = _OWNER + (round(time_s * CLOCK_HZ) % (1 << 33)).to_bytes(8, "big")
    body = b"PRIV" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    return b"ID3\x04\0\0" + len(body).to_bytes(4, "big") + body


def packed_clips(length_s: float, segment_s: float, start_s: float) -> list[Clip]:
    """One segment after the other; `frames` of a clip counts its frames of sound."""
    each = FRAME_SAMPLES / RATE_HZ
    made, cut = frames(length_s), list[Clip]()
    while made and len(cut) * segment_s < length_s:
        first = round(len(cut) * segment_s / each)
        body = made[first:round((len(cut) + 1) * segment_s / each)]
        cut.append(Clip(tag(start_s + first * each) + b"".join(body), len(body) * each, len(body)))
    return cut
