"""Tests of brlib.ledger: what is committed, added up, followed and played."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from brlib.errors import CaptureDamaged
from brlib.ledger import INDEX, Follower, Ledger, read
from brlib.models import Gap, GapCause
from brlib.playlist import End, Entry, Hole, Note, Part, Segment, Synced, lines
from brlib.tally import RECENT_SEGMENTS, Tally, digest_of

from .media import fmp4_clips, ts_clips, video_frames
from .test_playlist import MOMENT, segment


def facts(num: int, body: bytes, **changes: object) -> Segment:
    return segment(num, digest=digest_of(body), file="", offset=0, size_bytes=0, **changes)


def hole(duration_s: float, offset_s: float, cause: GapCause = GapCause.EXPIRED) -> Hole:
    return Hole(Gap(MOMENT, offset_s, duration_s, 1, cause), 0, 0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "captures" / "rec_1"


def test_sums_are_the_same_live_after_a_restart_and_for_readers(directory: Path) -> None:
    """With lengths and times finer than the index writes them."""
    one = Ledger.create(directory, 10)
    one.begin_part("mp4 h264", ".mp4", b"init")
    for num in range(20):
        body = b"body %d" % num
        one.append_segment(body, facts(num, body, duration_s=2.0021333333,
                                       date=MOMENT + timedelta(microseconds=2002133 * num)))
        if num % 7 == 3:
            one.append(hole(1.23456789, one.tally.sums.captured_s))
    one.append(Note("title", "\ud800 odd"))
    live = one.tally
    one.close()
    assert read(directory) == live
    again = Ledger.recover(directory)
    assert again.tally == live
    again.append(hole(0.5, again.tally.sums.captured_s))
    assert read(directory) == again.tally
    again.close()
    assert live.sums.segments == 20 and live.sums.parts == 1 and live.sums.gaps == 3
    assert live.sums.captured_bytes == (directory / "0001.mp4").stat().st_size
    assert live.sums.captured_s == pytest.approx(20 * 2.0021333, abs=1e-3)
    assert live.end_date is not None and live.mean_s == pytest.approx(2.00213)


@pytest.mark.parametrize("holes, expected", [
    pytest.param([(1.0, 0.0, GapCause.EXPIRED), (2.0, 0.0, GapCause.EXPIRED)], [3.0],
                 id="one stretch"),
    pytest.param([(1.0, 0.0, GapCause.EXPIRED), (2.0, 0.0, GapCause.NETWORK)], [1.0, 2.0],
                 id="two causes"),
    pytest.param([(1.0, 0.0, GapCause.EXPIRED), (2.0, 2.0, GapCause.EXPIRED)], [1.0, 2.0],
                 id="media between"),
    pytest.param([(1.0, 0.0, GapCause.AD)] * 5, [5.0], id="five lines"),
    pytest.param([(0.0, 0.0, GapCause.AD), (0.0, 1.0, GapCause.AD)], [0.0, 0.0],
                 id="of unknown length"),
])
def test_adjacent_gaps_are_one(
    directory: Path, holes: list[tuple[float, float, GapCause]], expected: list[float]
) -> None:
    one = Ledger.create(directory, 10)
    for entry in holes:
        one.append(hole(*entry))
    one.close()
    tally = read(directory)
    assert [gap.duration_s for gap in tally.gaps] == expected
    assert tally.sums.gaps == len(expected) and tally.sums.gap_s == sum(expected)
    assert sum(gap.segments for gap in tally.gaps) == len(holes)


def test_recent_segments_are_bounded_and_in_order(directory: Path) -> None:
    """A body that comes again is as recent as its last coming."""
    tally = Tally()
    tally.add(Part("0001.ts", "ts"))
    for num in range(RECENT_SEGMENTS + 10):
        digest = "slate" if num % 100 == 0 else f"{num}"
        tally.add(segment(num, digest=digest))
    kept = [one.num for one in tally.recent.values()]
    assert len(kept) == RECENT_SEGMENTS and kept == sorted(kept)
    assert tally.recent["slate"].num == RECENT_SEGMENTS // 100 * 100


def test_parts(directory: Path) -> None:
    one = Ledger.create(directory, 10)
    with pytest.raises(ValueError, match="begin_part"):
        one.append_segment(b"x", facts(0, b"x"))
    one.begin_part("ts h264", ".ts", b"")
    one.append_segment(b"first", facts(0, b"first"))
    one.begin_part("mp4 h264", ".mp4", b"init")
    second = one.append_segment(b"second", facts(1, b"second"))
    one.close()
    one.close()
    assert (second.file, second.offset, second.size_bytes) == ("0002.mp4", 4, 6)
    assert (directory / "0001.ts").read_bytes() == b"first"
    assert (directory / "0002.mp4").read_bytes() == b"initsecond"
    tally = read(directory)
    assert {name: sums.captured_bytes for name, sums in tally.by_part.items()} == {
        "0001.ts": 5, "0002.mp4": 10}
    assert one.read_segment(second) == b"second"
    with pytest.raises(FileExistsError):
        Ledger.create(directory, 10)


def test_synced_is_said_only_of_what_is_on_the_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a part that ended since the last time."""
    synced: dict[str, int] = {}

    def fdatasync(fd: int) -> None:
        synced[Path(os.readlink(f"/proc/self/fd/{fd}")).name] = os.fstat(fd).st_size

    one = Ledger.create(directory, 10)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    for part in range(3):
        one.begin_part("ts", ".ts", b"")
        for num in range(2):
            one.append_segment(b"body", facts(part * 2 + num, b"body"))
    before = (directory / INDEX).stat().st_size
    one.sync()
    assert synced == {"0001.ts": 8, "0002.ts": 8, "0003.ts": 8, INDEX: before}
    assert (directory / INDEX).read_bytes().endswith(b"0003.ts\n#BR-SYNCED\n")
    synced.clear()
    one.sync()
    assert synced == {}
    one.close()


@pytest.mark.parametrize("fragmented", [False, True], ids=["ts", "fmp4"])
def test_the_index_is_played(directory: Path, fragmented: bool) -> None:
    init, clips = fmp4_clips(4) if fragmented else (b"", ts_clips(4))
    one = Ledger.create(directory, 10)
    one.begin_part("mp4 h264" if fragmented else "ts h264",
                   ".mp4" if fragmented else ".ts", init)
    for num, clip in enumerate(clips):
        one.append_segment(clip.body, facts(num, clip.body, duration_s=clip.duration_s,
                                            date=MOMENT, discontinuity=num == 2))
        one.append(Note("title", "a \"b\"\n#EXT-X-ENDLIST"))
        one.sync()
    one.append(End())
    one.close()
    assert video_frames(directory / INDEX) == sum(clip.frames for clip in clips)
    played = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(directory / INDEX), "-f", "null", "-"],
        capture_output=True, timeout=20, check=False)
    assert (played.returncode, played.stderr) == (0, b"")


@pytest.mark.parametrize("text", [None, b"", b"#EXTM3", b"nonsense\n"])
def test_no_index_is_no_capture(directory: Path, text: bytes | None) -> None:
    directory.mkdir(parents=True)
    if text is not None:
        (directory / INDEX).write_bytes(text)
    with pytest.raises(CaptureDamaged):
        Ledger.recover(directory)
    if text in (b"", b"#EXTM3"):  # may be on its way
        assert read(directory) == Tally() and Follower(directory).news() == []
    else:
        with pytest.raises(CaptureDamaged):
            read(directory)
        with pytest.raises(CaptureDamaged):
            Follower(directory).news()
    assert [p.name for p in directory.iterdir()] == ([INDEX] if text is not None else [])


def test_follower_of_every_byte(directory: Path) -> None:
    """An index that grows by one byte at a time: each entry once, as soon as it is whole."""
    source = directory.parent / "source"
    one = Ledger.create(source, 10)
    one.begin_part("mp4", ".mp4", b"init")
    for num in range(3):
        one.append_segment(b"x%d" % num, facts(num, b"x%d" % num, date=MOMENT))
        one.append(hole(1.0, 0.0))
        one.sync()
    one.close()
    data = (source / INDEX).read_bytes()
    directory.mkdir()
    follower, seen = Follower(directory), list[Entry]()
    with open(directory / INDEX, "wb", buffering=0) as file:
        for byte in data:
            file.write(bytes((byte,)))
            news = follower.news()
            assert len(news) <= 1
            seen += news
    assert "".join(lines(entry) for entry in seen) == data.decode().split("SEQUENCE:0\n")[1]


def test_follower_beside_a_writer(directory: Path) -> None:
    one = Ledger.create(directory, 10)
    written = [segment(num, size_bytes=3, offset=num * 3, digest=digest_of(b"abc"))
               for num in range(500)]

    def write() -> None:
        one.begin_part("ts", ".ts", b"")
        for entry in written:
            one.append_segment(b"abc", replace(entry, file=""))
        one.append(End())

    writer = threading.Thread(target=write)
    writer.start()
    follower, seen = Follower(directory), list[Entry]()
    while writer.is_alive():
        seen += follower.news()
    seen += follower.news()
    writer.join(5)
    one.close()
    assert seen == [Part("0001.ts", "ts"), *written, End()]
    assert follower.news() == [Synced()]


def test_follower_of_a_capture_that_is_gone(directory: Path) -> None:
    with pytest.raises(CaptureDamaged):
        Follower(directory).news()
