"""Small images of every form, made by FFmpeg, and the bombs that it would not make.

Owns the making and the looking at what came out. Used by the tests of images.
"""

from __future__ import annotations

import functools
import struct
import subprocess
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

LIMIT_S = 60
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@functools.cache
def made(name: str, filters: str = "color=red:s=64x48,trim=end_frame=1", *options: str) -> bytes:
    """The file of that name and so of that form, as FFmpeg makes it."""
    with TemporaryDirectory() as directory:
        path = Path(directory, name)
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", filters, *options, path],
                       check=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
        return path.read_bytes()


# Red first, then blue for half a second.
MOVING = "color=red:s=64x48:r=10,trim=end_frame=6,drawbox=c=blue:t=fill:enable='gt(n,0)'"


def pixel(jpeg: Path, x: float, y: float) -> tuple[int, int, int]:
    """The colour at a place of an image, its sides being 1, coarsely: each of 0 or 255."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "jpeg_pipe", "-i", jpeg,
         "-vf", "scale=30:30:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True, timeout=LIMIT_S, capture_output=True, stdin=subprocess.DEVNULL)
    at = (int(y * 30) * 30 + int(x * 30)) * 3
    red, green, blue = (255 if part > 127 else 0 for part in done.stdout[at:at + 3])
    return red, green, blue


def turned(jpeg: bytes) -> bytes:
    """`jpeg` with EXIF that tells to turn it clockwise by a quarter, and where it was taken."""
    entries = (struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
               + struct.pack("<HHI4s", 0x0131, 2, 4, b"GPS"))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def png(width: int, height: int) -> bytes:
    """A whole, black RGBA PNG, however large."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width * 4)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", body)
            + _png_chunk(b"IEND", b""))


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def gif(width: int, height: int, frames: int = 1) -> bytes:
    """A GIF whose canvas claims a size and whose frames are of one pixel each."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return (b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
            + b"\xff\x00\x00\x00\x00\x00" + frame * frames + b";")
