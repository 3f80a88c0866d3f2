"""What an image is by its bytes, and what FFmpeg is told to make a JPEG of it; runs nothing.

Called by `brlib.images`. Images come from outside: nothing here trusts their names, types
or sizes. Facts about FFmpeg are measured on 5.1.9.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 16
# Magic bytes and the demuxer that is forced for them: FFmpeg guesses nothing, so a playlist
# behind a borrowed signature is a broken picture to it.
_DEMUXERS = (
    (b"\x89PNG\r\n\x1a\n", "png_pipe"), (b"\xff\xd8\xff", "jpeg_pipe"),
    (b"GIF87a", "gif"), (b"GIF89a", "gif"),
)
WEBP = "webp_pipe"
_ANIMATED = 0x02
_ALPHA = 0x10
_FRAME_HEADER_BYTES = 16

# sh's answer when a program is not there or cannot be executed.
_NOT_STARTED = (126, 127)
# Sent by whoever wants the process away, never by what the image did to it.
_SENT = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Limits:
    """What one conversion may take. 40 megapixels of 16 bit RGBA took 1.2 CPU seconds,
    361 MiB resident and less than 600 MB of addresses."""

    pixels_max: int = 40_000_000
    memory_max_bytes: int = 1_500_000_000
    cpu_max_s: int = 10
    # FFmpeg takes the first three SIGXCPU, one a second, for a wish to end tidily.
    cpu_killed_s: int = 15
    deadline_s: float = 20.0
    turn_max_s: float = 10.0


def demuxer(head: bytes) -> str | None:
    """FFmpeg's demuxer for a PNG, JPEG, GIF or WebP by its first bytes; None: none of them."""
    for magic, name in _DEMUXERS:
        if head.startswith(magic):
            return name
    return WEBP if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def convert_args(
    ffmpeg: str, form: str, source: Path, target: Path, size: tuple[int, int], limits: Limits,
) -> list[str]:
    """FFmpeg from an image to a JPEG of exactly `size`, the middle cut out, below limits.

    The shell sets the limits before FFmpeg's first instruction, with nothing to install
    (POSIX has `ulimit`, every Linux shell its -v and -t), and becomes FFmpeg. Where it may
    not set one, a lower one holds already.
    """
    limited = (f"ulimit -c 0; ulimit -v {limits.memory_max_bytes // 1024}; "
               f"ulimit -S -t {limits.cpu_max_s}; ulimit -H -t {limits.cpu_killed_s}; "
               'exec "$0" "$@"')
    return [
        "sh", "-c", limited, ffmpeg,
        "-hide_banner", "-nostdin", "-v", "error", "-y", "-filter_threads", "1",
        "-threads", "1", "-protocol_whitelist", "file", "-max_pixels", str(limits.pixels_max),
        "-f", form, "-i", f"file:{source}",
        "-map", "0:v:0", "-frames:v", "1", "-map_metadata", "-1", "-vf", _filters(*size),
        "-threads", "1", "-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p",
        "-flags", "+bitexact", "-f", "mjpeg", f"file:{target}",
    ]


def _filters(width: int, height: int) -> str:
    return ",".join((
        # Before the scaling: a picture of 1 x 65000 would be enormous scaled to cover.
        f"crop=w='max(1,min(iw,ih*{width}/{height}))':h='max(1,min(ih,iw*{height}/{width}))'"
        ":exact=1",
        f"scale={width}:{height}",
        # What is transparent becomes white, whatever colour lies below.
        "format=gbrap,negate,premultiply=inplace=1,negate",
        "metadata=mode=delete,sidedata=mode=delete,setsar=1",
    ))


def trouble(code: int | None) -> str | None:
    """Why a conversion that ended with `code` says nothing about the image; None: it does.

    Negative codes are signals, None is a deadline.
    """
    if code is None:
        return "Converting the image took too long: try again later"
    if code in _NOT_STARTED:
        return "FFmpeg cannot be started"
    if code < 0 and -code in _SENT:
        return "The conversion of the image was interrupted: try again"
    return None


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG that has a beginning and an end; None for anything else."""
    if not data.startswith(b"\xff\xd8\xff") or not data.endswith(b"\xff\xd9"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2:at + 4], "big")
        # C0 to CF are frame headers, but for Huffman tables, JPG and arithmetic tables.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 5:at + 7], data[at + 7:at + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        at += 2 + length
    return None


def first_frame(webp: bytes) -> bytes | None:
    """What the first frame of an animated WebP draws, as a still one: FFmpeg 5.1 cannot read
    animations. None for what is no animation, or a broken one."""
    animated = webp[12:16] == b"VP8X" and len(webp) > 20 and webp[20] & _ANIMATED
    frame = next((body for name, body in _chunks(webp[12:]) if name == b"ANMF"), None)
    if not animated or frame is None or len(frame) < _FRAME_HEADER_BYTES:
        return None
    parts = [(name, body) for name, body in _chunks(frame[_FRAME_HEADER_BYTES:])
             if name in (b"ALPH", b"VP8 ", b"VP8L")]
    if any(name == b"ALPH" for name, _ in parts):
        # Behind its offset the frame's header has the sizes as VP8X wants them.
        parts.insert(0, (b"VP8X", bytes([_ALPHA, 0, 0, 0]) + frame[6:12]))
    body = b"WEBP" + b"".join(_chunk(name, body) for name, body in parts)
    return _chunk(b"RIFF", body)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4:at + 8], "little")
        yield data[at:at + 4], data[at + 8:at + 8 + length]
        at += 8 + length + length % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
