"""What to tell FFmpeg and how to read what it says; runs nothing.

Called by `brlib.assembly`, and by `brlib.capture` and `brlib.platforms` for streams that are
not plain HLS. Facts about FFmpeg are measured on 5.1.9.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import fmp4, mpegts
from .models import Sums

CONTAINERS = ("mp4", "mkv", "ts")
_MUXERS = {"mp4": "mp4", "mkv": "matroska", "ts": "mpegts"}
# FFmpeg's demuxer for each container of a capture's part. Forced, never guessed:
# a guess could open something else that a hostile origin put there.
_DEMUXERS = {"ts": "mpegts", "mp4": "mov", "aac": "aac", "mp3": "mp3", "ac3": "ac3"}
_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "warning", "-y", "-progress", "pipe:1",
          "-nostats", "-stats_period", "1")
_STREAMS = ("-map", "0:v?", "-map", "0:a?")
_QUEUE = ("-max_muxing_queue_size", "4096")
COPY = ("-c", "copy")
# What a file may be shorter than its segments' EXTINF before their frames are counted:
# those are rounded, by some packagers to whole seconds.
_DURATION_SLACK_S = 0.5
_DURATION_SLACK = 0.005
_COUNTED = {"video": "v:0", "audio": "a:0"}


def remux_args(
    ffmpeg: str, part_container: str, container: str, target: Path,
    coding: Sequence[str] = COPY, device: Sequence[str] = (),
) -> list[str]:
    """FFmpeg from stdin to `target`; `coding` says what becomes of the streams, `device` on
    what.

    It ends by itself at the end of stdin and writes the trailer. Timestamp resets
    inside TS are made continuous by FFmpeg itself (ffmpeg.c, AVFMT_TS_DISCONT).
    """
    source = ["-protocol_whitelist", "pipe,file", "-f", _DEMUXERS[part_container]]
    return [ffmpeg, *_QUIET, *device, *source, "-i", "pipe:0", *_STREAMS, *coding, *_QUEUE,
            "-f", _MUXERS[container], str(target)]


def remux_file_args(
    ffmpeg: str, source: Path, container: str, target: Path,
    coding: Sequence[str] = COPY, device: Sequence[str] = (),
) -> list[str]:
    """The same from one finished file to another."""
    return [ffmpeg, *_QUIET, *device, "-protocol_whitelist", "file", "-i", str(source), *_STREAMS,
            *coding, *_QUEUE, "-f", _MUXERS[container], str(target)]


def trial_args(ffmpeg: str, coding: Sequence[str], device: Sequence[str]) -> list[str]:
    """FFmpeg that does the same to a moment of black and silence, for nobody: whether the
    encoder is there, has its hardware, and takes what it is told."""
    return [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", *device,
            "-f", "lavfi", "-i", "color=c=black:s=640x360:r=30",
            "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo",
            "-map", "0:v", "-map", "1:a", "-t", "0.3", *coding, "-f", "null", "-"]


def probe_args(ffprobe: str, path: Path) -> list[str]:
    """ffprobe of a finished file: container, duration, streams."""
    return [
        ffprobe, "-v", "error", "-protocol_whitelist", "file", "-of", "json",
        "-show_entries", "format=duration,size:stream=codec_type,codec_name,nb_frames,duration"
        ":stream_tags=DURATION",
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
    """What ffprobe found in a file; `picture_s` where that says how long it is of itself."""

    duration_s: float
    size_bytes: int
    kinds: frozenset[str]
    picture_s: float | None = None


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
            picture_s=next((_length_s(s) for s in answer.get("streams", [])
                            if s.get("codec_type") == "video"), None),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _length_s(stream: dict[str, Any]) -> float | None:
    """Matroska has it among the tags, as hours, minutes and seconds."""
    tags = stream.get("tags") or {}
    text = stream.get("duration") or tags.get("DURATION")
    if not text:
        return None
    seconds = 0.0
    for figure in str(text).split(":"):
        seconds = 60.0 * seconds + float(figure)
    return seconds


def disagreement(
    probe: Probe | None, held: Sums, kinds: frozenset[str], copied: bool = True
) -> str | None:
    """What is wrong with a finished file for all that the capture holds; None: nothing is.
    Encoded anew (not `copied`) it may be as small as it likes.

    `too_short` looks at its length.
    """
    if probe is None:
        return "ffprobe cannot read the file"
    missing = kinds - probe.kinds
    if missing:
        return f"the file has no {' and no '.join(sorted(missing))} stream, the capture has"
    if copied and probe.size_bytes < held.captured_bytes * 0.2:
        return f"the file has {probe.size_bytes} bytes, the capture {held.captured_bytes}"
    return None


def too_short(probe: Probe, held: Sums, copied: bool = True) -> str | None:
    """Whether a file is shorter than its segments claim to be. It may be longer, by the
    gaps that FFmpeg keeps as time. Encoded anew its picture, too: sound that is copied would hide
    where an encoder has stopped."""
    slack_s = _DURATION_SLACK_S + held.captured_s * _DURATION_SLACK
    length_s, what = probe.duration_s, "file"
    if not copied and probe.picture_s is not None and probe.picture_s < length_s:
        length_s, what = probe.picture_s, "picture"
    if length_s >= held.captured_s - slack_s:
        return None
    return f"the {what} is {length_s:.1f} s long, the capture {held.captured_s:.1f} s"


def count_args(
    ffprobe: str, path: Path, kind: str, part_container: str | None, end: int | None = None
) -> list[str]:
    """ffprobe that counts the packets of a file's first stream of a kind: exact, and as slow
    as reading it all. `part_container` for a part of a capture, whose demuxer is forced; `end`
    for no more than its first bytes."""
    source = str(path) if end is None else f"subfile,,start,0,end,{end},,:{path}"
    form = ["-f", _DEMUXERS[part_container]] if part_container else []
    return [
        ffprobe, "-v", "error", "-protocol_whitelist", "file,subfile", "-of", "csv=p=0",
        "-count_packets", "-select_streams", _COUNTED[kind],
        "-show_entries", "stream=nb_read_packets", *form, "-i", source,
    ]


# What the capture's transport stream can hold so that every demuxer knows it again.
_FITS_TS = frozenset(("h264", "hevc", "mpeg2video", "aac", "mp3", "ac3", "eac3"))
_MAGIC = {b"FLV\x01": "flv", b"\x1a\x45\xdf\xa3": "matroska", b"OggS": "ogg"}
_AUDIO_TYPES = {
    "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/aac": "aac", "audio/aacp": "aac",
    "audio/x-aac": "aac",
}
# Two inputs may be so far apart before FFmpeg writes what it has of one alone.
INTERLEAVE_MAX_S = 40


@dataclass(frozen=True)
class LiveInput:
    """A pipe that FFmpeg reads, and what comes through it. `offset_s` is the time of its
    beginning where the bytes themselves have none (packed audio)."""

    fd: int
    head: bytes
    form: str
    offset_s: float = 0.0


def source_format(head: bytes, content_type: str = "") -> str | None:
    """The demuxer for media that begins like this; None when it is none that we know.

    `content_type` serves for audio that is joined in the middle of a frame.
    """
    at = _behind_id3(head)
    for offset in range(mpegts.TS_PACKET_BYTES):
        if len(head) > offset + 2 * mpegts.TS_PACKET_BYTES and mpegts.looks_like_ts(
                head[offset:offset + 3 * mpegts.TS_PACKET_BYTES]):
            return "mpegts"
    if fmp4.looks_like_mp4(head):
        return "mov"
    for magic, form in _MAGIC.items():
        if head.startswith(magic):
            return form
    if head[at:at + 2] == b"\x0b\x77":
        return "ac3"
    if len(head) > at + 1 and head[at] == 0xFF:
        if head[at + 1] & 0xF6 == 0xF0:
            return "aac"
        # Layer II or III of a version that there is (ISO/IEC 11172-3, 2.4.2.3).
        if head[at + 1] & 0xE0 == 0xE0 and head[at + 1] >> 3 & 3 != 1 and head[at + 1] & 6:
            return "mp3"
    kind = content_type.partition(";")[0].strip().lower()
    return None if head.lstrip()[:1] == b"<" else _AUDIO_TYPES.get(kind)


def _behind_id3(head: bytes) -> int:
    """Where the first frame stands behind ID3v2 tags (ID3v2.4, 3.1: four times seven bits)."""
    at = 0
    while head[at:at + 3] == b"ID3" and len(head) >= at + 10:
        a, b, c, d = head[at + 6:at + 10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d)
    return at


def fits_ts(live: Sequence[LiveInput]) -> bool:
    """Whether all that these inputs hold may go into a transport stream."""
    return all(_codecs(one) <= _FITS_TS for one in live)


def _codecs(live: LiveInput) -> set[str]:
    """The codecs of an input as far as its first bytes tell."""
    match live.form:
        case "mov":
            return {track.codec for track in fmp4.tracks(live.head)}
        case "mpegts":
            return {stream.codec for stream in mpegts.program(live.head)} & _FITS_TS
        case "matroska" | "ogg":
            return {"unknown"}
        case "flv":
            return {"h264", "aac"}
        case form:
            return {form}


def live_args(ffmpeg: str, live: Sequence[LiveInput], timed: bool) -> list[str]:
    """FFmpeg from pipes to its standard output, streams copied, as transport stream or, for
    what does not fit there, as fragmented MP4.

    `timed`: the source's own timestamps are kept, so that several inputs stay together and
    the next FFmpeg goes on where this one was; without, resets are made continuous.
    """
    args = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "warning", "-nostats"]
    maps: list[str] = []
    for number, one in enumerate(live):
        args += ["-protocol_whitelist", "pipe", "-thread_queue_size", "512"]
        args += ["-itsoffset", f"{one.offset_s:.6f}"] if one.offset_s else []
        args += ["-f", one.form, "-i", f"pipe:{one.fd}"]
        maps += ["-map", f"{number}:v?", "-map", f"{number}:a?"]
    args += (["-copyts"] if timed else []) + maps + ["-c", "copy"]
    args += ["-max_muxing_queue_size", "4096", "-flush_packets", "1"]
    args += ["-max_interleave_delta", str(INTERLEAVE_MAX_S * 1_000_000)]
    if fits_ts(live):
        return [*args, "-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts", "pipe:1"]
    return [*args, *_fragmented(live), "-f", "mp4", "pipe:1"]


def _fragmented(live: Sequence[LiveInput]) -> list[str]:
    """Options of the mp4 muxer: decode times as in the source (`frag_discont`, no edit list,
    no shift to zero), a fragment at each keyframe and, where none comes, now and then."""
    codecs: set[str] = set()
    for one in live:
        codecs |= _codecs(one)
    options = ["-avoid_negative_ts", "make_non_negative", "-use_editlist", "0", "-movflags",
               "+frag_keyframe+empty_moov+default_base_moof+frag_discont"]
    if any(one.form in ("mpegts", "aac") for one in live) and "aac" in codecs:
        options += ["-bsf:a", "aac_adtstoasc"]
    seconds = 2 if all(one.form == "ogg" for one in live) else 10
    return [*options, "-frag_duration", str(seconds * 1_000_000)]
