"""What to tell FFmpeg and how to read what it says; runs nothing.

Called by `brlib.assembly`. Facts about FFmpeg are measured on 5.1.9.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .models import Sums

CONTAINERS = ("mp4", "mkv", "ts")
_MUXERS = {"mp4": "mp4", "mkv": "matroska", "ts": "mpegts"}
# FFmpeg's demuxer for each container of a capture's part. Forced, never guessed:
# a guess could open something else that a hostile origin put there.
_DEMUXERS = {"ts": "mpegts", "mp4": "mov", "aac": "aac", "mp3": "mp3", "ac3": "ac3"}
_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "warning", "-y", "-progress", "pipe:1",
          "-nostats", "-stats_period", "1")
_COPY = ("-map", "0:v?", "-map", "0:a?", "-c", "copy", "-max_muxing_queue_size", "4096")
# What a file may be shorter than its segments' EXTINF before their frames are counted:
# those are rounded, by some packagers to whole seconds.
_DURATION_SLACK_S = 0.5
_DURATION_SLACK = 0.005
_COUNTED = {"video": "v:0", "audio": "a:0"}


def remux_args(ffmpeg: str, part_container: str, container: str, target: Path) -> list[str]:
    """FFmpeg from stdin to `target`, streams copied.

    It ends by itself at the end of stdin and writes the trailer. Timestamp resets
    inside TS are made continuous by FFmpeg itself (ffmpeg.c, AVFMT_TS_DISCONT).
    """
    source = ["-protocol_whitelist", "pipe,file", "-f", _DEMUXERS[part_container]]
    return [ffmpeg, *_QUIET, *source, "-i", "pipe:0", *_COPY, "-f", _MUXERS[container],
            str(target)]


def remux_file_args(ffmpeg: str, source: Path, container: str, target: Path) -> list[str]:
    """FFmpeg from one finished file to another, streams copied."""
    return [ffmpeg, *_QUIET, "-protocol_whitelist", "file", "-i", str(source), *_COPY,
            "-f", _MUXERS[container], str(target)]


def probe_args(ffprobe: str, path: Path) -> list[str]:
    """ffprobe of a finished file: container, duration, streams."""
    return [
        ffprobe, "-v", "error", "-protocol_whitelist", "file", "-of", "json",
        "-show_entries", "format=duration,size:stream=codec_type,codec_name,nb_frames",
        "-i", str(path),
    ]


def progress_value(line: str) -> tuple[str, str] | None:
    """A `key=value` line of `-progress`, or None for a line of the log."""
    key, sign, value = line.strip().partition("=")
    if not sign or not key.replace("_", "").isalnum() or " " in key:
        return None
    return key, value.strip()


@dataclass(frozen=True)
class Probe:
    """What ffprobe found in a file."""

    duration_s: float
    size_bytes: int
    kinds: frozenset[str]


def parse_probe(text: str) -> Probe | None:
    """The answer to `probe_args`, lines of its log before and behind it left out; None when
    there is none."""
    start = max(0, text.find("{\n"))
    try:
        answer, _ = json.JSONDecoder().raw_decode(text, start)
        form = answer["format"]
        return Probe(
            duration_s=float(form.get("duration", 0.0)),
            size_bytes=int(form.get("size", 0)),
            kinds=frozenset(s.get("codec_type", "") for s in answer.get("streams", [])),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def disagreement(probe: Probe | None, held: Sums, kinds: frozenset[str]) -> str | None:
    """What is wrong with a finished file for all that the capture holds; None: nothing is.

    `too_short` looks at its length.
    """
    if probe is None:
        return "ffprobe cannot read the file"
    missing = kinds - probe.kinds
    if missing:
        return f"the file has no {' and no '.join(sorted(missing))} stream, the capture has"
    if probe.size_bytes < held.captured_bytes * 0.2:
        return f"the file has {probe.size_bytes} bytes, the capture {held.captured_bytes}"
    return None


def too_short(probe: Probe, held: Sums) -> str | None:
    """Whether a file is shorter than its segments claim to be. It may be longer, by the
    gaps that FFmpeg keeps as time."""
    slack_s = _DURATION_SLACK_S + held.captured_s * _DURATION_SLACK
    if probe.duration_s >= held.captured_s - slack_s:
        return None
    return f"the file is {probe.duration_s:.1f} s long, the capture {held.captured_s:.1f} s"


def count_args(ffprobe: str, path: Path, kind: str, part_container: str | None) -> list[str]:
    """ffprobe that counts the packets of a file's first stream of a kind: exact, and as slow
    as reading it all. `part_container` for a part of a capture, whose demuxer is forced."""
    form = ["-f", _DEMUXERS[part_container]] if part_container else []
    return [
        ffprobe, "-v", "error", "-protocol_whitelist", "file", "-of", "csv=p=0",
        "-count_packets", "-select_streams", _COUNTED[kind],
        "-show_entries", "stream=nb_read_packets", *form, "-i", str(path),
    ]
