"""Files made anew of captures that wait for the archive, or are in it: only read there."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib import assembly
from brlib.assembly.base import NothingLeft
from brlib.errors import Unavailable
from brlib.ledger import INDEX
from brlib.models import Recording, RecordingStatus
from brlib.store import Store

from .archive_home import ID, MOVED, Home, is_whole, make_capture, other_disk, used_bytes
from .frozen import Frozen
from .test_workers import until


@pytest.fixture
def home(tmp_path: Path) -> Home:
    one = Home(tmp_path / "data", tmp_path / "archive")
    one.prepare()
    return one


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    one = home.open()
    yield one
    one.close()


def quietly(one: assembly.Assembly, monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """What the files would be made of; nothing is."""
    found: list[Path | None] = []
    done = threading.Event()

    def work(self: assembly.Assembly, job: Any) -> None:
        found.append(self._archive.find_source(job.recording))
        done.set()

    monkeypatch.setattr(assembly.Assembly, "_work", work)
    row = one._store.recordings.get(ID)
    one.reprocess(row, archived=one.is_archived(row))
    assert done.wait(20) and one.join(20)
    return found


def with_file(home: Home, store: Store) -> Recording:
    file = home.directory / "a.mp4"
    file.write_bytes(b"whole")
    return store.recordings.change(ID, files=(str(file),))


@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("place", ["waiting", "archive", "here"])
def test_made_again_of_the_capture_wherever_it_is(
    place: str, file: bool, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if file:
        with_file(home, store)
    one = home.assembly(store)
    if place == "archive":
        one._archive.step()
    elif place == "here":
        os.rename(home.waiting, home.capture)
    before = {path: path.read_bytes() for path in home.archive.rglob("*") if path.is_file()}
    assert quietly(one, monkeypatch) == [home.target if place == "archive" else home.capture]
    assert not home.waiting.exists()
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("what", ["shorter", "no index", "away"])
def test_an_archived_one_that_is_not_whole_is_no_source(
    what: str, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_file(home, store)
    one = home.assembly(store)
    one._archive.step()
    if what == "shorter":
        os.truncate(home.target / "0002.mp4", 10)
    elif what == "no index":
        (home.target / INDEX).unlink()
    else:
        shutil.rmtree(home.archive)
    assert quietly(one, monkeypatch) == [None], "its file"
    store.recordings.change(ID, status=RecordingStatus.COMPLETE, files=())
    with pytest.raises(NothingLeft):
        home.assembly(store).reprocess(store.recordings.get(ID))


def test_an_archive_that_hangs_keeps_no_turn(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose file is to be made anew gets it made of that file meanwhile."""
    row, frozen = with_file(home, store), Frozen(monkeypatch, home.archive)
    monkeypatch.setattr(assembly.archive, "ASK_MAX_S", 0.1)
    one = home.assembly(store)
    one._archive.step()
    frozen.freeze()
    try:
        assert one._archive.find_source(row) is None
        with pytest.raises(Unavailable):
            one.is_archived(row)
    finally:
        frozen.thaw()
    assert until(lambda: not one._archive._calls._out)
    assert one._archive.find_source(row) == home.target
    assert one.join(20)


def test_taken_back_while_it_is_copied(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has begun ends without it; it goes there again afterwards, once."""
    other_disk(monkeypatch, home.captures, home.archive)
    really = os.write
    one = home.assembly(store)

    def write(fd: int, data: Any) -> int:
        one._captures.take_back(ID)
        return really(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        one._archive.step()
    assert is_whole(home.capture) and one.problems() == []
    assert used_bytes(store) == home.sums.captured_bytes
    assert one._captures.set_aside(store.recordings.get(ID), "archive") == home.waiting
    one._archive.step()
    assert home.there() == MOVED and is_whole(home.target) and used_bytes(store) == 0


def test_a_crash_before_the_row_says_that_it_is_complete(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is made anew, of its capture."""
    store.recordings.change(ID, status=RecordingStatus.PROCESSING)
    found: list[Path | None] = []
    monkeypatch.setattr(assembly.Assembly, "_work", lambda self, job: found.append(
        self._archive.find_source(job.recording)))
    one = home.assembly(store)
    one.start()
    one.stop()
    assert one.join(20) and found == [home.capture]
    assert is_whole(home.capture) and not home.target.exists()


def test_two_captures_of_one_recording_are_both_left(home: Home, store: Store) -> None:
    store.recordings.change(ID, status=RecordingStatus.PROCESSING)
    make_capture(home.capture)
    one = home.assembly(store)
    one._clear(ID, home.waiting)
    one._archive.step()
    assert is_whole(home.waiting) and is_whole(home.capture)
