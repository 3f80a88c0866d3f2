"""Tests of brlib.mpegts: programs, picture sizes, whatever the bytes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from brlib import fmp4, mpegts
from brlib.shape import shape_of

from . import shapes_media
from .shapes_media import AV, FILLER, LONG, OTHER, PAT, in_packets, packet, pat, pmt, probe

pytestmark = shapes_media.NEEDS_FFMPEG


@pytest.fixture(scope="module")
def media() -> dict[str, Path]:
    return shapes_media.made()


def test_pids_agree_with_ffprobe(media: dict[str, Path]) -> None:
    streams = probe(media["h264-aac"], "-show_streams")["streams"]
    found = mpegts.program(media["h264-aac"].read_bytes())
    assert [(one.pid, one.codec) for one in found] == [
        (int(stream["id"], 16), stream["codec_name"]) for stream in streams]


def golomb(*numbers: int) -> str:
    """ue(v) codes as a string of bits."""
    codes = [f"{number + 1:b}" for number in numbers]
    return "".join("0" * (len(code) - 1) + code for code in codes)


def scaling_lists(count: int) -> str:
    """Lists in turn absent, cut short by a next scale of 0, and spelled out."""
    bits = ""
    for index in range(count):
        size = 16 if index < 6 else 64
        # ue 16 is se -8: the first next scale is 0. ue 1 and 2 are se 1 and -1.
        bits += ("0", "1" + golomb(16), "1" + golomb(*(1, 2) * (size // 2)))[index % 3]
    return bits


def nal_unit(kind: int, bits: str) -> bytes:
    """A NAL unit with its start code, closed and escaped as H.264 7.4.1 demands."""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    escaped = bytearray()
    for byte in int("1" * 8 + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]:
        if escaped[-2:] == b"\x00\x00" and byte < 4:
            escaped.append(3)
        escaped.append(byte)
    return b"\x00\x00\x00\x01" + bytes((kind,)) + escaped


# name: (profile, fields of the high profiles, order type, its fields, cropping, fields allowed)
PARAMETER_SETS = {
    "eight lists": (100, golomb(1, 0, 0) + "01" + scaling_lists(8), 0, golomb(4), "0", False),
    "twelve lists": (244, golomb(3) + "0" + golomb(0, 0) + "01" + scaling_lists(12), 0,
                     golomb(4), "1" + golomb(1, 2, 3, 4), False),
    "4:2:2 fields": (122, golomb(2, 2, 2) + "00", 0, golomb(4), "1" + golomb(1, 2, 3, 4), True),
    "order type 1": (66, "", 1, "0" + golomb(3, 5, 4, 9, 8, 7, 6), "1" + golomb(0, 1, 0, 2),
                     False),
    "order type 2": (77, "", 2, "", "1" + golomb(0, 1, 0, 2), True),
    "escaped": (77, "", 1, "0" + golomb(2**26, 2**30, 1, 2**31 - 2), "0", False),
}


def parameter_set(
    profile: int, high: str, order: int, order_fields: str, crop: str, fields: bool
) -> bytes:
    """An H.264 SPS of 40 by 23 macroblocks, or by 23 pairs where fields are allowed."""
    return nal_unit(0x67, "".join((
        f"{profile:08b}", "0" * 8, f"{51:08b}", golomb(0), high, golomb(0, order), order_fields,
        golomb(1), "0", golomb(39, 22), "01" if fields else "1", "1", crop, "0")))


@pytest.mark.parametrize("name", PARAMETER_SETS)
def test_parameter_sets_agree_with_ffprobe(name: str, tmp_path: Path) -> None:
    """Sets no encoder here writes; ffprobe needs a picture set and a slice's head with them."""
    _profile, _high, order, _order_fields, _crop, fields = PARAMETER_SETS[name]
    unit = parameter_set(*PARAMETER_SETS[name])
    pictures = nal_unit(0x68, "".join((
        golomb(0, 0), "00", golomb(0, 0, 0), "000", golomb(0, 0, 0), "000")))
    head = golomb(0, 7, 0) + "0000" + ("0" if fields else "") + golomb(0)
    head += ("0" * 8, golomb(0), "")[order] + "00" + golomb(0)
    raw = tmp_path / "frame.264"
    raw.write_bytes(unit + pictures + nal_unit(0x65, head + "10" * 800))
    (stream,) = probe(raw, "-f", "h264", "-show_streams")["streams"]
    found = mpegts.picture_size(in_packets(256, unit + pictures), 256, "h264")
    assert found == (stream["width"], stream["height"])


def test_planes_apart_are_cropped_by_the_pixel() -> None:
    """ffprobe refuses separate_colour_plane_flag, so H.264 7.4.2.1.1 is counted by hand."""
    unit = parameter_set(244, golomb(3) + "1" + golomb(0, 0) + "00", 0, golomb(4),
                         "1" + golomb(1, 2, 3, 4), False)
    assert mpegts.picture_size(in_packets(256, unit), 256, "h264") == (637, 361)


def registered(name: bytes) -> bytes:
    return b"\x52\x01\x00\x05\x04" + name


@pytest.mark.parametrize("data, codecs", [
    (PAT + packet(4096, b"\x00" + AV), "h264 aac"),
    (FILLER * 50 + packet(4096, b"\x00" + AV) + PAT, "h264 aac"),
    (packet(0, b"\x00" + pat((0, 16), (1, 4096))) + packet(4096, b"\x00" + AV), "h264 aac"),
    (packet(0, b"\x00" + pat((2, 32), (1, 4096))) + packet(4096, b"\x00" + AV)
     + packet(32, b"\x00" + OTHER), "hevc"),
    (PAT + packet(4096, b"\x00" + OTHER + AV), "h264 aac"),
    (PAT + packet(4096, b"\x00" + AV, adaptation=100), "h264 aac"),
    (PAT + packet(4096, b"\x05junk!" + AV), "h264 aac"),
    (PAT + packet(4096, b"\x00" + LONG[:183]) + FILLER
     + packet(4096, LONG[183:], starts=False), "h264 id3 aac"),
    (PAT + packet(4096, b"\x00" + LONG[:183])
     + packet(4096, bytes((len(LONG) - 183,)) + LONG[183:] + OTHER), "h264 id3 aac"),
    (PAT + packet(4096, b"\x00" + LONG[:183]), ""),
    (PAT + packet(4096, LONG[183:], starts=False) + packet(4096, b"\x00" + AV), "h264 aac"),
    (PAT + packet(4096, b"\x00" + pmt(1, (0x24, 256, b""), current=0))
     + packet(4096, b"\x00" + AV), "h264 aac"),
    (PAT + packet(4096, b"\x00" + pmt(1, (0x06, 1, registered(b"Opus")),
                                      (0x06, 2, registered(b"AV01")), (0x06, 3, b"\x6A\x00"),
                                      (0x06, 4, b"\x7A\x01\x00"), (0x06, 5, b""))),
     "opus av1 ac3 eac3 type-0x06"),
    (PAT + packet(4096, b"\x00" + pmt(1, *((kind, kind, b"") for kind in (
        0x01, 0x02, 0x03, 0x04, 0x11, 0x81, 0x87, 0x86, 0x10)))),
     "mpeg2video mpeg2video mp3 mp3 aac_latm ac3 eac3 type-0x86 type-0x10"),
    (PAT + b"\x00" + packet(4096, b"\x00" + AV), ""),
    (FILLER * 2100 + PAT + packet(4096, b"\x00" + AV), ""),
])
def test_program(data: bytes, codecs: str) -> None:
    assert " ".join(one.codec for one in mpegts.program(data)) == codecs


def test_random_bytes_raise_nothing() -> None:
    dice = random.Random(1)
    for number in range(1000):
        data = dice.randbytes(dice.randrange(2000))
        shape_of(data, data)
        fmp4.tracks(data)
        fmp4.decode_times(data)
        mpegts.program(data)
        for codec in ("h264", "hevc", "mpeg2video"):
            kind = {"h264": b"\x67", "hevc": b"\x42\x01", "mpeg2video": b"\xB3"}[codec]
            pes = b"\x00\x00\x01\xE0\x00\x00\x80\x00\x00\x00\x00\x01" + kind + data[:170]
            mpegts.picture_size(packet(256, pes), 256, codec)
