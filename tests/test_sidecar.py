"""Tests of brlib.sidecar: what it says, that it tells a whole row, and whose it replaces."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib import sidecar
from brlib.models import (
    Change, Course, EndReason, Gap, GapCause, Recording, RecordingStatus, Sums,
)
from brlib.sidecar import Sidecar

START = datetime(2026, 11, 1, 20, 15, 30, tzinfo=UTC)
GAPS = (Gap(START, 12.5, 4.004, 2, GapCause.NETWORK),
        Gap(START + timedelta(hours=1), 3600.0, 60.0, 0, GapCause.DAEMON_DOWN))
CHANGES = (Change(0.0, "title", "A / B"), Change(0.0, "category", "Chess"),
           Change(600.5, "title", "Ünïcode\n\u202e"))


def one(directory: Path, *names: str, **changes: Any) -> Sidecar:
    """Of a recording with these files, which are there."""
    for name in names:
        (directory / name).write_bytes(b"media")
    return sidecar.of(replace(Recording(
        id="rec_abc", channel_id="ch_1", channel_name="Ünïcode", platform="twitch", title="A / B",
        status=RecordingStatus.PROCESSING, started_at=START, category="Chess", quality="1080p60",
        broadcast_id="4711", ended_at=START + timedelta(hours=2), end_reason=EndReason.ENDED,
        sums=Sums(1800, 10 ** 9, 3600.25, 2, 64.004, 1), error="earlier",
        files=tuple(str(directory / name) for name in names),
        output_directory=str(directory), filename_template="{title}"), **changes),
        Course(GAPS, CHANGES), "https://www.twitch.tv/unicode")


def test_it_tells_the_whole_row(tmp_path: Path) -> None:
    wanted = one(tmp_path, "x (part 1).mp4", "x (part 2).mp4")
    path = sidecar.write(wanted)
    assert path.name == "x (part 1).json"
    assert sidecar.read(path) == wanted
    assert wanted.recording.status is RecordingStatus.COMPLETE
    assert wanted.recording.file_size_bytes == 10 and wanted.recording.error is None
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "x (part 1).json", "x (part 1).mp4", "x (part 2).mp4"]


def test_a_moved_folder_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    sidecar.write(one(tmp_path / "a", "x.mp4"))
    (tmp_path / "a").rename(tmp_path / "b")
    found = sidecar.read(tmp_path / "b" / "x.json")
    assert found is not None and found.recording.files == (str(tmp_path / "b" / "x.mp4"),)


def test_what_a_person_reads(tmp_path: Path) -> None:
    said = json.loads(sidecar.write(one(tmp_path, "x.mp4")).read_text("utf-8"))
    assert said == {
        "format": "battles-record", "version": 1, "daemon": None, "id": "rec_abc",
        "channel": {"id": "ch_1", "name": "Ünïcode", "platform": "twitch",
                    "url": "https://www.twitch.tv/unicode"},
        "title": "A / B", "category": "Chess", "quality": "1080p60", "broadcast_id": "4711",
        "started_at": "2026-11-01T20:15:30Z", "ended_at": "2026-11-01T22:15:30Z",
        "end_reason": "ended", "segments": 1800, "bytes": 10 ** 9, "duration": 3600.25,
        "missing": 64.004, "parts": 1, "completeness": 0.982533,
        "gaps": [
            {"started_at": "2026-11-01T20:15:30Z", "offset": 12.5, "duration": 4.004,
             "segments": 2, "cause": "network"},
            {"started_at": "2026-11-01T21:15:30Z", "offset": 3600.0, "duration": 60.0,
             "segments": 0, "cause": "daemon_down"}],
        "changes": [
            {"offset": 0.0, "title": "A / B"}, {"offset": 0.0, "category": "Chess"},
            {"offset": 600.5, "title": "Ünïcode\n\u202e"}],
        "files": [{"name": "x.mp4", "size": 5}], "filename_template": "{title}",
    }


@pytest.mark.parametrize("url", [
    "https://user:hunter2@cdn.example/live/s3cret/index.m3u8?token=s3cret#s3cret", None])
def test_an_address_that_may_hold_a_token_is_left_out(url: str | None, tmp_path: Path) -> None:
    wanted = replace(
        one(tmp_path, "x.mp4", platform="url", broadcast_id=url), channel_url=url)
    path = sidecar.write(wanted)
    assert "s3cret" not in path.read_text() and "hunter2" not in path.read_text()
    found = sidecar.read(path)
    assert found is not None
    assert found.channel_url == ("https://cdn.example" if url else None)


def changed(**changes: Any) -> str:
    """The text of a good one with some keys set, or left out by None."""
    said = {
        "format": "battles-record", "version": 1, "id": "rec_abc",
        "channel": {"id": "ch_1", "name": "x", "platform": "kick", "url": None},
        "title": "t", "category": None, "quality": "source", "broadcast_id": None,
        "started_at": "2026-11-01T20:15:30Z", "ended_at": None, "end_reason": None,
        "segments": 1, "bytes": 1, "duration": 1.0, "missing": 0.0, "parts": 1,
        "completeness": 1.0, "gaps": [], "files": [{"name": "x.mp4", "size": 5}],
        "filename_template": None, **changes}
    return json.dumps(said)


@pytest.mark.parametrize("content", [
    "", "{}", "[]", "null", "7", "{", "[" * 100_000, changed()[:-20],
    changed(version=2), changed(format="yt-dlp"), changed(id=7), changed(title=None),
    changed(started_at="yesterday"), changed(started_at="2026-11-01T20:15:30"),
    changed(started_at=1), changed(end_reason="boredom"), changed(gaps={}), changed(gaps=[1]),
    changed(changes=[{"offset": 1}]), changed(changes=[{"offset": 1, "title": 2}]),
    changed(segments="many"), changed(channel="x"), changed(files=[{"name": "x"}]),
    *(changed(files=[{"name": name, "size": 1}])
      for name in ("../x.mp4", "/etc/passwd", "", ".", "..", "a/b", "a\0b", 7)),
])
def test_what_is_none_of_ours(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert sidecar.read(path) is None


def test_the_good_one_of_those_is_good(tmp_path: Path) -> None:
    found = sidecar.parse(changed(), tmp_path)
    assert found is not None and found.recording.id == "rec_abc" and found.course == Course()


def test_what_is_not_there_or_no_file_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sidecar.read(tmp_path / "x.json") is None
    assert sidecar.read(tmp_path) is None
    path = sidecar.write(one(tmp_path, "x.mp4"))
    monkeypatch.setattr(sidecar, "SIZE_MAX_BYTES", 100)
    assert sidecar.read(path) is None


def test_names_that_are_taken(tmp_path: Path) -> None:
    """Never over what is not its own; two containers of one name are two recordings."""
    first = sidecar.write(one(tmp_path, "x.mp4"))
    assert sidecar.write(one(tmp_path, "x.mp4", title="later")) == first
    second = sidecar.write(one(tmp_path, "x.mkv", id="rec_other"))
    assert (first.name, second.name) == ("x.json", "x.mkv.json")
    assert sidecar.find_own([str(tmp_path / "x.mkv")], "rec_other") == [second]
    assert sidecar.find_own([str(tmp_path / "x.mp4")], "rec_abc") == [first]
    assert sidecar.find_own([str(tmp_path / "x.mp4")], "rec_other") == []
    assert sidecar.find_own([], "rec_abc") == []
    (tmp_path / "x.ts.json").write_text("mine")
    with pytest.raises(FileExistsError):
        sidecar.write(one(tmp_path, "x.ts", id="rec_third"))
    assert (tmp_path / "x.ts.json").read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


def test_one_that_speaks_of_what_is_this_recordings_now(tmp_path: Path) -> None:
    sidecar.write(one(tmp_path, "x.mp4"))
    path = sidecar.write(one(tmp_path, "x.mp4", id="rec_other"))
    found = sidecar.read(path)
    assert path.name == "x.json" and found is not None and found.recording.id == "rec_other"


def test_a_full_disk_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sidecar.write(one(tmp_path, "x.mp4"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        sidecar.write(one(tmp_path, "x.mp4", title="later"))
    found = sidecar.read(path)
    assert found is not None and found.recording.title == "A / B"
    assert not list(tmp_path.glob(".*"))
