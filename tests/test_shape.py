"""Tests of brlib.shape: ffmpeg makes the media, ffprobe judges."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from brlib import fmp4, mpegts
from brlib.shape import Shape, alike, shape_of

from . import shapes_media
from .shapes_media import (
    AV, FILLER, LONG, MEDIA, PAT, X264, box, ffmpeg, packet, picture, probe, split_init,
)

pytestmark = shapes_media.NEEDS_FFMPEG


@pytest.fixture(scope="module")
def media() -> dict[str, Path]:
    return shapes_media.made()


def measured(path: Path, container: str) -> Shape | None:
    data = path.read_bytes()
    if container == "mp4":
        init, segment = split_init(data)
        return shape_of(segment, init)
    return shape_of(data, None)


@pytest.mark.parametrize("name", MEDIA)
def test_agrees_with_ffprobe(media: dict[str, Path], name: str) -> None:
    if name not in media:
        pytest.skip("this ffmpeg cannot make it")
    container = MEDIA[name][1]
    streams = probe(media[name], "-show_streams")["streams"]
    expected = tuple(
        f"{stream['codec_name']} {stream['width']}x{stream['height']}"
        if stream["codec_type"] == "video" else stream["codec_name"]
        for stream in streams
    )
    shape = measured(media[name], container)
    assert shape == Shape(container, expected)
    assert shape.kinds == {stream["codec_type"] for stream in streams}
    assert shape.extension == "." + container
    assert Shape.parse(str(shape)) == shape


def test_the_table_is_made(media: dict[str, Path]) -> None:
    needed = {"h264-small", "h264-1080", "h264-interlaced", "h264-aac", "mpeg2video", "ts-aac",
              "mp4-h264-aac", "adts"}
    assert needed <= set(media)


def test_metadata_is_left_out() -> None:
    data = PAT + packet(4096, b"\x00" + LONG[:183]) + packet(4096, LONG[183:], starts=False)
    assert shape_of(data, None) == Shape("ts", ("h264", "aac"))


def test_ts_tables_in_the_init_section() -> None:
    tables = PAT + packet(4096, b"\x00" + AV)
    assert shape_of(FILLER, tables) == Shape("ts", ("h264", "aac"))
    assert shape_of(FILLER, None) == Shape("ts", ())


def test_segment_without_keyframe_has_no_size(media: dict[str, Path]) -> None:
    data = media["h264-small"].read_bytes()
    (video,) = mpegts.program(data)
    packets = [data[at:at + 188] for at in range(0, len(data), 188)]
    starts = [number for number, one in enumerate(packets)
              if one[1] & 0x40 and (one[1] & 0x1F) << 8 | one[2] == video.pid]
    cut = b"".join(packets[:starts[0]] + packets[starts[1]:])
    assert shape_of(data, None) == Shape("ts", ("h264 160x90",))
    assert shape_of(cut, None) == Shape("ts", ("h264",))


def test_audio_behind_tags(media: dict[str, Path]) -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130)
    footed = b"ID3\x04\x00\x10\x00\x00\x00\x05" + bytes(15)
    for name in ("adts", "mp3", "ac3"):
        data = media[name].read_bytes()
        assert shape_of(tag + data, None) == shape_of(data, None)
        assert shape_of(tag + footed + data, None) == shape_of(data, None)
    assert shape_of(tag, None) is None


@pytest.mark.parametrize("data", [
    b"", b"G", b"ID3", b"<!DOCTYPE html><html>" * 30, b"Gateway timeout " * 30, b"WEBVTT\n\n",
    b"#EXTM3U\n#EXT-X-VERSION:3\n", b'{"error": "gone"}', "Grüße".encode("utf-16") * 60,
    bytes(5000), b"\xFF" * 5000, b"\xFF\xF1" + bytes(500),
])
def test_no_media(data: bytes, media: dict[str, Path]) -> None:
    init, _segment = split_init(media["mp4-h264-aac"].read_bytes())
    assert shape_of(data, None) is None
    assert shape_of(data, init) is None


def test_mp4_without_its_init(media: dict[str, Path]) -> None:
    init, segment = split_init(media["mp4-h264-aac"].read_bytes())
    assert fmp4.looks_like_mp4(init) and fmp4.looks_like_mp4(segment)
    assert shape_of(segment, None) is None
    assert shape_of(segment, b"") is None
    assert shape_of(segment, b"<html>") is None


@pytest.mark.parametrize("name", ["h264-1080", "h264-aac", "hevc", "mpeg2video", "mp4-h264-aac",
                                  "mp4-mp3", "adts", "mp3-tagged", "eac3"])
def test_truncated_anywhere(media: dict[str, Path], name: str) -> None:
    if name not in media:
        pytest.skip("this ffmpeg cannot make it")
    data = media[name].read_bytes()
    whole = measured(media[name], MEDIA[name][1])
    init, segment = split_init(data) if name.startswith("mp4") else (b"", data)
    assert whole
    for size in range(2000):
        cut = shape_of(segment[:size], init[:size])
        fmp4.decode_times(segment[:size])
        # A piece may tell less than the whole, never something else.
        if cut and cut.container != "mp4":
            assert alike(whole, cut)


@pytest.mark.parametrize("name", ["h264-scaling-lists", "hevc", "ts-opus", "mp4-h264-aac", "mp3"])
def test_damage_raises_nothing(media: dict[str, Path], name: str) -> None:
    if name not in media:
        pytest.skip("this ffmpeg cannot make it")
    dice = random.Random(name)
    good = media[name].read_bytes()[:4000]
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 20)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        shape_of(bytes(data), bytes(data))
        fmp4.decode_times(bytes(data))


@pytest.mark.parametrize("text, kinds", [
    ("ts h264 1280x720 + aac", {"video", "audio"}),
    ("ts", set()),
    ("ts h264", {"video"}),
    ("ts type-0x06", set()),
    ("mp4 encv 640x360", {"video"}),
    ("mp4 opus", {"audio"}),
    ("mp4 0x2b202b20 640x360 + flac", {"video", "audio"}),
    ("aac aac", {"audio"}),
    ("ac3 eac3", {"audio"}),
])
def test_text_and_back(text: str, kinds: set[str]) -> None:
    shape = Shape.parse(text)
    assert str(shape) == text
    assert shape.kinds == kinds


@pytest.mark.parametrize("text", [
    "", " ", "avi h264", "ts ", "ts  aac", "ts aac +", "ts aac + ", "ts h264 1280", "ts h264 0x0",
    "ts h264 1280x720 ", "ts aac\n", "ts h264 1280x720+aac",
])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a segment shape"):
        Shape.parse(text)


@pytest.mark.parametrize("old, new, expected", [
    ("ts h264 1280x720 + aac", "ts h264 1280x720 + aac", True),
    ("ts h264 1280x720 + aac", "ts h264 + aac", True),
    ("ts h264 + aac", "ts h264 1280x720 + aac", True),
    ("ts h264 1280x720 + aac", "ts", True),
    ("ts h264 1280x720 + aac", "ts h264 1920x1080 + aac", False),
    ("ts h264 1280x720 + aac", "ts hevc + aac", False),
    ("ts h264 1280x720 + aac", "ts h264 1280x720", False),
    ("ts h264 1280x720 + aac", "ts h264 1280x720 + ac3", False),
    ("ts h264 1280x720 + aac", "mp4 h264 1280x720 + aac", False),
    ("ts aac", "aac aac", False),
])
def test_alike(old: str, new: str, expected: bool) -> None:
    assert alike(Shape.parse(old), Shape.parse(new)) is expected
    assert alike(Shape.parse(new), Shape.parse(old)) is expected


def microseconds(segment: bytes, init: bytes | None) -> float:
    """The median time of shape_of."""
    times = []
    for _ in range(200):
        begun = time.perf_counter()
        shape_of(segment, init)
        times.append(time.perf_counter() - begun)
    return sorted(times)[100] * 1e6


def test_measurement(tmp_path: Path, media: dict[str, Path]) -> None:
    """Prints how long shape_of takes for 1.5 MB; the time itself is not a requirement here."""
    path = tmp_path / "large.ts"
    arguments = (f"{picture('1280x720', 50)} -f lavfi -i sine=duration=2 {X264} "
                 "-b:v 6M -minrate 6M -maxrate 6M -bufsize 3M -c:a aac -f mpegts")
    assert ffmpeg(arguments, path)
    data = path.read_bytes()
    tables, rest = data[:3 * 188], data[3 * 188:]
    segment = (data + rest * 8)[:1_500_000 // 188 * 188]
    no_keyframe = tables + FILLER * 10 + b"".join(
        segment[at:at + 188] for at in range(600 * 188, len(segment), 188))
    init, fragments = split_init(media["mp4-h264-aac"].read_bytes())
    for name, piece, header in (
        ("keyframe first", segment, None),
        ("no keyframe at the start", no_keyframe, None),
        ("no tables", FILLER * 8000, None),
        ("fragmented MP4", fragments + box(b"mdat", bytes(1_500_000)), init),
    ):
        print(f"\nshape_of, {len(piece)} bytes, {name}: {shape_of(piece, header)}: "
              f"{microseconds(piece, header):.0f} microseconds", end="")
