"""Tests of brlib.fmp4: tracks and decode times."""

from __future__ import annotations

from pathlib import Path

import pytest

from brlib import fmp4

from . import shapes_media
from .shapes_media import X264, box, ffmpeg, picture, probe, split_init, tfdt, traf

pytestmark = shapes_media.NEEDS_FFMPEG
LARGE_MDAT = (1).to_bytes(4, "big") + b"mdat" + (24).to_bytes(8, "big") + bytes(8)


@pytest.fixture(scope="module")
def media() -> dict[str, Path]:
    return shapes_media.made()


def test_tracks_agree_with_ffprobe(media: dict[str, Path]) -> None:
    init, _segment = split_init(media["mp4-h264-aac"].read_bytes())
    streams = probe(media["mp4-h264-aac"], "-show_streams")["streams"]
    assert fmp4.tracks(init) == tuple(
        fmp4.Track(
            track_id=int(stream["id"], 16),
            codec=stream["codec_name"],
            timescale=int(stream["time_base"].split("/")[1]),
            width=stream.get("width", 0),
            height=stream.get("height", 0),
        )
        for stream in streams
    )


def test_decode_times_of_hls_segments(tmp_path: Path) -> None:
    arguments = (
        f"{picture('160x90', 75)} -f lavfi -i sine=duration=3 {X264} -g 25 -bf 0 -c:a aac "
        "-f hls -hls_time 1 -hls_segment_type fmp4 -hls_list_size 0 "
        f"-hls_segment_filename {tmp_path}/part%d.m4s")
    assert ffmpeg(arguments, tmp_path / "list.m3u8")
    init = (tmp_path / "init.mp4").read_bytes()
    scales = {track.track_id: track.timescale for track in fmp4.tracks(init)}
    begins = []
    for number in range(3):
        part = tmp_path / f"part{number}.m4s"
        joined = tmp_path / f"joined{number}.mp4"
        joined.write_bytes(init + part.read_bytes())
        times = fmp4.decode_times(part.read_bytes())
        assert set(times) == set(scales)
        # The edit list would move ffprobe's times by the audio encoder's delay.
        packets = probe(joined, "-ignore_editlist", "1", "-show_packets",
                        "-select_streams", "v:0")["packets"]
        assert times[1] == packets[0]["dts"]
        begins.append({track: times[track] / scales[track] for track in times})
    for number, begin in enumerate(begins):
        assert begin[1] == pytest.approx(number, abs=0.01)
        assert begin[2] == pytest.approx(number, abs=0.1)


@pytest.mark.parametrize("segment, expected", [
    (box(b"moof", traf(1, tfdt(0, 90000))), {1: 90000}),
    (box(b"moof", traf(1, tfdt(1, 2**40))), {1: 2**40}),
    (box(b"moof", traf(1, tfdt(0, 5)), traf(2, tfdt(1, 6))), {1: 5, 2: 6}),
    (box(b"moof", traf(1, tfdt(0, 5))) + LARGE_MDAT + box(b"moof", traf(2, tfdt(0, 7)))
     + box(b"moof", traf(1, tfdt(0, 8))), {1: 5, 2: 7}),
    (box(b"moof", traf(1, b"")) + box(b"moof", traf(1, tfdt(0, 8))), {}),
    (box(b"moof", traf(1, tfdt(1, 5)))[:-1], {}),
    (box(b"moof", box(b"traf", tfdt(0, 5))), {}),
    (bytes(4) + b"moof" + traf(3, tfdt(0, 9)), {3: 9}),
    (bytes(3) + b"\x04mdat" + box(b"moof", traf(1, tfdt(0, 8))), {}),
    (b"", {}),
])
def test_decode_times(segment: bytes, expected: dict[int, int]) -> None:
    assert fmp4.decode_times(segment) == expected
