"""What decides where a finished file is cut: parsed answers, times, packets, arguments."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import Conflict, Unavailable
from brlib.viewing.cuts import cut_args, init_bytes
from brlib.viewing.outline import (
    PIECE_MAX_S, PIECES, Outline, Stream, begins_s, parse_keyframes, parse_streams, seek_times_s,
)
from brlib.viewing.transport import CLOCK_TURN, after_s, clean, content_s, packets

from .media import ts_clips
from .shapes_media import packet

VIDEO, AUDIO = Stream("h264", 48000, 20.0), Stream("aac", 44100, 20.0)


def outline(*later_s: float, video: Stream | None = VIDEO, **changes: Any) -> Outline:
    return Outline((0.5, *later_s, 20.0), video, changes.get("audio", (AUDIO,)))


@pytest.mark.parametrize("length_s, count, step_s", [
    (0.1, 1, 6.0), (6.0, 1, 6.0), (6.1, 2, 6.0), (3600.0, 600, 6.0),
    (36_000.0, PIECES, 12.0), (360_000.0, 12_000, PIECE_MAX_S),
])
def test_times_to_seek_to(length_s: float, count: int, step_s: float) -> None:
    times_s = seek_times_s(1.5, length_s)
    assert len(times_s) == count and times_s[0] == 1.5
    assert all(b - a == pytest.approx(step_s) for a, b in zip(times_s, times_s[1:]))


def test_keyframes_among_other_lines() -> None:
    assert parse_keyframes([
        "0.000000,K_", "", "6.066667,K__,", "8.1,__", "-0.021000,K_", "N/A,K_", "Skip Samples",
        "[mov @ 0x55] 1.0,K",
    ]) == [0.0, 6.066667, -0.021]


@pytest.mark.parametrize("start_s, length_s, keys_s, expected", [
    (0.0, 20.0, [0.0, 6.0, 12.0], (0.0, 6.0, 12.0, 20.0)),
    (0.0, 20.0, [0.021, 4.021, 4.021, 10.021], (0.0, 4.021, 10.021, 20.0)),
    (-0.5, 20.0, [], (-0.5, 19.5)),
    (0.0, 20.0, [3.0], (0.0, 20.0)),
    (0.0, 20.0, [0.0, 20.0, 21.0], (0.0, 20.0)),
    (0.0, 20.0, [12.0, 0.0, 6.0], (0.0, 6.0, 12.0, 20.0)),
    (0.0, 0.0, [0.0], (0.0, 0.001)),
])
def test_where_pieces_begin(
    start_s: float, length_s: float, keys_s: list[float], expected: tuple[float, ...]
) -> None:
    assert begins_s(start_s, length_s, keys_s) == expected


def test_windows_leave_nothing_out_and_nothing_twice() -> None:
    found = outline(6.0, 12.0)
    windows = [found.window(number) for number in range(found.pieces)]
    assert windows[0][0] is None and windows[-1][1] is None
    assert all(a[1] == b[0] for a, b in zip(windows, windows[1:]))
    assert [windows[1][0] or 0, windows[1][1] or 0] == pytest.approx([5.9996, 11.9996])
    assert sum(found.durations_s()) == 19.5
    assert outline().window(0) == (None, None)


def answer(*streams: dict[str, Any], **form: Any) -> str:
    return "a warning\n" + json.dumps(
        {"streams": streams, "format": {"start_time": "0.5", "duration": "20.0", **form}},
        indent=4) + "\nanother"


H264 = {"codec_type": "video", "codec_name": "h264", "disposition": {"attached_pic": 0}}
AAC = {"codec_type": "audio", "codec_name": "aac", "sample_rate": "44100"}
COVER = {"codec_type": "video", "codec_name": "mjpeg", "disposition": {"attached_pic": 1}}


def test_streams() -> None:
    text = answer(COVER, {**AAC, "start_time": "1.0", "duration": "19.5"}, {"codec_type": "data"},
                  {**H264, "tags": {"DURATION": "01:00:20.250000000"}}, AAC)
    assert parse_streams(text) == (
        0.5, 20.0, Stream("h264", 48000, 3620.25),
        (Stream("aac", 44100, 20.5), Stream("aac", 44100, None)))
    assert parse_streams(answer(AAC))[2] is None


@pytest.mark.parametrize("text", [
    "", "no json", "{\n}", answer(H264, duration="N/A"), answer({"codec_type": "video"}),
    '{\n"format": {"duration": "1"}, "streams": 5}',
])
def test_no_answer(text: str) -> None:
    with pytest.raises(Unavailable, match="cannot read the finished file"):
        parse_streams(text)


@pytest.mark.parametrize("streams, named", [
    ([{**H264, "codec_name": "wmv3"}, AAC], "wmv3"), ([], "A file without streams"),
    ([H264, {**AAC, "codec_name": "pcm_s16le"}], "pcm_s16le"), ([COVER], "A file without"),
])
def test_what_hls_has_no_room_for(streams: list[dict[str, Any]], named: str) -> None:
    with pytest.raises(Conflict, match=named):
        parse_streams(answer(*streams))


@pytest.mark.parametrize("video, audio, packing", [
    ("h264", "aac", ".ts"), ("h264", "opus", ".m4s"), ("hevc", "aac", ".m4s"),
    ("mpeg2video", "ac3", ".ts"), ("av1", "aac", ".m4s"),
])
def test_packing(video: str, audio: str, packing: str) -> None:
    assert Outline((0.0, 1.0), Stream(video, 1, 1.0), (Stream(audio, 1, 1.0),)).packing == packing
    assert Outline((0.0, 1.0), None, (AUDIO,)).packing == ".ts"


def test_sound_that_ended_long_before_is_not_asked_for() -> None:
    early = Stream("aac", 44100, 5.0)
    found = Outline((0.0, 30.0, 60.0, 90.0), VIDEO, (early, AUDIO, Stream("aac", 1, None)))
    assert [found.audible(number) for number in range(3)] == [(0, 1, 2), (0, 1, 2), (2,)]
    assert Outline((0.0, 60.0, 90.0), None, (early,)).audible(1) == (0,)


def test_arguments_name_both_bounds() -> None:
    args = cut_args("ffmpeg", Path("/a.mp4"), outline(6.0, 12.0), 1, 10.0, Path("/b.ts"))
    assert args[args.index("-ss") + 1] == "3.500" and args[args.index("-to") + 1] == "14.000"
    assert args[args.index("-bsf:a") + 1] == (
        "noise=drop='lt(pts*tb,5.999600)+gte(pts*tb,11.999600)'")
    assert "gte(pts*tb,5.999600)+gte(pts*tb,11.999600)" in args[args.index("-bsf:v") + 1]
    whole = cut_args("ffmpeg", Path("/a.mp4"), outline(), 0, 10.0, Path("/b.ts"))
    assert "-ss" not in whole and "-to" not in whole


@pytest.mark.parametrize("data, expected", [
    (b"\0\0\0\x10ftyp01234567\0\0\0\x08moov\0\0\0\x08moof", 24), (b"\0\0\0\x08moof", 0),
    (b"\0\0\0\x10ftyp01234567", None), (b"", None), (b"\0\0\0\0moov" * 9, None),
    (b"\xff\xff\xff\xffmoov", None),
])
def test_where_the_init_section_ends(data: bytes, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(Unavailable, match="empty piece"):
            init_bytes(io.BytesIO(data))
    else:
        assert init_bytes(io.BytesIO(data)) == expected


# Transport streams.


@pytest.mark.parametrize("before_s, after, expected", [
    (0.0, 6.0, 6.0), (5.0, 5.0, 0.0), (CLOCK_TURN / 90_000 - 2, 4.0, 6.0),
    (6.0, 5.0, CLOCK_TURN / 90_000 - 1),
])
def test_the_clock_turns_over(before_s: float, after: float, expected: float) -> None:
    assert after_s(round(before_s * 90_000), round(after * 90_000)) == pytest.approx(expected)


@pytest.mark.parametrize("times_s, expected_s", [
    ([], 0.0), ([3.0], 0.25), ([0.0, 1.0, 2.0], 3.0), ([0.0, 3.0, 1.0, 2.0], 4.0),
    ([10.0, 11.0, 0.0, 1.0, 2.0], 3.0 + 2.0), ([100.0, 101.0, 0.0, 1.0, 2.0], 2.0 + 3.0),
    ([0.0, 1.0, 500.0, 501.0], 4.0), ([CLOCK_TURN / 90_000 - 1, 0.0, 1.0], 3.0),
])
def test_how_long_units_last(times_s: list[float], expected_s: float) -> None:
    ticks = [round(time_s * 90_000) for time_s in times_s]
    assert content_s(ticks, 0.25) == pytest.approx(expected_s)


def test_packets_of_a_real_segment() -> None:
    (clip,) = ts_clips(1)
    found = list(packets(clip.body))
    assert len(found) == len(clip.body) // 188
    video = [p for p in found if p.pid == 256 and p.begins]
    assert len(video) == clip.frames and video[0].keyframe
    assert not any(p.keyframe for p in video[1:])
    assert [p.time for p in video if p.time is not None] == [
        (video[0].time or 0) + number * 4500 for number in range(clip.frames)]
    late = list(packets(b"junk" + clip.body))
    assert [p.offset for p in late] == [p.offset + 4 for p in found]


@pytest.mark.parametrize("data", [b"", b"\x47", b"\x47" * 187, b"\0" * 5000, b"\x47" * 5000,
                                  packet(0, b"", adaptation=183), packet(5, b"\0\0\1")])
def test_packets_of_noise_raise_nothing(data: bytes) -> None:
    for found in packets(data):
        assert found.time is None or found.begins
    clean(data, 0, True)


def test_a_clean_cut_is_before_the_tables_of_a_keyframe() -> None:
    first, second = ts_clips(2)
    body = first.body + second.body
    pats = [at for at in range(0, len(body), 188) if body[at:at + 3] == b"\x47\x40\0"]
    cuts = [at for at in pats if clean(body, at, True) is not None]
    assert len(cuts) == 2 and cuts[0] < 1000 < len(first.body) <= cuts[1] < len(first.body) + 1000
    times = [clean(body, at, True) for at in cuts]
    assert None not in times and after_s(times[0] or 0, times[1] or 0) == pytest.approx(0.5)
    # A picture that goes on behind a PAT was begun before it.
    middle = next(p.offset for p in packets(body) if p.pid == 256 and not p.begins)
    tables = body[cuts[0]:cuts[0] + 376]
    assert clean(tables + body[middle:], 0, False) is None
