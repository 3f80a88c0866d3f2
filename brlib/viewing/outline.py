"""How a finished MP4 or Matroska file is divided: where FFmpeg can cut it, found without
reading it through. Facts about FFmpeg are measured on 5.1.9.

A file's keyframes are found by seeking: one ffprobe jumps to every few seconds and tells the
keyframe that it lands on. An hour costs 0.2 CPU-s, ten hours 3 (MP4) or 0.3 (Matroska).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from ..errors import Conflict, Unavailable
from .base import FinishedFile, run

# Longer pieces in longer files: what a seek costs grows with the length, too.
PIECE_S = 6.0
PIECES = 3000
PIECE_MAX_S = 30.0
# One argument of a program must be shorter than 128 KiB.
SEEKS_AT_ONCE = 3000
PROBE_MAX_S = 60.0
# A piece is bounded right before its keyframe: half of what Matroska can tell apart.
_BEFORE_S = 0.0004
_SILENT_S = 30.0
# What players expect in transport streams, and what else there is room for in fragmented MP4
# (HEVC is asked for there by Apple's).
_IN_TS = frozenset(("h264", "mpeg2video", "aac", "mp3", "ac3", "eac3"))
_IN_MP4 = frozenset(("hevc", "av1", "vp9", "mpeg4", "opus", "flac", "alac"))
_KEYFRAME = re.compile(r"(-?\d+\.\d+),K")


@dataclass(frozen=True)
class Stream:
    """A stream that is cut along; `ends_s` is when it has its last packet, as far as known."""

    codec: str
    rate_hz: int
    ends_s: float | None


@dataclass(frozen=True)
class Outline:
    """A file, its streams, and the times at which its pieces begin, the end as the last.

    Times are the file's own: it does not have to begin at 0.
    """

    begins_s: tuple[float, ...]
    video: Stream | None
    audio: tuple[Stream, ...]

    @property
    def pieces(self) -> int:
        return len(self.begins_s) - 1

    @property
    def packing(self) -> str:
        """The suffix of its pieces. Transport streams where that is possible: the codec's
        parameters come with each piece, which not all players take in anew from a map."""
        codecs = {s.codec for s in (self.video, *self.audio) if s is not None}
        return ".ts" if codecs <= _IN_TS else ".m4s"

    def window(self, number: int) -> tuple[float | None, float | None]:
        """From when to when a piece has the file's packets; None is without a bound."""
        begin_s = self.begins_s[number] - _BEFORE_S if number else None
        last = number + 1 == self.pieces
        return begin_s, None if last else self.begins_s[number + 1] - _BEFORE_S

    def durations_s(self) -> list[float]:
        return [b - a for a, b in zip(self.begins_s, self.begins_s[1:])]

    def audible(self, number: int) -> tuple[int, ...]:
        """The audio streams that a piece can have something of. One that ended long before
        would have FFmpeg look for it until the end of the file."""
        begin_s = self.begins_s[number]
        return tuple(i for i, s in enumerate(self.audio)
                     if self.video is None or s.ends_s is None or begin_s < s.ends_s + _SILENT_S)


def outline(ffprobe: str, file: FinishedFile, stopping: threading.Event) -> Outline:
    """Raises Conflict for a file that is not for HLS, Unavailable when FFmpeg fails."""
    start_s, length_s, video, audio = parse_streams("\n".join(
        run("ffprobe", streams_args(ffprobe, file.path), PROBE_MAX_S, stopping)))
    times_s = seek_times_s(start_s, length_s)
    keys_s = times_s
    if video is not None:
        keys_s = []
        for at in range(0, len(times_s), SEEKS_AT_ONCE):
            batch = times_s[at:at + SEEKS_AT_ONCE]
            keys_s += parse_keyframes(
                run("ffprobe", keyframes_args(ffprobe, file.path, batch), PROBE_MAX_S, stopping))
    return Outline(begins_s(start_s, length_s, keys_s), video, audio)


def streams_args(ffprobe: str, path: Path) -> list[str]:
    return [
        ffprobe, "-v", "error", "-protocol_whitelist", "file", "-of", "json", "-show_entries",
        "format=start_time,duration:stream=codec_type,codec_name,sample_rate,start_time,duration"
        ":stream_disposition=attached_pic:stream_tags=DURATION", "-i", str(path),
    ]


def keyframes_args(ffprobe: str, path: Path, times_s: Sequence[float]) -> list[str]:
    """Seek to each time and show the one packet that comes there."""
    intervals = ",".join(f"{time_s:.3f}%+#1" for time_s in times_s)
    return [
        ffprobe, "-v", "error", "-protocol_whitelist", "file", "-of", "csv=p=0",
        "-select_streams", "V:0", "-show_entries", "packet=pts_time,flags",
        "-read_intervals", intervals, "-i", str(path),
    ]


def seek_times_s(start_s: float, length_s: float) -> list[float]:
    step_s = min(PIECE_MAX_S, max(PIECE_S, length_s / PIECES))
    return [start_s + number * step_s for number in range(max(1, ceil(length_s / step_s)))]


def parse_keyframes(lines: Sequence[str]) -> list[float]:
    """Side data give lines of their own, and so does what ffprobe complains of."""
    return [float(match[1]) for line in lines if (match := _KEYFRAME.match(line))]


def begins_s(start_s: float, length_s: float, keys_s: Sequence[float]) -> tuple[float, ...]:
    """The file's beginning and end, and the keyframes between."""
    end_s = start_s + max(length_s, 0.001)
    # The first piece begins with the file, whatever comes before the first keyframe.
    later = sorted(set(keys_s))[1:]
    return (start_s, *(key_s for key_s in later if start_s < key_s < end_s), end_s)


def parse_streams(text: str) -> tuple[float, float, Stream | None, tuple[Stream, ...]]:
    """Start and length of the file, its first video and its audio streams.

    Raises Conflict for codecs that HLS has no room for, Unavailable for no answer.
    """
    try:
        answer = json.JSONDecoder().raw_decode(text, max(0, text.find("{\n")))[0]
        start_s = float(answer["format"].get("start_time", 0.0))
        length_s = float(answer["format"]["duration"])
        rows: list[dict[str, Any]] = answer["streams"]
        pictures = [row for row in rows if row.get("codec_type") == "video"
                    and not row.get("disposition", {}).get("attached_pic")]
        video = [_stream(row) for row in pictures[:1]]
        audio = [_stream(row) for row in rows if row.get("codec_type") == "audio"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable("ffprobe cannot read the finished file") from error
    odd = [s.codec for s in (*video, *audio) if s.codec not in _IN_TS | _IN_MP4]
    if odd or not (video or audio):
        raise Conflict(f"{' and '.join(odd) or 'A file without streams'} cannot be watched as "
                       "HLS: take the whole file, GET /api/recordings/{id}/file")
    return start_s, length_s, video[0] if video else None, tuple(audio)


def _stream(row: dict[str, Any]) -> Stream:
    ends_s = None
    if "duration" in row:
        ends_s = float(row.get("start_time", 0.0)) + float(row["duration"])
    elif match := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)",
                               row.get("tags", {}).get("DURATION", "")):
        ends_s = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
    return Stream(str(row["codec_name"]), int(row.get("sample_rate", 0)) or 48000, ends_s)
