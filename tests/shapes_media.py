"""Media of every shape, made by ffmpeg once, and pieces of TS and MP4 made by hand.

Used by the tests of `brlib.mpegts`, `brlib.fmp4` and `brlib.shape`; ffprobe judges.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

NEEDS_FFMPEG = pytest.mark.skipif(
    not shutil.which("ffmpeg") or not shutil.which("ffprobe"), reason="needs ffmpeg and ffprobe"
)

X264 = "-c:v libx264 -preset ultrafast"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none"
_WHOLE = "whole"
FRAGMENTS = "-f mp4 -movflags +empty_moov+default_base_moof+frag_keyframe"
SINE = "-f lavfi -i sine=duration=0.4:sample_rate=48000"


def picture(size: str, frames: int = 5) -> str:
    return f"-f lavfi -i testsrc2=size={size}:rate=25 -frames:v {frames}"


# name: (ffmpeg arguments, container)
MEDIA = {
    "h264-small": (f"{picture('160x90')} {X264} -f mpegts", "ts"),
    "h264-odd-crop": (f"{picture('162x94')} {X264} -f mpegts", "ts"),
    "h264-1080": (f"{picture('1920x1080', 1)} {X264} -f mpegts", "ts"),
    "h264-interlaced": (
        f"{picture('720x576')} -c:v libx264 -profile:v high -flags +ilme+ildct "
        "-x264-params tff=1 -f mpegts", "ts"),
    "h264-interlaced-1080": (
        f"{picture('1920x1080', 2)} -c:v libx264 -preset veryfast -flags +ilme+ildct "
        "-x264-params tff=1 -f mpegts", "ts"),
    "h264-scaling-lists": (
        f"{picture('1280x720', 2)} -c:v libx264 -preset veryfast -profile:v high "
        "-x264-params cqm=jvt -f mpegts", "ts"),
    "h264-high10": (
        f"{picture('320x180')} {X264} -pix_fmt yuv420p10le -profile:v high10 -f mpegts", "ts"),
    "h264-422": (f"{picture('318x182')} {X264} -pix_fmt yuv422p -f mpegts", "ts"),
    "h264-444-scaling-lists": (
        f"{picture('319x181')} -c:v libx264 -preset veryfast -pix_fmt yuv444p "
        "-x264-params cqm=jvt -f mpegts", "ts"),
    "h264-gray": (f"{picture('162x90')} {X264} -pix_fmt gray -f mpegts", "ts"),
    "h264-aac": (f"{picture('426x240')} {SINE} {X264} -c:a aac -f mpegts", "ts"),
    "hevc": (f"{picture('642x362')} {X265} -f mpegts", "ts"),
    "hevc-1080": (f"{picture('1920x1080', 1)} {X265} -f mpegts", "ts"),
    "hevc-main10": (f"{picture('640x360')} {X265} -pix_fmt yuv420p10le -f mpegts", "ts"),
    "hevc-sub-layers": (
        f"{picture('640x360')} {X265}:temporal-layers=1 -f mpegts", "ts"),
    "mpeg2video": (f"{picture('352x288')} -c:v mpeg2video -f mpegts", "ts"),
    "mpeg2video-mp3": (
        f"{picture('720x576')} {SINE} -c:v mpeg2video -c:a libmp3lame -f mpegts", "ts"),
    "ts-aac": (f"{SINE} -c:a aac -f mpegts", "ts"),
    "ts-ac3": (f"{SINE} -c:a ac3 -f mpegts", "ts"),
    "ts-ac3-dvb": (f"{SINE} -c:a ac3 -mpegts_flags system_b -f mpegts", "ts"),
    "ts-eac3": (f"{SINE} -c:a eac3 -f mpegts", "ts"),
    "ts-eac3-dvb": (f"{SINE} -c:a eac3 -mpegts_flags system_b -f mpegts", "ts"),
    "ts-opus": (f"{SINE} -c:a libopus -f mpegts", "ts"),
    "mp4-h264-aac": (f"{picture('426x240')} {SINE} {X264} -c:a aac {FRAGMENTS}", "mp4"),
    "mp4-hevc": (f"{picture('640x360')} {X265} -tag:v hvc1 {FRAGMENTS}", "mp4"),
    "mp4-av1": (
        f"{picture('160x90', 2)} -c:v libaom-av1 -cpu-used 8 -usage realtime {FRAGMENTS}", "mp4"),
    "mp4-vp9": (f"{picture('160x90', 2)} -c:v libvpx-vp9 -deadline realtime {FRAGMENTS}", "mp4"),
    "mp4-mp3": (f"{SINE} -c:a libmp3lame {FRAGMENTS}", "mp4"),
    "mp4-ac3": (f"{SINE} -c:a ac3 {FRAGMENTS}+delay_moov", "mp4"),
    "mp4-eac3": (f"{SINE} -c:a eac3 {FRAGMENTS}+delay_moov", "mp4"),
    "mp4-opus": (f"{SINE} -c:a libopus {FRAGMENTS}", "mp4"),
    "mp4-flac": (f"{SINE} -c:a flac -strict -2 {FRAGMENTS}", "mp4"),
    "adts": (f"{SINE} -c:a aac -f adts", "aac"),
    "mp3": (f"{SINE} -c:a libmp3lame -id3v2_version 0 -write_xing 0 -f mp3", "mp3"),
    "mp3-tagged": (f"{SINE} -c:a libmp3lame -metadata title=x -f mp3", "mp3"),
    "mp3-24k": (f"{SINE} -c:a libmp3lame -ar 24000 -write_xing 0 -f mp3", "mp3"),
    "mp3-8k": (f"{SINE} -c:a libmp3lame -ar 8000 -write_xing 0 -f mp3", "mp3"),
    "ac3": (f"{SINE} -c:a ac3 -f ac3", "ac3"),
    "eac3": (f"{SINE} -c:a eac3 -f eac3", "ac3"),
}


def ffmpeg(arguments: str, target: Path) -> bool:
    # ffmpeg wants every input before the output's options, -frames:v among them.
    words = arguments.split()
    inputs: list[str] = []
    outputs: list[str] = []
    while words:
        take = inputs if words[:2] == ["-f", "lavfi"] else outputs
        count = 4 if take is inputs else 1
        take += words[:count]
        words = words[count:]
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *inputs, *outputs, str(target)], capture_output=True)
    return done.returncode == 0


def probe(path: Path, *arguments: str) -> dict[str, Any]:
    found = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)],
        capture_output=True, check=True)
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


def split_init(data: bytes) -> tuple[bytes, bytes]:
    """Cut a fragmented MP4 file before its first moof."""
    cut = data.index(b"moof") - 4
    return data[:cut], data[cut:]


def made() -> dict[str, Path]:
    """Every file of the table that this ffmpeg has the encoders for, kept between runs."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:20]
    place = Path(tempfile.gettempdir()) / f"battles-record-test-shapes-{os.getuid()}-{digest}"
    if not (place / _WHOLE).exists():
        # What something that cleans /tmp left of it would stand in the way.
        shutil.rmtree(place, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=place.name + "-part-"))
        for name, (arguments, _container) in MEDIA.items():
            if not ffmpeg(arguments, work / name):
                (work / name).unlink(missing_ok=True)
        (work / _WHOLE).touch()
        try:
            work.rename(place)
        except OSError:
            # Another run was first; its result is as good as ours.
            shutil.rmtree(work)
    return {name: place / name for name in MEDIA if (place / name).exists()}


def in_packets(pid: int, units: bytes) -> bytes:
    pes = b"\x00\x00\x01\xE0\x00\x00\x80\x00\x00" + units
    return b"".join(packet(pid, pes[at:at + 184], at == 0) for at in range(0, len(pes), 184))


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def traf(track: int, tfdt: bytes) -> bytes:
    return box(b"traf", box(b"tfhd", bytes(4), track.to_bytes(4, "big")), tfdt)


def tfdt(version: int, when: int) -> bytes:
    return box(b"tfdt", bytes((version, 0, 0, 0)), when.to_bytes(8 if version else 4, "big"))


def packet(pid: int, payload: bytes, starts: bool = True, adaptation: int = -1) -> bytes:
    """A TS packet; adaptation is the adaptation field's length, -1 for no such field."""
    head = bytes((0x47, (0x40 if starts else 0) | pid >> 8, pid & 0xFF))
    if adaptation < 0:
        return (head + b"\x10" + payload).ljust(188, b"\xFF")
    return (head + b"\x30" + bytes((adaptation,)) + bytes(adaptation) + payload).ljust(188, b"\xFF")


def section(table: int, number: int, body: bytes, current: int = 1) -> bytes:
    head = number.to_bytes(2, "big") + bytes((0xC0 | current, 0, 0))
    return bytes((table,)) + (0xB000 | len(head + body) + 4).to_bytes(2, "big") + head + body + (
        bytes(4))


def pat(*programs: tuple[int, int]) -> bytes:
    return section(0, 1, b"".join(
        number.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big")
        for number, pid in programs))


def pmt(
    number: int, *streams: tuple[int, int, bytes], info: bytes = b"", current: int = 1
) -> bytes:
    body = b"\xE1\x00" + (0xF000 | len(info)).to_bytes(2, "big") + info
    for kind, pid, descriptors in streams:
        body += bytes((kind,)) + (0xE000 | pid).to_bytes(2, "big")
        body += (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
    return section(2, number, body, current)


AV = pmt(1, (0x1B, 256, b""), (0x0F, 257, b""))
OTHER = pmt(2, (0x24, 300, b""))
LONG = pmt(1, (0x1B, 256, b"\x52\x01\x00" * 50), (0x15, 258, b""), (0x0F, 257, b"\x0A\x04eng\x00"),
           info=b"\x25\x0F" + bytes(15))
FILLER = packet(0x1FFF, b"")
PAT = packet(0, b"\x00" + pat((1, 4096)))
