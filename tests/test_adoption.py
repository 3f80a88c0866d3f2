"""Tests of brlib.adoption: captures and finished files that the store does not know of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brlib.adoption.captures import Orphan, judge
from brlib.adoption.finished import search
from brlib.errors import Unavailable
from brlib.ledger import INDEX
from brlib.models import EndReason, Recording, RecordingStatus, new_id
from brlib.store import open_store

from .adoption_home import CHANNEL, GAP, RECORDING, SUMS, Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (tmp_path / "data" / "captures").mkdir(parents=True)
    (tmp_path / "recordings").mkdir()
    store = open_store(tmp_path / "data" / "db")
    yield Home(tmp_path, store)
    store.close()


def test_a_capture_that_goes_on_has_its_row_before_anybody_reads_rows(home: Home) -> None:
    home.store.channels.add(CHANNEL)
    home.capture()
    home.adoption().prepare()
    (row,) = home.rows()
    assert row == replace(RECORDING, sums=row.sums)
    assert (row.sums.segments, row.sums.gaps) == (3, 1)
    assert len(home.store.recordings.find_gaps(row.id)) == 1
    assert home.taken_up == [], "the recorder finds it among those left active"


def test_one_with_an_end_is_finished(home: Home) -> None:
    home.capture(ended=True)
    home.started()
    assert home.taken_up == [("finish", RECORDING.id)]
    (row,) = home.rows()
    assert (row.status, row.sums.segments) == (RecordingStatus.PROCESSING, 3)


def test_closed_and_then_torn_it_goes_on(home: Home) -> None:
    """A power cut kept the end and lost the last segment: recovery cuts both."""
    directory = home.capture()
    with open(directory / "0001.ts", "ab") as media, open(directory / INDEX, "ab") as index:
        media.write(b"half")
        index.write((directory / INDEX).read_bytes().split(b"#BR-SEGMENT")[-1].join(
            [b"#BR-SEGMENT", b""]).split(b"#BR-GAP")[0].replace(b"6@12", b"9@18"))
        index.write(b"#EXT-X-ENDLIST\n")
    verdict = judge(directory)
    assert isinstance(verdict, Orphan)
    assert verdict.found.recording.status is RecordingStatus.RECORDING
    assert verdict.found.recording.sums.segments == 3


def test_found_while_all_else_runs(home: Home) -> None:
    one = home.started()
    home.capture()
    home.capture(replace(RECORDING, id="rec_000000000002"), ended=True)
    one.look()
    one.look()
    assert home.taken_up == [("go_on", RECORDING.id), ("finish", "rec_000000000002")]
    assert len(home.rows()) == 2


def test_those_that_somebody_works_at_are_left_alone(home: Home) -> None:
    """One that has just begun has a capture, maybe an empty one, and no row yet."""
    one = home.started()
    home.capture()
    home.capture(replace(RECORDING, id="rec_000000000002"), segments=0)
    home.at_work |= {RECORDING.id, "rec_000000000002"}
    one.look()
    assert (home.rows(), home.taken_up, one.problems()) == ([], [], [])
    assert len(list(home.captures.iterdir())) == 2


def test_one_that_is_deleted_during_the_look_is_no_orphan(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its capture goes first and its row last."""
    def judged(directory: Path) -> object:
        verdict = judge(directory)
        shutil.rmtree(directory)
        return verdict

    one = home.started()
    home.capture(ended=True)
    monkeypatch.setattr("brlib.adoption.adoption.judge", judged)
    one.look()
    assert (home.rows(), home.taken_up) == ([], [])


def test_who_cannot_be_taken_up_waits_for_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(recording: Recording) -> None:
        raise Unavailable("Nothing more is recorded now")

    one = home.started()
    monkeypatch.setattr(one, "_hands", replace(one._hands, go_on=refuse))
    home.capture()
    home.capture(replace(RECORDING, id="rec_000000000002"), ended=True)
    one.look()
    assert home.taken_up == [("finish", "rec_000000000002")]
    assert len(home.rows()) == 2


@pytest.mark.parametrize("rebuilt", [True, False])
def test_a_channel_is_watched_again_only_where_the_store_was_lost(
    home: Home, rebuilt: bool
) -> None:
    """Elsewhere somebody has deleted it."""
    home.capture()
    home.adoption(rebuilt).prepare()
    assert [one.name for one in home.store.channels.find_all()] == [CHANNEL.name] * rebuilt
    assert home.rows()[0].channel_id == CHANNEL.id


def test_a_channel_that_was_added_anew_gets_the_recording(home: Home) -> None:
    same = replace(CHANNEL, id=new_id("ch"), name=CHANNEL.name.upper())
    home.store.channels.add(same)
    home.capture()
    home.adoption(rebuilt=True).prepare()
    assert home.store.channels.find_all() == [same]
    assert home.rows()[0].channel_id == same.id


@pytest.mark.parametrize("row, expected", [
    (replace(RECORDING), RecordingStatus.FAILED),
    (replace(RECORDING, status=RecordingStatus.PAUSED), RecordingStatus.FAILED),
    (replace(RECORDING, status=RecordingStatus.PROCESSING), RecordingStatus.FAILED),
    (replace(RECORDING, status=RecordingStatus.PROCESSING, files=("/x",)),
     RecordingStatus.PROCESSING),
    (replace(RECORDING, status=RecordingStatus.PROCESSING, end_reason=EndReason.CANCELLED),
     RecordingStatus.PROCESSING),
    (replace(RECORDING, status=RecordingStatus.COMPLETE), RecordingStatus.COMPLETE),
], ids=["recording", "paused", "processing", "its file is there", "cancelled", "complete"])
def test_rows_without_a_capture(
    home: Home, row: Recording, expected: RecordingStatus
) -> None:
    home.store.recordings.add(row)
    home.adoption().prepare()
    found = home.rows()[0]
    assert found.status is expected
    assert (found.error is not None) is (expected is RecordingStatus.FAILED)


def test_media_without_an_index_are_no_lost_capture(home: Home) -> None:
    """Whoever wants to go on with it says what is wrong."""
    home.store.recordings.add(RECORDING)
    (home.capture() / "index.m3u8").unlink()
    home.adoption().prepare()
    assert home.rows()[0].status is RecordingStatus.RECORDING


def test_a_capture_on_its_way_out_is_one(home: Home) -> None:
    home.store.recordings.add(replace(RECORDING, status=RecordingStatus.PROCESSING))
    (home.captures / (RECORDING.id + ".done")).mkdir()
    home.adoption().prepare()
    assert home.rows()[0].status is RecordingStatus.PROCESSING


def test_a_row_without_a_capture_whose_file_is_found(home: Home) -> None:
    """As after a store that fell back to what it was some hours ago."""
    home.finished()
    home.store.recordings.add(replace(RECORDING, output_directory=str(home.output)))
    home.started()
    (row,) = home.rows()
    assert (row.status, row.error, row.sums) == (RecordingStatus.COMPLETE, None, SUMS)
    assert row.files == (str(home.output / "x live" / "a.mp4"),)
    assert home.store.recordings.find_gaps(row.id) == [GAP]


def test_finished_recordings_are_listed_again(home: Home) -> None:
    home.finished()
    home.finished("rec_000000000002", "deep/er/still", "b", title="other")
    one = home.started(rebuilt=True)
    rows = {row.id: row for row in home.rows()}
    assert rows.keys() == {RECORDING.id, "rec_000000000002"}
    row = rows[RECORDING.id]
    assert (row.status, row.sums, row.file_size_bytes) == (RecordingStatus.COMPLETE, SUMS, 8)
    assert row.output_directory == str(home.output)
    assert home.store.recordings.find_gaps(row.id) == [GAP]
    assert home.store.recordings.used_bytes() == {CHANNEL.id: 16}
    (problem,) = one.problems()
    assert problem.endswith(
        f"and rebuilt: 0 channels, 2 recordings; what was set aside is in {home.root / 'aside'}")
    assert not (home.root / "marker").exists()


def test_a_file_is_the_proof_where_there_is_a_capture_too(home: Home) -> None:
    """With capture_after = keep."""
    home.finished()
    home.capture(ended=True)
    home.started(rebuilt=True)
    assert home.taken_up == []
    (row,) = home.rows()
    assert row.status is RecordingStatus.COMPLETE
    assert home.store.recordings.used_bytes() == {CHANNEL.id: 8 + SUMS.captured_bytes}


def test_what_the_store_knows_is_left_as_it_is(home: Home) -> None:
    home.finished(title="as the file says")
    known = replace(RECORDING, status=RecordingStatus.COMPLETE, title="as the store says")
    home.store.recordings.add(known)
    home.started(rebuilt=True)
    assert home.rows() == [known]


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_text("{}"), lambda path: path.write_bytes(b"\xff\x00"),
    lambda path: path.with_suffix(".mp4").unlink(),
    lambda path: path.write_text(path.read_text().replace(RECORDING.id, "../../x")),
    lambda path: path.write_text(path.read_text().replace(CHANNEL.id, "nobody")),
    lambda path: path.write_text(path.read_text().replace('"url",', '"ftp",')),
    lambda path: path.rename(path.with_suffix(".jsn")),
    lambda path: (path.rename(path.with_suffix(".x")),
                  path.symlink_to(path.with_suffix(".x"))),
], ids=["other", "no text", "no file", "id", "channel", "platform", "name", "link"])
def test_what_is_no_finished_recording_of_ours(
    home: Home, spoil: Callable[[Path], object]
) -> None:
    spoil(home.finished())
    home.started(rebuilt=True)
    assert home.rows() == []


def test_gaps_that_could_not_be_read_are_in_the_file_too(home: Home) -> None:
    home.finished()
    known = replace(RECORDING, status=RecordingStatus.COMPLETE, sums=SUMS)
    home.store.recordings.add(known)
    home.started(rebuilt=True)
    assert home.rows() == [known]
    assert home.store.recordings.find_gaps(known.id) == [GAP]


def test_a_channels_own_directory_is_looked_through(home: Home) -> None:
    home.finished()
    elsewhere = home.root / "elsewhere"
    home.output.rename(elsewhere)
    home.store.channels.add(replace(CHANNEL, output_directory=str(elsewhere)))
    home.started(rebuilt=True)
    assert [row.output_directory for row in home.rows()] == [str(elsewhere)]


def test_a_share_that_is_away_is_waited_for(home: Home) -> None:
    """Not one of former times: that may be gone for good."""
    home.store.recordings.add(replace(
        RECORDING, id="rec_000000000002", status=RecordingStatus.COMPLETE,
        output_directory="/nowhere"))
    home.finished()
    home.output.rename(home.root / "unplugged")
    one = home.started(rebuilt=True)
    (problem,) = one.problems()
    assert f"{home.output} cannot be read now" in problem and "/nowhere" not in problem
    assert (home.root / "marker").exists(), "the next start looks again, too"
    (home.root / "unplugged").rename(home.output)
    while not one.step():
        continue
    assert len(home.rows()) == 2
    (problem,) = one.problems()
    assert "1 channels" not in problem and "2 recordings; what was" in problem
    assert not (home.root / "marker").exists()
    home.store.recordings.delete("rec_000000000002")
    one.step()
    assert one.problems() == [problem], "it is about the start"


def test_the_search_can_be_stopped_and_has_bounds(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        home.finished(f"rec_00000000000{number}", f"folder {number}")
    steps = list(search([home.output, home.output / "folder 1"], set()))
    assert sum(found is None for found in steps) == 6, "one chance for each directory"
    assert len({found.recording.id for found in steps if found}) == 5
    monkeypatch.setattr("brlib.adoption.finished.DEPTH_MAX", 0)
    assert list(search([home.output], set())) == [None]
    monkeypatch.setattr("brlib.adoption.finished.ENTRIES_MAX", 3)
    assert list(search([home.output], set())) == []
    assert "is not looked at" in caplog.text


def test_links_in_a_circle_end(home: Home) -> None:
    (home.output / "again").symlink_to(home.output)
    home.finished()
    assert len([found for found in search([home.output], set()) if found]) == 1
