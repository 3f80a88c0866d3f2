"""Tests of brlib.playlist: lines and entries are inverses, torn text ends the reading."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest

from brlib.models import Gap, GapCause
from brlib.playlist import (
    End, Entry, Found, Hole, Note, Part, Segment, Synced, header, lines, parse, stamp,
)

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
ODD = '"quoted", %41 100% \\ \x00\x1f\x7f\x85\u2028\u2029\r\n#EXT-X-ENDLIST\n😀\ud83d\udfff=,;'


def segment(num: int = 7, **changes: object) -> Segment:
    values: dict[str, object] = {
        "file": "0001.ts", "offset": 188, "size_bytes": 376, "duration_s": 2.002, "num": num,
        "epoch": 0, "digest": "00ff", "path": "abcd", "taken_at": MOMENT, **changes}
    return Segment(**values)  # type: ignore[arg-type]


ENTRIES: dict[str, Entry] = {
    "part": Part("0001.ts", "ts h264 1280x720 + aac"),
    "part with init": Part("0002.mp4", "mp4 hevc", 812, "beef"),
    "segment": segment(),
    "segment, all tags": segment(date=MOMENT, discontinuity=True, epoch=3),
    "segment, empty digest": segment(digest="", path=""),
    "segment, large": segment(2 ** 62, offset=2 ** 41, size_bytes=2 ** 33, duration_s=86400.0),
    "segment, short": segment(duration_s=0.00001),
    "segment, part 10000": segment(file="10000.mp4"),
    "segment of 1970": segment(date=datetime(1970, 1, 1, tzinfo=UTC)),
    "hole": Hole(Gap(MOMENT, 12.5, 3.25, 2, GapCause.EXPIRED), 99, 1),
    "hole of unknown length": Hole(Gap(MOMENT, 0.0, 0.0, 0, GapCause.DAEMON_DOWN), 0, 0),
    "note": Note("title", "A plain title"),
    "odd note": Note(ODD, ODD),
    "empty note": Note("", ""),
    "synced": Synced(),
    "end": End(),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_lines_and_back(entry: Entry) -> None:
    text = lines(entry)
    data = text.encode()
    assert text.endswith("\n")
    assert list(parse(data)) == [Found(entry, len(data))]


def test_every_cause_and_back() -> None:
    for cause in GapCause:
        entry = Hole(Gap(MOMENT, 1.0, 2.0, 3, cause), 4, 5)
        assert [found.entry for found in parse(lines(entry).encode())] == [entry]


def test_any_note_stays_in_its_line() -> None:
    dice = random.Random(3)
    for _ in range(2000):
        text = "".join(chr(dice.choice((dice.randrange(256), dice.randrange(0x110000), 37, 34)))
                       for _ in range(dice.randrange(30)))
        note = Note(text, text[::-1])
        data = lines(note).encode()
        assert data.count(b"\n") == 1 and len(lines(note).splitlines()) == 1
        assert [found.entry for found in parse(data)] == [note]


def test_a_whole_index_from_any_base() -> None:
    start = header(10).encode()
    pieces = [lines(entry).encode() for entry in ENTRIES.values()]
    found = list(parse(start + b"".join(pieces)))
    assert [one.entry for one in found] == list(ENTRIES.values())
    base = found[4].end
    rest = (start + b"".join(pieces))[base:]
    assert list(parse(rest, base)) == found[5:]


def test_cut_anywhere_gives_the_entries_before() -> None:
    data = header(10).encode() + b"".join(lines(entry).encode() for entry in ENTRIES.values())
    whole = list(parse(data))
    for cut in range(len(data)):
        assert list(parse(data[:cut])) == [one for one in whole if one.end <= cut], cut


@pytest.mark.parametrize("rubbish", [
    b"\x00" * 100, b"\x00" * 100 + b"\n", b"\xff\xfe\n", b"hello\n", b"0001.ts\n", b"#BR-PART:\n",
    b"#BR-GAP:START=\"x\"\n", b"#EXTINF:2.0,\n0001.ts\n", b"#BR-NOTE:KEY=\"a\"\n", b"../../x.ts\n",
    b"#BR-SEGMENT:NUM=\"1\"\n/etc/passwd\n", b"#comment of someone else\n", b"\n",
])
def test_what_is_not_ours_ends_the_reading(rubbish: bytes) -> None:
    first = lines(Synced()).encode()
    data = first + rubbish + lines(End()).encode()
    assert list(parse(data)) == [Found(Synced(), len(first))]


def test_damage_raises_nothing() -> None:
    dice = random.Random(4)
    good = b"".join(lines(entry).encode() for entry in ENTRIES.values())
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        assert len(list(parse(bytes(data)))) <= len(ENTRIES)


@pytest.mark.parametrize("moment, expected", [
    (MOMENT, "2026-02-03T04:05:06.789Z"),
    (MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-02-03T04:05:06.789Z"),
    (MOMENT.replace(microsecond=0), "2026-02-03T04:05:06.000Z"),
])
def test_stamps_are_utc_with_milliseconds(moment: datetime, expected: str) -> None:
    assert stamp(moment) == expected
