"""Tests of brlib.assembly.archive: captures reach the archive whole, or stay where they are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib.assembly.archive import EVERY_S, HELD_UP_S
from brlib.ledger import ARCHIVE, DONE, INDEX
from brlib.store import Store

from .archive_home import ID, MOVED, ROW, Home, is_whole, other_disk, used_bytes
from .frozen import Frozen
from .test_assembly_place import killed_at
from .test_workers import until

CHANGES = ("rename", "mkdir", "unlink", "rmdir", "fsync", "write")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    one = Home(tmp_path / "data", tmp_path / "archive")
    one.prepare()
    return one


@pytest.fixture
def elsewhere(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """With an archive on another disk."""
    other_disk(monkeypatch, home.captures, home.archive)
    return home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    one = home.open()
    yield one
    one.close()


@pytest.mark.parametrize("disks", [1, 2])
def test_killed_before_any_change(
    disks: int, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment one whole capture is there, and one is counted while it takes our room;
    the next start ends the same."""
    if disks == 2:
        other_disk(monkeypatch, home.captures, home.archive)
    step, killed = 0, True
    while killed:
        step += 1
        shutil.rmtree(home.directory)
        shutil.rmtree(home.archive)
        home.prepare()

        def work() -> None:
            home.assembly(home.open())._archive.step()

        killed = killed_at(step, work, CHANGES, "note_capture")
        waits, moved = (home.waiting / INDEX).exists(), home.target.exists()
        assert is_whole(home.target) if moved else is_whole(home.waiting)
        store = home.open()
        assert used_bytes(store) == (home.sums.captured_bytes if waits else 0)
        one = home.assembly(store)
        one.start()
        assert until(lambda: not home.waiting.exists() and used_bytes(store) == 0)
        one.stop()
        assert one.join(20) and home.there() == MOVED
        assert is_whole(home.target) and one.problems() == []
        store.close()
    assert step > (15 if disks == 2 else 4)


def test_a_real_other_disk(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)
            and memory.stat().st_dev != home.archive.stat().st_dev):
        other_disk(monkeypatch, home.captures, home.archive)
        memory = home.archive
    with tempfile.TemporaryDirectory(dir=memory) as place:
        home.archive = Path(place)
        home.settings = replace(home.settings, archive_directory=home.archive)
        home.assembly(store)._archive.step()
        assert home.there() == MOVED and is_whole(home.target)
        assert (home.target / INDEX).stat().st_mode & 0o777 == 0o600, "it may hold an address"


def test_away_at_first_and_back_later(elsewhere: Home, store: Store) -> None:
    home = elsewhere
    home.archive.rmdir()
    one = home.assembly(store)
    assert one._archive.step() == EVERY_S
    (problem,) = one.problems()
    assert "waits for the archive" in problem and f"{home.archive} is away" in problem
    assert is_whole(home.waiting) and not home.archive.exists()
    assert used_bytes(store) == home.sums.captured_bytes
    home.archive.mkdir()
    home.now_s += EVERY_S - 1
    assert one._archive.step() == 1 and not home.target.exists(), "not before its time"
    home.now_s += 1
    one._archive.step()
    assert home.there() == MOVED and one.problems() == [] and used_bytes(store) == 0


def test_full(elsewhere: Home, store: Store) -> None:
    """It leaves what recordings need: their files may go to the same disk."""
    home = elsewhere
    home.settings = replace(home.settings, min_free_space=1 << 60)
    one = home.assembly(store)
    one._archive.step()
    (problem,) = one.problems()
    assert "Too little room" in problem and is_whole(home.waiting)
    assert home.there() == {home.waiting.name, home.target.parent.name}


def test_full_halfway(elsewhere: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    home, really = elsewhere, os.write

    def write(fd: int, data: Any) -> int:
        if "0002.mp4" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(28, "No space left on device")
        return really(fd, data)

    one = home.assembly(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        one._archive.step()
    assert "No space left" in one.problems()[0] and is_whole(home.waiting)
    assert home.there() == {home.waiting.name, home.target.parent.name}, "no half copy"
    home.now_s += EVERY_S
    one._archive.step()
    assert home.there() == MOVED and is_whole(home.target)


@pytest.mark.parametrize("name", ["0001.ts", "0002.mp4", INDEX])
def test_a_copy_that_differs(
    name: str, elsewhere: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk or a cable that changes a bit, and says nothing."""
    home, really = elsewhere, os.write

    def write(fd: int, data: Any) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(name):
            data = bytes(data).replace(b"1", b"7")
        return really(fd, data)

    one = home.assembly(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        one._archive.step()
    assert "The copy is not what was copied" in one.problems()[0]
    assert is_whole(home.waiting) and not home.target.exists()
    home.now_s += EVERY_S
    one._archive.step()
    assert home.there() == MOVED and is_whole(home.target) and one.problems() == []


def test_a_capture_that_is_damaged_itself_stays(elsewhere: Home, store: Store) -> None:
    home = elsewhere
    media = home.waiting / "0001.ts"
    media.write_bytes(media.read_bytes().replace(b"ts 1", b"ts 7"))
    one = home.assembly(store)
    assert one._archive.step() == EVERY_S
    home.now_s += 10 * EVERY_S
    one._archive.step()
    (problem,) = one.problems()
    assert "damaged" in problem and home.waiting.is_dir() and not home.target.exists()


@pytest.mark.parametrize("disks", [1, 2])
@pytest.mark.parametrize("damage", [None, "0001.ts", INDEX])
def test_what_stands_in_its_place(
    damage: str | None, disks: int, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same is not doubled; what is not the same is not lost."""
    if disks == 2:
        other_disk(monkeypatch, home.captures, home.archive)
    shutil.copytree(home.waiting, home.target)
    if damage:
        path = home.target / damage
        path.write_bytes(path.read_bytes().replace(b"1", b"7"))
    home.assembly(store)._archive.step()
    assert is_whole(home.target)
    other = {f"{home.target.parent.name}/{ID} (2)"} if damage else set()
    assert home.there() == MOVED | other


def test_a_disk_that_hangs_keeps_nobody_waiting(
    elsewhere: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, frozen = elsewhere, Frozen(monkeypatch, elsewhere.archive)
    frozen.freeze()
    one = home.assembly(store)
    try:
        one.start()
        frozen.wait_caught()
        assert one.problems() == []
        home.now_s += HELD_UP_S
        (problem,) = one.problems()
        assert "may not answer" in problem and str(home.archive) in problem
        one.stop()
        assert not one.join(0.05)
    finally:
        frozen.thaw()
    assert one.join(20)
    assert is_whole(home.waiting) and not home.target.exists(), "asked to stop"


def test_stopped_while_it_copies(
    elsewhere: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, really, written = elsewhere, os.write, []
    one = home.assembly(store)

    def write(fd: int, data: Any) -> int:
        one.stop()
        written.append(fd)
        return really(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        one._archive.step()
    assert len(written) == 1 and is_whole(home.waiting) and not home.target.exists()
    home.assembly(store)._archive.step()
    assert home.there() == MOVED and is_whole(home.target)


def test_one_whose_row_is_gone(home: Home, store: Store) -> None:
    """It was deleted while its capture waited, or lost: the capture says whose it is."""
    store.recordings.delete(ID)
    one = home.assembly(store)
    one._archive.step()
    assert home.there() == MOVED and one.problems() == []


def test_one_that_nothing_can_be_made_of_keeps_no_other_waiting(
    home: Home, store: Store
) -> None:
    """Its index is damaged so that reading it fails in a way of its own."""
    riddle = home.captures / ("rec_000000000000" + ARCHIVE)
    shutil.copytree(home.waiting, riddle)
    index = riddle / INDEX
    index.write_bytes(index.read_bytes().replace(b'TAKEN="2026', b'TAKEN="9999').replace(
        b"2026-01-01T00:00:00.000000+00:00", b"x").replace(b"#EXTINF:2.002", b"#EXTINF:9e12"))
    one = home.assembly(store)
    one._archive.step()
    assert is_whole(home.target)
    (problem,) = one.problems()
    assert "damaged" in problem and riddle.is_dir()


@pytest.mark.parametrize("row", [True, False])
def test_without_an_archive_any_more(row: bool, home: Home, store: Store) -> None:
    """It is kept, as with capture_after = keep; one that is nobody's is told of."""
    home.settings = replace(home.settings, archive_directory=None)
    if not row:
        store.recordings.delete(ID)
    one = home.assembly(store)
    one._archive.step()
    assert home.capture.exists() is row and home.waiting.exists() is not row
    assert ["nobody's" in problem for problem in one.problems()] == ([] if row else [True])


@pytest.mark.parametrize("after, there", [
    ("archive", ".archive"), ("delete", DONE), ("keep", None)])
def test_how_a_capture_is_set_aside(
    after: str, there: str | None, home: Home, store: Store
) -> None:
    os.rename(home.waiting, home.capture)
    captures = home.assembly(store)._captures
    aside = captures.set_aside(store.recordings.get(ID), after)
    assert aside == (home.captures / (ID + there) if there else None)
    assert home.capture.exists() is (there is None)


def test_without_an_archive_it_is_kept(home: Home, store: Store) -> None:
    os.rename(home.waiting, home.capture)
    home.settings = replace(home.settings, archive_directory=None)
    assert home.assembly(store)._captures.set_aside(ROW, "archive") is None
    assert home.capture.exists()


@pytest.mark.parametrize("made_of_it", [True, False])
def test_a_capture_that_holds_less_than_was_counted_goes_only_for_a_file_of_its_own(
    made_of_it: bool, home: Home, store: Store
) -> None:
    """Whose file was made of the one in the archive keeps what is here; what a file was just
    made of is not read once more."""
    os.rename(home.waiting, home.capture)
    row = store.recordings.get(ID)
    more = replace(row, sums=replace(row.sums, captured_bytes=row.sums.captured_bytes + 1))
    made_of = home.capture if made_of_it else home.captures / "elsewhere"
    aside = home.assembly(store)._captures.set_aside(more, "delete", made_of)
    assert (aside is not None) is made_of_it and home.capture.exists() is not made_of_it
