"""Tests of brlib.storage: what is counted as used, what is deleted, and what never is."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib import sidecar
from brlib.config import Settings
from brlib.disks import Disks
from brlib.errors import Conflict, RecordingNotFound
from brlib.models import ACTIVE, Channel, Course, Recording, RecordingStatus, Sums
from brlib.retention import canonical
from brlib.storage import Storage, Undeletable
from brlib.store import Store, open_store
from brlib.store.recordings import Filter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETE, FAILED, PROCESSING = (
    RecordingStatus.COMPLETE, RecordingStatus.FAILED, RecordingStatus.PROCESSING)


@dataclass
class Home:
    """A storage over directories of its own, with recordings that are really there."""

    directory: Path
    settings: Settings
    store: Store
    storage: Storage

    def add(
        self, name: str, days: float = 0, size: int = 10, status: RecordingStatus = COMPLETE,
        captured: int = 0, **changes: Any,
    ) -> Recording:
        """A recording that ended so many days ago, with a file of `size` bytes unless that is
        0, and a capture of so many."""
        file = self.file(name)
        recording = replace(Recording(
            id=name, channel_id="ch_1", channel_name="x", platform="url", title=name,
            status=status, started_at=NOW - timedelta(days=days, hours=1),
            ended_at=NOW - timedelta(days=days), sums=Sums(captured_bytes=captured),
            files=(str(file),) if size else (), file_size_bytes=size), **changes)
        for path, length in ((file, size), (self.capture(name) / "0001.ts", captured)):
            if length:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bytes(length))
        self.store.recordings.add(recording)
        self.store.recordings.note_capture(name, captured > 0)
        return recording

    def file(self, name: str) -> Path:
        return self.settings.output_directory / "x" / f"{name}.mp4"

    def capture(self, name: str) -> Path:
        return self.settings.captures_directory / name

    def left(self) -> list[str]:
        """Ids of the recordings that are still listed."""
        return sorted(r.id for r in self.store.recordings.find_page(Filter(), 500, 0))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    settings = Settings(data_directory=tmp_path / "data", output_directory=tmp_path / "out")
    settings.data_directory.mkdir()
    store = open_store(settings.database_path)
    disks = Disks(lambda: one.settings)
    one = Home(tmp_path, settings, store, Storage(lambda: one.settings, store, disks))
    one.storage.prepare()
    disks.start()
    yield one
    disks.stop()
    assert disks.join(5)
    store.close()


def keep(home: Home, days: int | None = None, latest: int | None = None) -> None:
    home.settings = replace(
        home.settings, retention_days=days, retention_keep_latest=latest)


# What is used.


def test_what_is_used(home: Home) -> None:
    active = home.add("a", size=0, captured=5, status=RecordingStatus.RECORDING)
    home.add("b", size=0, captured=70, status=PROCESSING)
    home.add("c", size=0, captured=100, status=FAILED, channel_id="ch_2")
    home.add("d", size=1000)
    home.add("e", size=3000, captured=4000)
    home.add("f", size=0, channel_id="ch_3")
    home.settings = replace(home.settings, quota=16_000)
    now = replace(active, sums=Sums(captured_bytes=6))
    info = home.storage.info([now, replace(now, id="rec_ended_by_now")])
    assert info == {
        "total_used": 8176, "total_available": info["total_available"], "quota": 16_000,
        "quota_used_percent": 51, "by_channel": {"ch_1": 8076, "ch_2": 100}}
    free = shutil.disk_usage(home.directory).free
    assert abs(info["total_available"] - free) < free / 2
    home.settings = replace(home.settings, quota=None)
    info = home.storage.info([])
    assert (info["total_used"], info["quota"], info["quota_used_percent"]) == (8175, None, None)


def test_captures_are_looked_for_at_the_start(home: Home) -> None:
    home.add("a", size=1, captured=20)
    home.add("b", size=0, captured=300, status=FAILED)
    shutil.rmtree(home.capture("a"))
    assert home.storage.info([])["total_used"] == 321
    home.storage.prepare()
    assert home.storage.info([])["total_used"] == 301


def test_nothing_is_free_where_the_disk_does_not_say(home: Home) -> None:
    home.add("a", size=7)
    assert home.storage.info([])["total_available"] > 0
    silent = Disks(lambda: home.settings)
    storage = Storage(lambda: home.settings, home.store, silent)
    info = storage.info([])
    assert (info["total_used"], info["total_available"]) == (7, 0)
    assert silent.join(5)


# Deleting one.


def test_deleting_gives_the_bytes_that_are_free_now(home: Home) -> None:
    one = home.add("a", size=10, captured=20)
    second = home.file("a (part 2)")
    second.write_bytes(bytes(300))
    gone = home.file("a (part 3)")
    home.store.recordings.change("a", files=(*one.files, str(second), str(gone)))
    assert home.storage.remove("a", True) == 330
    assert home.left() == []
    assert not home.capture("a").exists()
    assert list(home.settings.output_directory.iterdir()) == []


def test_the_file_can_be_left(home: Home) -> None:
    home.add("a", size=10, captured=20)
    assert home.storage.remove("a", False) == 20
    assert home.left() == [] and home.file("a").stat().st_size == 10


def test_a_file_that_was_left_is_not_listed_again(home: Home) -> None:
    """After a damaged store it would be, and then deleted for its age."""
    one = home.add("a", size=10)
    path = sidecar.write(sidecar.of(one, Course(), None))
    assert sidecar.read(path) is not None
    home.storage.remove("a", False)
    assert path.exists() and sidecar.read(path) is None


def test_other_files_keep_their_directory(home: Home) -> None:
    home.add("a")
    other = home.file("someone's own")
    other.touch()
    assert home.storage.remove("a", True) == 10
    assert other.exists()


def test_a_recording_has_its_own_output_directory(home: Home) -> None:
    own = home.directory / "own"
    own.mkdir()
    for name in ("a", "b"):
        (own / name).write_bytes(bytes(5))
    home.add("a", size=0, files=(str(own / "a"),), output_directory=str(own))
    home.add("b", size=0, files=(str(own / "b"),))
    assert home.storage.remove("a", True) == 5
    with pytest.raises(Undeletable, match="no file inside"):
        home.storage.remove("b", True)
    assert [path.name for path in own.iterdir()] == ["b"] and home.left() == ["b"]


@pytest.mark.parametrize("kind", ["directory", "outside", "link", "dangling", "no root"])
def test_what_cannot_be_deleted_stays_listed(home: Home, kind: str) -> None:
    first = home.add("a", size=10, captured=20)
    second, outside = home.file("second"), home.directory / "outside"
    outside.write_bytes(bytes(9))
    if kind == "directory":
        second.mkdir()
    elif kind == "outside":
        second = home.settings.output_directory / ".." / "outside"
    elif kind == "link":
        second.symlink_to(outside)
    elif kind == "dangling":
        second.symlink_to(home.directory / "nothing")
    home.store.recordings.change("a", files=(*first.files, str(second)))
    if kind == "no root":
        home.settings.output_directory.rename(home.directory / "away")
    with pytest.raises(Undeletable) as caught:
        home.storage.remove("a", True)
    assert caught.value.freed_bytes == (0 if kind == "no root" else 10)
    assert home.left() == ["a"] and home.capture("a").exists()
    assert outside.stat().st_size == 9
    assert home.storage.remove("a", False) == 20
    assert home.left() == []


@pytest.mark.parametrize("status", [*ACTIVE, PROCESSING])
def test_what_is_not_over_is_not_deleted(home: Home, status: RecordingStatus) -> None:
    home.add("a", captured=20, status=status)
    with pytest.raises(Conflict, match=status):
        home.storage.remove("a", True)
    assert home.left() == ["a"] and home.file("a").exists() and home.capture("a").exists()
    with pytest.raises(RecordingNotFound):
        home.storage.remove("b", True)


def test_a_failed_one_can_be_deleted_by_hand(home: Home) -> None:
    home.add("a", size=0, captured=20, status=FAILED)
    assert home.storage.remove("a", True) == 20


# Retention.


@pytest.mark.parametrize("days, latest, deleted", [
    pytest.param(None, None, [], id="no rule"),
    pytest.param(10, None, ["30 d", "20 d"], id="by age"),
    pytest.param(None, 1, ["30 d", "20 d", "5 d"], id="by number"),
    pytest.param(10, 3, ["30 d"], id="whichever keeps more"),
    pytest.param(1, 9, [], id="few are kept whatever their age"),
])
def test_cleanup(
    home: Home, days: int | None, latest: int | None, deleted: list[str]
) -> None:
    for age in (0, 5, 20, 30):
        home.add(f"{age} d", days=age, size=age + 1, captured=100)
    for number, status in enumerate((*ACTIVE, PROCESSING, FAILED)):
        home.add(f"not finished {number}", days=100, captured=7, status=status)
    home.add("another channel's", days=9.9, channel_id="ch_gone")
    keep(home, days, latest)
    before = home.left()
    done = home.storage.cleanup(NOW)
    assert done.deleted == deleted
    assert done.freed_bytes == sum(int(name.split()[0]) + 101 for name in deleted)
    assert home.left() == sorted(set(before) - set(deleted))
    assert all(home.file(name).exists() for name in home.left())
    assert not any(home.file(name).exists() or home.capture(name).exists() for name in deleted)
    again = home.storage.cleanup(NOW)
    assert (again.deleted, again.freed_bytes) == ([], 0)


def test_a_channel_s_own_rule_goes_before(home: Home) -> None:
    home.store.channels.add(Channel(
        id="ch_1", platform="url", name="n", display_name="n", url="u", quality="source",
        enabled=True, created_at=NOW))
    for age in (1, 5, 9):
        home.add(f"{age} d", days=age, captured=7)
        home.add(f"other {age} d", days=age, channel_id="ch_2")
    home.add("protected", days=99, protected=True)
    keep(home, latest=2)
    by_age = [home.storage.by_age]
    home.store.channels.change("ch_1", retention=canonical({"days": 3, "min_keep": 2}))
    assert [*by_age, home.storage.by_age] == [False, True]
    before = home.left()
    doomed = home.storage.find_doomed(NOW)
    assert [(one.recording_id, one.reason, one.used_bytes) for one in doomed] == [
        ("9 d", "older than 3 days and not among the latest 2", 17),
        ("other 9 d", "not among the latest 2", 10)]
    assert home.left() == before
    assert home.storage.cleanup(NOW).deleted == ["9 d", "other 9 d"]
    home.store.channels.change("ch_1", retention=canonical({}))
    assert home.storage.find_doomed(NOW) == []
    with pytest.raises(Conflict, match="protected"):
        home.storage.remove("protected", True)


def test_cleanup_goes_on_where_one_cannot_be_deleted(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.add("gone", days=5)
    home.file("gone").unlink()
    stuck = home.add("stuck", days=4, size=50)
    home.file("directory").mkdir()
    home.store.recordings.change("stuck", files=(*stuck.files, str(home.file("directory"))))
    home.add("fine", days=3, size=700)
    keep(home, days=1)
    done = home.storage.cleanup(NOW)
    assert (done.deleted, done.freed_bytes) == (["gone", "fine"], 750)
    assert home.left() == ["stuck"]
    assert any("stuck cannot be cleaned up" in record.message for record in caplog.records)
    home.file("directory").rmdir()
    done = home.storage.cleanup(NOW)
    assert (done.deleted, done.freed_bytes) == (["stuck"], 0)


def test_a_file_that_a_later_recording_took_over_stays(home: Home) -> None:
    home.add("old", days=50)
    home.add("new", days=1, size=0)
    home.file("old").write_bytes(bytes(99))
    home.store.recordings.change("new", files=(str(home.file("old")),), file_size_bytes=99)
    keep(home, days=10)
    done = home.storage.cleanup(NOW)
    assert (done.deleted, done.freed_bytes) == (["old"], 0)
    assert home.file("old").stat().st_size == 99
    assert home.storage.info([])["by_channel"] == {"ch_1": 99}


def test_a_recording_that_is_reprocessed_meanwhile_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age in (3, 4, 5, 6):
        home.add(f"{age} d", days=age)
    find_ends = home.store.recordings.find_ends

    def late(channel_id: str, wanted: RecordingStatus) -> list[tuple[str, datetime]]:
        found = find_ends(channel_id, wanted)
        home.store.recordings.change("4 d", status=PROCESSING)
        for status in (PROCESSING, FAILED):
            home.store.recordings.change("6 d", status=status)
        home.store.recordings.delete("5 d")
        return found

    monkeypatch.setattr(home.store.recordings, "find_ends", late)
    keep(home, days=1)
    done = home.storage.cleanup(NOW)
    assert (done.deleted, done.freed_bytes) == (["3 d"], 10)
    assert home.left() == ["4 d", "6 d"]
    assert all(home.file(f"{age} d").exists() for age in (4, 5, 6))


def test_a_recording_that_is_being_deleted_is_not_reprocessed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.add("a", captured=20)
    asked: list[str] = []
    delete = home.storage._delete

    def slowly(recording: Recording, with_file: bool) -> int:
        for act in (lambda: home.store.recordings.change("a", status=PROCESSING),
                    lambda: home.storage.remove("a", True)):
            with pytest.raises(Conflict, match="deleted"):
                act()
            asked.append(recording.id)
        return delete(recording, with_file)

    monkeypatch.setattr(home.storage, "_delete", slowly)
    assert home.storage.remove("a", True) == 30
    assert asked == ["a", "a"]


def test_cleanups_at_the_same_time_count_once(home: Home) -> None:
    for number in range(60):
        home.add(f"rec_{number:02d}", days=2 + number, size=1 + number)
    keep(home, days=1, latest=10)
    done: list[tuple[list[str], int]] = []
    together = threading.Barrier(4)

    def clean() -> None:
        together.wait(10)
        result = home.storage.cleanup(NOW)
        done.append((result.deleted, result.freed_bytes))

    threads = [threading.Thread(target=clean) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    deleted = [name for names, _ in done for name in names]
    assert sorted(deleted) == [f"rec_{number:02d}" for number in range(10, 60)]
    assert sum(freed for _, freed in done) == sum(range(11, 61))
    assert len(done) == 4 and home.left() == [f"rec_{number:02d}" for number in range(10)]


def test_cleanup_ends_when_asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for age in (3, 4, 5):
        home.add(f"{age} d", days=age)
    delete = home.storage._delete

    def and_stop(recording: Recording, with_file: bool) -> int:
        home.storage.stop()
        return delete(recording, with_file)

    monkeypatch.setattr(home.storage, "_delete", and_stop)
    keep(home, days=1)
    assert home.storage.cleanup(NOW).deleted == ["5 d"]
    assert home.left() == ["3 d", "4 d"]
