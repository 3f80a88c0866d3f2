"""Tests of brlib.assembly.place: whatever is killed when, a proven file is there, and known."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brlib import sidecar
from brlib.assembly.base import AssemblyFailed, Plan, Suspended
from brlib.assembly.job import Job
from brlib.assembly.place import Places, find_originals
from brlib.events import EventBus
from brlib.models import Course, Recording, RecordingStatus, Sums
from brlib.store import Store, open_store
from brlib.store.recordings import Recordings

KILLED = 9


@dataclass
class Home:
    """A recording in a store on disk, its files, and proven ones that wait for their names."""

    directory: Path
    when_exists: str = "number"

    @property
    def out(self) -> Path:
        return self.directory / "out"

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = open_store(self.directory / "db")
        try:
            yield store
        finally:
            store.close()

    def add(self, store: Store, recording_id: str, *names: str) -> None:
        for name in names:
            self.write(name, f"old {name}")
        store.recordings.add(Recording(
            id=recording_id, channel_id="ch_1", channel_name="x", platform="url", title="t",
            status=RecordingStatus.PROCESSING, started_at=datetime(2026, 1, 1, tzinfo=UTC),
            sums=Sums(segments=1, captured_bytes=1, captured_s=1.0),
            files=tuple(str(self.out / name) for name in names), file_size_bytes=len(names)))

    def write(self, name: str, content: str) -> Path:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def place(self, store: Store, *wanted: str, places: Places | None = None) -> tuple[str, ...]:
        """Name as many new files; the names they got."""
        plan = Plan("copy", "mp4", self.out, self.out / "a", self.when_exists, "ffmpeg", "ffprobe")
        made = [(self.write(f".rec_a.{n}.part", f"new {n}"), self.out / name)
                for n, name in enumerate(wanted)]
        job = Job(store.recordings.get("rec_a"), store, EventBus(), closed=True, live=False)
        done = (places or Places()).place(made, plan, job)
        assert done.size_bytes == sum(path.stat().st_size for path in done.files)
        store.recordings.change("rec_a", status=RecordingStatus.COMPLETE,
                                files=tuple(str(path) for path in done.files))
        return tuple(str(path.relative_to(self.out)) for path in done.files)

    def left(self) -> dict[str, str]:
        """Everything there is, but for temporary files and what is in a `.json`."""
        return {str(path.relative_to(self.out)):
                "" if path.suffix == ".json" else path.read_text()
                for path in self.out.rglob("*")
                if path.is_file() and not path.name.endswith(".part")}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


CHANGES = ("link", "replace", "unlink", "fsync")


def killed_at(
    step: int, work: Callable[[], Any], changes: tuple[str, ...] = CHANGES, told: str = "change"
) -> bool:
    """Do it in a process of its own that is gone at once before its `step`th change on the
    disk or in the store; whether it came so far."""
    pid = os.fork()
    if not pid:
        left = [step]

        def counted(action: Callable[..., Any]) -> Callable[..., Any]:
            def one(*args: Any, **options: Any) -> Any:
                left[0] -= 1
                if not left[0]:
                    os._exit(KILLED)
                return action(*args, **options)
            return one

        try:
            for name in changes:
                setattr(os, name, counted(getattr(os, name)))
            setattr(Recordings, told, counted(getattr(Recordings, told)))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


CASES = {
    "first time": ((), ("a.mp4",)),
    "in its place": (("a.mp4",), ("a.mp4",)),
    "another container": (("a.mp4",), ("a.mkv",)),
    "another title": (("b.mp4",), ("a.mp4",)),
    "another folder": (("x/a.mp4",), ("a.mp4",)),
    "two parts": (("a (part 1).ts", "a (part 2).mp4"), ("a (part 1).mp4", "a (part 2).mp4")),
    "two become one": (("a (part 1).mp4", "a (part 2).mp4"), ("a.mp4",)),
    "one becomes two": (("a.mp4",), ("a (part 1).mp4", "a (part 2).mp4")),
}


# What is made of files alone; for the others the capture is there, too.
REMUXED = ("in its place", "another container", "two parts")


@pytest.mark.parametrize("case", CASES)
def test_killed_before_any_change(case: str, home: Home) -> None:
    """At every moment there is a whole set of proven files; the next try ends the same."""
    old, wanted = CASES[case]
    final = {name: f"new {n}" for n, name in enumerate(wanted)}
    final |= {Path(wanted[0]).stem + ".json": ""}
    step, killed = 0, True
    while killed:
        step += 1
        shutil.rmtree(home.directory)
        home.directory.mkdir()
        with home.store() as store:
            home.add(store, "rec_a", *old)

        def work() -> None:
            with home.store() as store:
                home.place(store, *wanted)

        killed = killed_at(step, work)
        with home.store() as store:
            row = store.recordings.get("rec_a")
            there = home.left()
            assert any(
                set(names) <= set(there)
                and {str(home.out / name) for name in names} <= set(row.files)
                for names in (old, wanted)), (there, row.files)
            if case in REMUXED:
                originals = find_originals(row.files)
                assert originals is not None and len(originals) == len(old)
            assert {str(home.out / name) for name in there
                    if not name.endswith(".json")} <= set(row.files)
            if killed:
                assert row.status is RecordingStatus.PROCESSING
                assert home.place(store, *wanted) == wanted
            assert store.recordings.get("rec_a").files == tuple(
                str(home.out / name) for name in wanted)
        assert home.left() == final
    assert step > 3


def test_a_foreign_file_is_replaced_by_the_proven_one_or_not_at_all(home: Home) -> None:
    """overwrite: until it is replaced it is the other's, and so does its row say."""
    home.when_exists = "overwrite"
    step, killed = 0, True
    while killed:
        step += 1
        shutil.rmtree(home.directory)
        home.directory.mkdir()
        with home.store() as store:
            home.add(store, "rec_b", "a.mp4")
            store.recordings.change("rec_b", status=RecordingStatus.COMPLETE)
            sidecar.write(sidecar.of(store.recordings.get("rec_b"), Course(), None))
            home.add(store, "rec_a")

        def work() -> None:
            with home.store() as store:
                home.place(store, "a.mp4")

        killed = killed_at(step, work)
        with home.store() as store:
            one, other = store.recordings.get("rec_a"), store.recordings.get("rec_b")
            content = home.left()["a.mp4"]
            if content == "old a.mp4":
                assert (one.files, other.files) == ((), (str(home.out / "a.mp4"),))
            if killed:
                home.place(store, "a.mp4")
            assert store.recordings.get("rec_b").files == ()
        assert home.left() == {"a.mp4": "new 0", "a.json": ""}
        found = sidecar.read(home.out / "a.json")
        assert found is not None and found.recording.id == "rec_a"
    assert step > 3


@pytest.mark.parametrize("spelled, there, given", [
    ("a.mp4", "a.mp4", "a (2).mp4"),
    ("linked/a.mp4", "a.mp4", "linked/a (2).mp4"),
])
def test_a_protected_file_is_not_overwritten(
    spelled: str, there: str, given: str, home: Home
) -> None:
    """Its own recording may make it again."""
    home.when_exists = "overwrite"
    home.out.mkdir()
    (home.out / "linked").symlink_to(home.out)
    with home.store() as store:
        home.add(store, "rec_b", there)
        store.recordings.change("rec_b", status=RecordingStatus.COMPLETE, protected=True)
        home.add(store, "rec_a")
        assert home.place(store, spelled) == (given,)
        assert store.recordings.get("rec_b").files == (str(home.out / there),)
        assert (home.out / there).read_text() == f"old {there}"
        for protected in (True, False):
            store.recordings.change("rec_a", status=RecordingStatus.PROCESSING, protected=protected)
            assert home.place(store, given) == (given,)
        store.recordings.change("rec_b", protected=False)
        store.recordings.change("rec_a", status=RecordingStatus.PROCESSING)
        assert home.place(store, spelled) == (spelled,)
        assert (home.out / there).read_text() == "new 0"


def test_a_protected_file_on_a_disk_that_is_away_is_none_of_these(home: Home) -> None:
    home.when_exists = "overwrite"
    home.write("a.mp4", "nobody's")
    with home.store() as store:
        home.add(store, "rec_b")
        store.recordings.change("rec_b", status=RecordingStatus.COMPLETE, protected=True,
                                files=("/nowhere/A.mp4",))
        home.add(store, "rec_a")
        assert home.place(store, "a.mp4") == ("a.mp4",)


def test_a_name_that_is_taken_is_numbered(home: Home) -> None:
    home.write("a.mp4", "somebody else's")
    home.write("a (2).mp4", "somebody else's")
    with home.store() as store:
        home.add(store, "rec_a")
        assert home.place(store, "a.mp4") == ("a (3).mp4",)
    assert home.left()["a.mp4"] == "somebody else's" and "a (3).json" in home.left()


def test_what_belongs_to_another_by_now_is_left_alone(home: Home) -> None:
    """A long reprocess; meanwhile a later recording has taken the name of the old file."""
    with home.store() as store:
        home.add(store, "rec_a", "b.mp4")
        home.add(store, "rec_b", "b.mp4")
        assert home.place(store, "a.mp4") == ("a.mp4",)
    assert home.left() == {"a.mp4": "new 0", "a.json": "", "b.mp4": "old b.mp4"}


@pytest.mark.parametrize("fails", ["link", "fsync"])
def test_a_disk_that_fails_leaves_a_row_that_is_true(
    fails: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with home.store() as store:
        home.add(store, "rec_a", "a.mp4")
        with monkeypatch.context() as patch:
            patch.setattr(os, fails, failing)
            with pytest.raises(OSError):
                home.place(store, "a.mkv")
        row = store.recordings.get("rec_a")
        assert find_originals(row.files) == [home.out / "a.mp4"]
        assert home.left()["a.mp4"] == "old a.mp4"
        assert home.place(store, "a.mkv") == ("a.mkv",)
    assert home.left() == {"a.mkv": "new 0", "a.json": ""}


def test_what_cannot_be_described_is_complete_and_says_so(home: Home) -> None:
    home.write("a.json", "a user's own")
    home.write("a.mp4.json", "and another")
    with home.store() as store:
        home.add(store, "rec_a")
        plan = Plan("copy", "mp4", home.out, home.out / "a", "number", "ffmpeg", "ffprobe")
        job = Job(store.recordings.get("rec_a"), store, EventBus(), closed=True, live=False)
        done = Places().place([(home.write(".p", "new"), home.out / "a.mp4")], plan, job)
    assert "are taken" in (done.trouble or "")
    assert home.left() == {"a.mp4": "new", "a.json": "", "a.mp4.json": ""}
    assert (home.out / "a.json").read_text() == "a user's own"


def test_outside_of_the_output_directory_is_hopeless(home: Home) -> None:
    with home.store() as store:
        home.add(store, "rec_a")
        with pytest.raises(AssemblyFailed) as caught:
            home.place(store, "../a.mp4")
    assert caught.value.hopeless


def test_a_directory_that_does_not_answer_holds_up_nobody_elsewhere(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in for a dead share: a rename into it does not return."""
    places, answers, hangs = Places(), threading.Event(), threading.Event()
    really = os.link

    def link_at_last(source: Any, target: Any) -> None:
        if "dead" in str(target):
            hangs.set()
            assert answers.wait(20)
        really(source, target)

    monkeypatch.setattr(os, "link", link_at_last)
    dead = replace(home, directory=home.directory / "dead")
    dead.directory.mkdir()
    with dead.store() as held_up, home.store() as store:
        dead.add(held_up, "rec_a")
        home.add(store, "rec_a")
        thread = threading.Thread(target=dead.place, args=(held_up, "a.mp4"),
                                  kwargs={"places": places})
        thread.start()
        try:
            assert hangs.wait(20)
            assert home.place(store, "a.mp4", places=places) == ("a.mp4",)
            stop = threading.Event()
            stop.set()
            with pytest.raises(Suspended), places._alone({dead.out}, stop):
                pass
            monkeypatch.setattr("brlib.assembly.place.TURN_MAX_S", 0.0)
            with pytest.raises(AssemblyFailed, match="does not answer"), places._alone(
                    {dead.out, home.out}, threading.Event()):
                pass
        finally:
            answers.set()
            thread.join(20)
    assert dead.left() == {"a.mp4": "new 0", "a.json": ""}


@pytest.mark.parametrize(("listed", "there", "wanted"), [
    (("a.mp4",), ("a.mp4",), ("a.mp4",)),
    (("a.mp4",), (), None),
    ((), (), None),
    (("a.mp4", "a.mkv"), ("a.mp4",), ("a.mp4",)),
    (("a.mp4", "a.mkv"), ("a.mp4", "a.mkv"), ("a.mp4",)),
    (("a.mp4", "a.mkv"), ("a.mkv",), ("a.mkv",)),
    (("a.mp4", "a (2).mkv"), ("a (2).mkv",), ("a (2).mkv",)),
    (("a (2).mp4", "a (2).mkv"), ("a (2).mp4", "a (2).mkv"), ("a (2).mp4",)),
    (("a (2).mp4", "a (2) (2).mkv"), ("a (2) (2).mkv",), ("a (2) (2).mkv",)),
    (("a (part 1).ts", "a (part 2).mp4", "a (part 1).mp4"), ("a (part 2).mp4", "a (part 1).mp4"),
     ("a (part 1).mp4", "a (part 2).mp4")),
    (("a (part 1).mp4", "a (part 2).mp4"), ("a (part 2).mp4",), None),
])
def test_which_files_hold_the_recording(
    listed: tuple[str, ...], there: tuple[str, ...], wanted: tuple[str, ...] | None,
    tmp_path: Path,
) -> None:
    for name in there:
        (tmp_path / name).touch()
    found = find_originals([str(tmp_path / name) for name in listed])
    assert found == (None if wanted is None else [tmp_path / name for name in wanted])
