"""Tests of brlib.assembly: who asks at the same moment, and captures on their way out."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brlib import assembly
from brlib.assembly import Assembly
from brlib.assembly.base import AssemblyFailed, Finished
from brlib.assembly.job import Job
from brlib.config import Settings
from brlib.errors import Unavailable
from brlib.events import EventBus
from brlib.ledger import INDEX, Ledger
from brlib.models import Recording, RecordingStatus, Sums
from brlib.playlist import End
from brlib.store import Store, open_store

from .test_ledger import facts
from .test_workers import until

ID = "rec_000000000001"
ROW = Recording(ID, "ch_1", "x", "url", "t", RecordingStatus.PROCESSING,
                datetime(2026, 1, 1, tzinfo=UTC))


class Home:
    """An assembly whose ways do nothing until they are let go on."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.settings = Settings(data_directory=directory, output_directory=directory / "out")
        self.settings.captures_directory.mkdir()
        self.settings.output_directory.mkdir()
        self.store = store
        self.assembly = Assembly(lambda: self.settings, store, EventBus())
        self.go_on = threading.Event()
        self.begun: list[str] = []

    @property
    def capture(self) -> Path:
        return self.settings.captures_directory / ID

    @property
    def file(self) -> Path:
        return self.settings.output_directory / "a.mp4"

    def captured(self, segments: int = 3, directory: Path | None = None) -> Sums:
        ledger = Ledger.create(directory or self.capture, 10)
        ledger.begin_part("ts", ".ts", b"")
        for num in range(segments):
            body = b"body %d" % num
            ledger.append_segment(body, facts(num, body))
        ledger.append(End())
        ledger.close()
        return ledger.tally.sums

    def way(self, job: Job, plan: Any) -> Any:
        """In the place of a feed or a remux."""
        self.begun.append("capture" if self.assembly._captures.is_source(job.recording) else "file")

        class Way:
            @staticmethod
            def run() -> Finished:
                assert self.go_on.wait(20) and job.closed.wait(20)
                return Finished((self.file,), 1)

        return Way()

    def over(self) -> Recording:
        assert until(lambda: self.store.recordings.get(ID).status in (
            RecordingStatus.COMPLETE, RecordingStatus.FAILED))
        return self.store.recordings.get(ID)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    store = open_store(tmp_path / "db")
    one = Home(tmp_path, store)
    monkeypatch.setattr(Assembly, "_source", lambda self, job, plan: one.way(job, plan))
    monkeypatch.setattr(assembly.assembly, "RETRY_S", (0.01,))
    yield one
    one.go_on.set()
    one.assembly.stop()
    assert one.assembly.join(20)
    store.close()


def test_one_that_is_over_before_its_feed_begins(home: Home) -> None:
    """It went on after a restart only to be closed: its live feed would wait for ever."""
    home.store.recordings.add(ROW)
    home.assembly.finish(ROW)
    home.assembly.begin(ROW)
    home.go_on.set()
    home.over()
    home.assembly.begin(replace(ROW, status=RecordingStatus.RECORDING))
    assert until(lambda: not home.assembly._jobs) and len(home.begun) == 1


def test_two_who_ask_at_once_get_one_job(home: Home) -> None:
    home.store.recordings.add(replace(ROW, status=RecordingStatus.FAILED))
    home.captured()
    ready = threading.Barrier(8)
    really = home.store.recordings.change

    def ask() -> None:
        ready.wait(20)
        home.assembly.finish(really(ID, status=RecordingStatus.PROCESSING))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    home.go_on.set()
    assert home.over().status is RecordingStatus.COMPLETE
    assert len(home.begun) == 1


def test_no_thread_no_job_that_is_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.store.recordings.add(ROW)
    with monkeypatch.context() as patch:
        patch.setattr(home.assembly._pool, "submit", lambda name, task: False)
        home.assembly.start()
    home.go_on.set()
    home.assembly.finish(ROW)
    assert home.over().status is RecordingStatus.COMPLETE


@pytest.mark.parametrize("error", [
    Unavailable("The database is busy"), sqlite3.OperationalError("disk I/O error")])
def test_a_failure_is_told_however_long_the_store_is_busy(
    error: Exception, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly.job, "STORE_RETRY_S", 0.01)
    home.store.recordings.add(ROW)
    really, left = home.store.recordings.get, [3]

    def get(recording_id: str) -> Recording:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return really(recording_id)

    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(Assembly, "_source", fail)
    with monkeypatch.context() as patch:
        patch.setattr(home.store.recordings, "get", get)
        home.assembly.finish(ROW)
        assert until(lambda: left[0] < 0)
    assert home.over().status is RecordingStatus.FAILED


def test_a_capture_that_is_half_gone_does_not_come_back(home: Home) -> None:
    """Removed after its file was there; then a reprocess of the file, and a crash."""
    home.file.write_bytes(b"whole")
    done = home.capture.with_name(ID + ".done")
    home.store.recordings.add(replace(
        ROW, sums=home.captured(3, done), files=(str(home.file),)))
    removed: list[str] = []
    really = shutil.rmtree
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path: removed.append(str(path)))
        home.assembly._captures.remove(done)
    assert removed == [str(done)] and sorted(p.name for p in done.iterdir()) == ["0001.ts"]
    assert really is shutil.rmtree
    home.go_on.set()
    home.assembly.start()
    assert home.over().files == (str(home.file),)
    assert home.begun == ["file"]
    assert not done.exists() and not home.capture.exists()


def test_one_that_is_whole_comes_back(home: Home) -> None:
    home.store.recordings.add(replace(
        ROW, sums=home.captured(3, home.capture.with_name(ID + ".done"))))
    home.assembly.start()
    assert until(lambda: home.begun == ["capture"])
    assert (home.capture / INDEX).exists()


@pytest.mark.parametrize("file, captured, made_of, segments", [
    (True, 3, "capture", 3), (True, 2, "file", 3), (False, 2, "capture", 2),
    (True, 0, "file", 3),
])
def test_a_shorter_capture_takes_the_place_of_no_longer_file(
    file: bool, captured: int, made_of: str, segments: int, home: Home
) -> None:
    """The disk has lost the end of a capture whose file was there: whole, and proven."""
    sums = home.captured(3)
    shutil.rmtree(home.capture)
    if captured:
        home.captured(captured)
    if file:
        home.file.write_bytes(b"whole")
    home.store.recordings.add(replace(ROW, sums=sums, files=(str(home.file),)))
    home.go_on.set()
    home.assembly.start()
    assert (home.over().sums.segments, home.begun) == (segments, [made_of])
    assert home.capture.exists() is (made_of == "file" and captured > 0), "not on a guess"


def test_one_recordings_trouble_stops_no_start(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home.store.recordings.add(replace(ROW, id="rec_000000000000"))
    home.store.recordings.add(ROW)
    really: Callable[[Recording], Any] = home.assembly._as_held

    def failing(recording: Recording) -> Any:
        if recording.id != ID:
            raise PermissionError(13, "Permission denied")
        return really(recording)

    monkeypatch.setattr(home.assembly, "_as_held", failing)
    home.go_on.set()
    home.assembly.start()
    assert home.over().status is RecordingStatus.COMPLETE
    assert "cannot be finished before the next start" in caplog.text


def test_many_that_failed_together_do_not_begin_together(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk is back, and each of them has rested for as long."""
    home.settings = replace(home.settings, max_concurrent_processing=2)
    lock, tried, working, most = threading.Lock(), set[str](), [0], [0]
    too_many = threading.Event()

    def way(self: Assembly, job: Job, plan: Any) -> Any:
        class Way:
            @staticmethod
            def run() -> Finished:
                with lock:
                    first = job.recording.id not in tried
                    tried.add(job.recording.id)
                    working[0] += 1
                    most[0] = max(most[0], working[0])
                    if most[0] > 2:
                        too_many.set()
                if not first:
                    # Long enough for all the others to come, too, if nothing held them.
                    too_many.wait(0.05)
                with lock:
                    working[0] -= 1
                if first:
                    raise AssemblyFailed("The output disk is full")
                return Finished((home.file,), 1)

        return Way()

    monkeypatch.setattr(Assembly, "_source", way)
    for number in range(8):
        home.store.recordings.add(replace(ROW, id=f"rec_{number:012d}"))
    home.assembly.start()
    assert until(lambda: not home.store.recordings.find_with_status([RecordingStatus.PROCESSING]))
    assert most == [2]
