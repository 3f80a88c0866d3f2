"""Tests of brlib.picture: what an image is by its bytes, and what an exit code says of it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from brlib import picture
from brlib.picture import Limits

from .pictures import MOVING, made

HALF_CLEAR = "color=red:s=64x48,format=rgba,geq=r=255:g=0:b=N*255:a='if(lt(X,32),255,99)'"


@pytest.mark.parametrize("head, expected", [
    (b"\x89PNG\r\n\x1a\n", "png_pipe"), (b"\xff\xd8\xff\xe0", "jpeg_pipe"),
    (b"GIF87a", "gif"), (b"GIF89a", "gif"), (b"RIFF\0\0\0\0WEBPVP8 ", "webp_pipe"),
    (b"RIFF\0\0\0\0WAVE", None), (b"RIFF", None), (b"GIF88a", None), (b"\xff\xd8", None),
    (b" GIF89a", None), (b"\x89PNG\n\x1a\n", None), (b"BM", None), (b"", None),
    (b"\0\0\0\x1cftypavif", None), (b"\x8aMNG\r\n\x1a\n", None), (b"II*\0", None),
])
def test_demuxer(head: bytes, expected: str | None) -> None:
    assert picture.demuxer(head) == expected


def jpeg(*segments: bytes, end: bytes = b"\xff\xd9") -> bytes:
    return b"\xff\xd8" + b"".join(segments) + end


APP0 = b"\xff\xe0\0\4ab"
TABLE = b"\xff\xc4\0\4ab"
FRAME = b"\xff\xc0\0\x0b\x08\x01\x90\x04\xb0\1\1\x11\0"


@pytest.mark.parametrize("data, expected", [
    (jpeg(FRAME), (1200, 400)), (jpeg(APP0, TABLE, FRAME), (1200, 400)),
    (jpeg(APP0, FRAME.replace(b"\xff\xc0", b"\xff\xc2")), (1200, 400)),
    (jpeg(APP0, FRAME, end=b""), None), (jpeg(APP0, TABLE), None), (jpeg(), None),
    (jpeg(b"junk and more of it", FRAME), None), (b"", None), (b"\xff\xd8\xff\xd9", None),
    (jpeg(b"\xff\xe0\xff\xff", FRAME), None),
])
def test_jpeg_size(data: bytes, expected: tuple[int, int] | None) -> None:
    assert picture.jpeg_size(data) == expected


@pytest.mark.parametrize("code, about_image", [
    (0, True), (1, True), (69, True), (183, True), (255, True), (123, True),
    (-signal.SIGSEGV, True), (-signal.SIGXCPU, True), (-signal.SIGABRT, True),
    (-signal.SIGKILL, False), (-signal.SIGTERM, False), (126, False), (127, False), (None, False),
])
def test_trouble(code: int | None, about_image: bool) -> None:
    assert (picture.trouble(code) is None) is about_image


def chunk_names(webp: bytes) -> list[bytes]:
    assert webp[:4] == b"RIFF" and int.from_bytes(webp[4:8], "little") == len(webp) - 8
    return [name for name, _ in picture._chunks(webp[12:])]


@pytest.mark.parametrize("options, names", [
    pytest.param((MOVING,), [b"VP8 "], id="plain"),
    pytest.param((MOVING, "-lossless", "1"), [b"VP8L"], id="lossless"),
    pytest.param((f"{HALF_CLEAR},trim=end_frame=3",), [b"VP8X", b"ALPH", b"VP8 "], id="alpha"),
])
def test_first_frame_of_an_animation(options: tuple[str, ...], names: list[bytes]) -> None:
    animation = made("a.webp", *options)
    still = picture.first_frame(animation)
    assert still is not None and chunk_names(still) == names
    assert picture.demuxer(still) == picture.WEBP
    assert picture.first_frame(still) is None


def test_first_frame_of_what_is_broken_off_anywhere() -> None:
    """Never a crash, and never more than was there."""
    animation = made("a.webp", f"{HALF_CLEAR},trim=end_frame=3")
    for end in range(len(animation)):
        still = picture.first_frame(animation[:end])
        assert still is None or len(still) <= end


def test_a_still_webp_is_left_alone() -> None:
    assert picture.first_frame(made("b.webp", MOVING, "-frames:v", "1")) is None
    assert picture.first_frame(made("c.webp", f"{HALF_CLEAR},trim=end_frame=1",
                                    "-c:v", "libwebp")) is None


def test_nothing_from_outside_is_guessed_or_opened() -> None:
    limits = Limits()
    args = picture.convert_args("ff", "gif", Path("/a b/%d"), Path("/c/o.jpg"), (300, 300), limits)
    before = args[:args.index("-i")]
    assert args[:2] == ["sh", "-c"] and args[3] == "ff"
    assert args[args.index("-i") + 1] == "file:/a b/%d" and args[-1] == "file:/c/o.jpg"
    for pair in (("-f", "gif"), ("-protocol_whitelist", "file"), ("-max_pixels", "40000000"),
                 ("-threads", "1")):
        assert pair in zip(before, before[1:])
    # Paths and the program are words of their own, not the shell's to read.
    assert "/a b" not in args[2] and "ff" not in args[2]
