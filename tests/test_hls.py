"""Tests of brlib.hls: what stands in the playlists that players are given."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from brlib.hls import CaptureList, Piece, Spans, finished, piece_name
from brlib.models import Gap, GapCause
from brlib.playlist import End, Entry, Hole, Note, Part, Synced

from .test_playlist import MOMENT, segment

HOLE = Hole(Gap(MOMENT, 2.0, 4.0, 2, GapCause.NETWORK), 9, 0)
TS, OTHER_TS = Part("0001.ts", "ts h264"), Part("0002.ts", "ts hevc")
MP4 = Part("0001.mp4", "mp4 h264", 700, "beef")
HEAD = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-TARGETDURATION:2",
        "#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"]


def one(file: str = "0001.ts", offset: int = 0, **changes: object) -> Entry:
    return segment(7, file=file, offset=offset, size_bytes=100, **changes)


def said(file: str, offset: int) -> list[str]:
    return ["#EXTINF:2.00200,", f"media/{piece_name(file, offset, 100)}"]


def listed(*entries: Entry, target_s: int = 2) -> CaptureList:
    found = CaptureList(target_s)
    for entry in entries:
        found.add(entry)
    return found


CASES: dict[str, tuple[list[Entry], list[str]]] = {
    "nothing": ([], []),
    "a part without segments": ([TS], []),
    "a segment": ([TS, one()], said("0001.ts", 0)),
    "the ledger's own lines": ([TS, Note("title", "x"), one(), Synced()], said("0001.ts", 0)),
    "a date": ([TS, one(date=MOMENT)],
               ["#EXT-X-PROGRAM-DATE-TIME:2026-02-03T04:05:06.789Z", *said("0001.ts", 0)]),
    "no discontinuity before the first": ([HOLE, TS, one(discontinuity=True)],
                                          said("0001.ts", 0)),
    "a discontinuity": ([TS, one(), one(offset=100, discontinuity=True)],
                        [*said("0001.ts", 0), "#EXT-X-DISCONTINUITY", *said("0001.ts", 100)]),
    "a gap, in two lines": ([TS, one(), HOLE, HOLE, one(offset=100)],
                            [*said("0001.ts", 0), "#EXT-X-DISCONTINUITY", *said("0001.ts", 100)]),
    "a gap at the end": ([TS, one(), HOLE], said("0001.ts", 0)),
    "another part": ([TS, one(), HOLE, OTHER_TS, one("0002.ts", discontinuity=True)],
                     [*said("0001.ts", 0), "#EXT-X-DISCONTINUITY", *said("0002.ts", 0)]),
    "an init section": ([MP4, one("0001.mp4", 700), one("0001.mp4", 800)],
                        ['#EXT-X-MAP:URI="media/0001-0-700.mp4"',
                         *said("0001.mp4", 700), *said("0001.mp4", 800)]),
    "an init section put out of force": (
        [MP4, one("0001.mp4", 700), OTHER_TS, segment(8, file="0002.ts", offset=0,
                                                      size_bytes=940, duration_s=2.0)],
        ['#EXT-X-MAP:URI="media/0001-0-700.mp4"', *said("0001.mp4", 700),
         "#EXT-X-DISCONTINUITY", '#EXT-X-MAP:URI="media/0002-0-564.ts"',
         "#EXTINF:2.00000,", "media/0002-0-940.ts"]),
    "not more of a map than is committed": (
        [MP4, one("0001.mp4", 700), OTHER_TS, one("0002.ts")],
        ['#EXT-X-MAP:URI="media/0001-0-700.mp4"', *said("0001.mp4", 700),
         "#EXT-X-DISCONTINUITY", '#EXT-X-MAP:URI="media/0002-0-100.ts"', *said("0002.ts", 0)]),
}


@pytest.mark.parametrize("entries, lines", CASES.values(), ids=CASES.keys())
def test_a_capture(entries: list[Entry], lines: list[str]) -> None:
    found = listed(*entries)
    text = found.text(closed=False)
    assert text.splitlines() == HEAD + lines and text.endswith("\n")
    assert found.text(closed=True) == text.replace("EVENT", "VOD") + "#EXT-X-ENDLIST\n"


def test_lines_only_come_behind_those_that_were_said() -> None:
    found, before = listed(), ""
    for entry in [TS, one(), HOLE, one(offset=100), OTHER_TS, one("0002.ts", date=MOMENT), End()]:
        found.add(entry)
        text = found.text(closed=False)
        assert text.startswith(before) and text == found.text(closed=False)
        before = text
    assert found.ended and found.segments == 3


def test_parts_are_known_by_their_segments() -> None:
    found = listed(TS, one(), one(offset=100), OTHER_TS)
    assert list(found.parts) == ["0001.ts"]
    found.add(one("0002.ts"))
    assert list(found.parts) == ["0001.ts", "0002.ts"]
    assert found.parts["0001.ts"].names(100, 100) and not found.parts["0002.ts"].names(100, 100)


@pytest.mark.parametrize("offset, size_bytes, named", [
    (0, 700, True), (700, 100, True), (800, 50, True), (850, 1, True),
    (0, 0, False), (0, 800, False), (0, 100, False), (700, 150, False), (700, 99, False),
    (701, 99, False), (800, 51, False), (851, 1, False), (850, 2, False), (-1, 1, False),
])
def test_exactly_what_is_named(offset: int, size_bytes: int, named: bool) -> None:
    spans = Spans()
    spans.head_bytes = 700
    for begin, size in ((700, 100), (800, 50), (850, 1)):
        spans.add(begin, size)
    assert spans.names(offset, size_bytes) is named
    assert not Spans().names(offset, size_bytes)


def test_every_name_in_the_list_is_known_and_nothing_is_a_byte_range() -> None:
    found = listed(MP4, one("0001.mp4", 700), OTHER_TS, one("0002.ts"), one("0002.ts", 100))
    text = found.text(closed=True)
    names = re.findall(r"media/(\d+)-(\d+)-(\d+)(\.\w+)", text)
    assert len(names) == text.count("media/") == 5 and "BYTERANGE" not in text
    for part, offset, size, suffix in names:
        assert found.parts[part + suffix].names(int(offset), int(size))


@pytest.mark.parametrize("durations_s, target_s", [
    ([2.0], 2), ([2.499], 2), ([2.5], 3), ([2.0, 6.006, 4.0], 6), ([0.1], 2), ([59.9], 60),
])
def test_the_target_is_never_less_than_a_segment(durations_s: list[float], target_s: int) -> None:
    """RFC 8216, 4.3.3.1."""
    found = listed(TS, *(one(duration_s=s) for s in durations_s))
    assert f"#EXT-X-TARGETDURATION:{target_s}\n" in found.text(closed=False)


def test_finished_files_one_behind_the_other() -> None:
    text = finished([
        ("f1-init.mp4", [Piece("f1-0.m4s", 6.0), Piece("f1-1.m4s", 6.51)]),
        ("f2-init.ts", [Piece("f2-0-900.ts", 4.0), Piece("f2-900-100.ts", 2.0, True)]),
    ])
    assert text.splitlines() == [
        "#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-TARGETDURATION:7",
        "#EXT-X-MEDIA-SEQUENCE:0", '#EXT-X-MAP:URI="media/f1-init.mp4"',
        "#EXTINF:6.00000,", "media/f1-0.m4s", "#EXTINF:6.51000,", "media/f1-1.m4s",
        "#EXT-X-DISCONTINUITY", '#EXT-X-MAP:URI="media/f2-init.ts"',
        "#EXTINF:4.00000,", "media/f2-0-900.ts", "#EXT-X-DISCONTINUITY",
        "#EXTINF:2.00000,", "media/f2-900-100.ts", "#EXT-X-ENDLIST",
    ]


def test_a_transport_stream_alone_needs_no_map() -> None:
    text = finished([("f1-init.ts", [Piece("f1-0-9.ts", 0.2)])])
    assert "MAP" not in text and "#EXT-X-TARGETDURATION:1\n" in text


def test_dates_are_utc_to_the_millisecond() -> None:
    found = listed(TS, one(date=MOMENT + timedelta(microseconds=400)))
    assert "2026-02-03T04:05:06.789Z" in found.text(closed=True)
