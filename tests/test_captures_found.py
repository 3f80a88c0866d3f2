"""Tests of brlib.identity and brlib.adoption.captures: what a capture without a row is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from brlib.adoption.captures import Empty, Orphan, Riddle, judge
from brlib.hls import CaptureList
from brlib.identity import UNKNOWN_CHANNEL, UNKNOWN_NAME, recall
from brlib.ledger import INDEX, Ledger
from brlib.models import Channel, Recording, RecordingStatus, Sums
from brlib.playlist import Entry, Note, Segment, header, parse
from brlib.store import open_store

from .adoption_home import CHANNEL, RECORDING, Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (tmp_path / "data" / "captures").mkdir(parents=True)
    (tmp_path / "recordings").mkdir()
    store = open_store(tmp_path / "data" / "db")
    yield Home(tmp_path, store)
    store.close()


def entries(directory: Path) -> list[Entry]:
    return [found.entry for found in parse((directory / INDEX).read_bytes())]


@pytest.mark.parametrize("recording, channel", [
    (RECORDING, CHANNEL),
    (replace(RECORDING, category=None, broadcast_id=None, quality="source",
             filename_template=None, output_directory=None), CHANNEL),
    (replace(RECORDING, platform="twitch"), replace(CHANNEL, platform="twitch", name="x")),
], ids=["full", "least", "twitch"])
def test_the_index_alone_tells_whose_it_is(
    home: Home, recording: Recording, channel: Channel
) -> None:
    directory = home.capture(recording, channel)
    sums = Sums(1, 2, 3.0)
    found = recall(recording.id, entries(directory), sums)
    assert found.recording == replace(recording, sums=sums)
    assert found.channel is not None
    assert found.channel == replace(channel, broadcast_id=recording.broadcast_id)


def test_an_index_of_before_there_were_such_notes(home: Home) -> None:
    directory = home.capture(channel=None)
    found = recall(RECORDING.id, entries(directory), Sums())
    assert found.channel is None
    assert found.recording.channel_id == UNKNOWN_CHANNEL
    assert found.recording.title == "another title later"
    assert found.recording.channel_name == UNKNOWN_NAME
    assert found.recording.started_at == first_segment(directory).taken_at


def first_segment(directory: Path) -> Segment:
    return next(entry for entry in entries(directory) if isinstance(entry, Segment))


@pytest.mark.parametrize("key, value", [
    ("channel", "../../etc"), ("platform", "nonsense"), ("started_at", "yesterday"),
    ("started_at", "2026-01-01T00:00:00"), ("filename_template", "../{title}"),
])
def test_notes_that_make_no_sense_are_left_out(home: Home, key: str, value: str) -> None:
    directory = home.capture(channel=None)
    found = recall(RECORDING.id, [Note(key, value), *entries(directory)], Sums())
    expected = recall(RECORDING.id, entries(directory), Sums())
    assert found == expected


def test_one_that_has_ended_says_when(home: Home) -> None:
    directory = home.capture(ended=True)
    found = recall(RECORDING.id, entries(directory), Sums()).recording
    last = [entry for entry in entries(directory) if isinstance(entry, Segment)][-1]
    assert found.status is RecordingStatus.PROCESSING
    assert found.ended_at == last.taken_at + timedelta(seconds=last.duration_s)


def test_viewers_see_nothing_of_it(home: Home) -> None:
    directory = home.capture()
    shown = CaptureList(10)
    for entry in entries(directory):
        shown.add(entry)
    assert "SECRET" in (directory / INDEX).read_text()
    assert shown.segments == 3 and "SECRET" not in shown.text(True)
    assert (directory / INDEX).stat().st_mode & 0o077 == 0


def test_what_a_directory_is(home: Home) -> None:
    verdict = judge(home.capture())
    assert isinstance(verdict, Orphan)
    assert verdict.found.recording.sums.segments == 3
    assert [gap.duration_s for gap in verdict.gaps] == [3.0]


def nothing(home: Home) -> Path:
    directory = home.captures / RECORDING.id
    directory.mkdir()
    return directory


def torn_header(home: Home) -> Path:
    directory = nothing(home)
    (directory / INDEX).write_text(header(10)[:20])
    return directory


def zeros(home: Home) -> Path:
    directory = nothing(home)
    (directory / INDEX).write_bytes(bytes(4096))
    return directory


def notes_alone(home: Home) -> Path:
    return home.capture(segments=0)


def init_alone(home: Home) -> Path:
    directory = home.captures / RECORDING.id
    ledger = Ledger.create(directory, 10)
    ledger.begin_part("mp4", ".mp4", b"init")
    ledger.close()
    return directory


def empty_part(home: Home) -> Path:
    directory = notes_alone(home)
    (directory / "0001.ts").touch()
    return directory


@pytest.mark.parametrize("make", [
    nothing, torn_header, zeros, notes_alone, init_alone, empty_part])
def test_what_holds_no_media_goes(home: Home, make: Callable[[Home], Path]) -> None:
    directory = make(home)
    assert isinstance(judge(directory), Empty)
    home.started()
    assert not directory.exists()
    assert home.rows() == []


def unnamed_media(home: Home) -> Path:
    directory = notes_alone(home)
    (directory / "0001.ts").write_bytes(b"media that no line speaks of")
    return directory


def no_index(home: Home) -> Path:
    directory = home.capture()
    (directory / INDEX).unlink()
    return directory


def media_gone(home: Home) -> Path:
    directory = home.capture()
    (directory / "0001.ts").unlink()
    return directory


def media_short(home: Home) -> Path:
    directory = home.capture()
    os.truncate(directory / "0001.ts", 5)
    return directory


def header_gone(home: Home) -> Path:
    directory = home.capture()
    (directory / INDEX).write_bytes(bytes(5000))
    return directory


def torn_inside(home: Home) -> Path:
    directory = home.capture()
    data = (directory / INDEX).read_bytes()
    (directory / INDEX).write_bytes(data.replace(b"#EXTINF", b"$EXTINF", 1))
    return directory


def something_else(home: Home) -> Path:
    directory = nothing(home)
    (directory / "holiday.jpg").write_bytes(b"x")
    return directory


def other_name(home: Home) -> Path:
    directory = home.capture()
    return directory.rename(directory.with_name("backup of monday"))


@pytest.mark.parametrize("make", [
    unnamed_media, no_index, media_gone, media_short, header_gone, torn_inside, something_else,
    other_name])
def test_what_cannot_be_understood_is_told_of_and_left(
    home: Home, make: Callable[[Home], Path], caplog: pytest.LogCaptureFixture
) -> None:
    directory = make(home)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert isinstance(judge(directory), Riddle)
    one = home.started()
    one.look()
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert home.rows() == []
    (problem,) = one.problems()
    assert str(directory) in problem and "nothing in it was changed" in problem
    assert [record.getMessage() for record in caplog.records] == [problem], "said once"
    shutil.rmtree(directory)
    one.look()
    assert one.problems() == []


def test_what_is_no_capture_at_all_is_nobodys_business(home: Home) -> None:
    (home.captures / "lost+found").mkdir()
    (home.captures / "a file").touch()
    (home.captures / "rec_000000000002.done").mkdir()
    (home.captures / "rec_000000000003").symlink_to(home.root)
    before = sorted(home.captures.iterdir())
    assert home.started().problems() == []
    assert sorted(home.captures.iterdir()) == before
