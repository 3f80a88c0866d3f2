"""The real engine records, finishes and archives; and makes files of what it has archived."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from brlib.errors import Conflict
from brlib.ledger import ARCHIVE, INDEX
from brlib.models import RecordingStatus
from brlib.store import open_store

from .archive_home import other_disk
from .compare import assert_all_frames
from .engine import Engine
from .finishing import record
from .origin import Origin
from .test_workers import until


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    return tmp_path / "archive"


def used_bytes(one: Engine) -> int:
    return sum(one.service.store.recordings.used_bytes().values())


@pytest.mark.parametrize("disks", [1, 2])
def test_archived_and_made_again_of_it(
    disks: int, archive: Path, tmp_path: Path, engine: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if disks == 2:
        other_disk(monkeypatch, tmp_path / "data" / "captures", archive)
    one = engine(capture_after="archive", archive_directory=archive)
    with Origin() as origin:
        recording_id = record(one, origin)
        recording = one.wait_complete()
    assert_all_frames(recording, origin.offered)
    place = archive / "Channel" / recording_id
    assert until(lambda: used_bytes(one) == recording.file_size_bytes)
    held = {path: path.read_bytes() for path in place.iterdir()}
    assert place / INDEX in held and list((tmp_path / "data" / "captures").iterdir()) == []
    Path(recording.files[0]).unlink()
    one.service.archive.reprocess(recording_id)
    assert_all_frames(one.wait_complete(), origin.offered)
    one.service.archive.delete(recording_id, True)
    assert {path: path.read_bytes() for path in archive.rglob("*.*")} == held, "its owner's"
    assert one.service.problems()[0] == []


def test_neither_capture_nor_file(archive: Path, engine: Callable[..., Engine]) -> None:
    one = engine(capture_after="delete", archive_directory=archive)
    with Origin() as origin:
        recording_id = record(one, origin)
        Path(one.wait_complete().files[0]).unlink()
    with pytest.raises(Conflict, match="nothing to build from"):
        one.service.archive.reprocess(recording_id)
    assert one.recording(recording_id).status is RecordingStatus.COMPLETE


def test_an_archive_that_is_away_delays_nothing(
    archive: Path, tmp_path: Path, engine: Callable[..., Engine]
) -> None:
    """What waits is a capture like any other: counted, found by the next start, no riddle."""
    archive.rmdir()
    options = {"capture_after": "archive", "archive_directory": archive}
    one = engine(**options)
    with Origin() as origin:
        recording_id = record(one, origin)
        recording = one.wait_complete()
    assert until(lambda: any("is away" in problem for problem in one.service.problems()[0]))
    waiting = tmp_path / "data" / "captures" / (recording_id + ARCHIVE)
    assert waiting.is_dir()
    assert used_bytes(one) == recording.sums.captured_bytes + recording.file_size_bytes
    one.close()
    # Killed before the row could say that its file is there.
    Path(recording.files[0]).unlink()
    store = open_store(tmp_path / "data" / "battles-record.sqlite3")
    store.recordings.change(recording_id, status=RecordingStatus.PROCESSING, files=())
    store.close()
    archive.mkdir()
    two = engine(**options)
    assert_all_frames(two.wait_complete(), origin.offered)
    assert until(lambda: (archive / "Channel" / recording_id / INDEX).exists())
    assert until(lambda: not waiting.exists())
    two.service.adoption.look()
    assert two.service.problems()[0] == []


def test_put_back_after_its_recording_was_deleted(
    archive: Path, tmp_path: Path, engine: Callable[..., Engine]
) -> None:
    """It is a recording again."""
    one = engine(capture_after="archive", archive_directory=archive)
    with Origin() as origin:
        recording_id = record(one, origin)
        one.wait_complete()
    place = archive / "Channel" / recording_id
    assert until(place.exists)
    one.service.archive.delete(recording_id, True)
    place.rename(one.capture_directory(recording_id))
    one.service.adoption.worker.wake()
    assert_all_frames(one.wait_complete(), origin.offered)
    assert until(place.exists)
