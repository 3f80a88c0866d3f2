"""What is no damage to a store, damage that is found under way, and rebuilds that crash."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from brlib.errors import Unavailable
from brlib.store import Store, open_or_rebuild, open_store
from brlib.store.base import suspect_file
from brlib.store.damage import damage_of
from brlib.store.recordings import Filter

from . import torn_store
from .test_store import MOMENT
from .torn_store import NAME, RECORDINGS, again, mended, pages_of, tear, zero

sound, killed, path = torn_store.sound, torn_store.killed, torn_store.path


def test_a_newer_version_is_no_damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 999")
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="newer version"):
        open_or_rebuild(path, True)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.damaged-*"))


def locked(path: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr("brlib.store.base.BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN EXCLUSIVE")
        yield


def forbidden(path: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """As for another user: root may read everything."""
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")
    patch.setattr("brlib.store.damage.read_only", refuse)
    yield


def failing_disk(path: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error
    patch.setattr("brlib.store.damage._inside", fail)
    yield


def a_directory(path: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    path.rename(path.with_name("elsewhere"))
    path.mkdir()
    yield


@pytest.mark.parametrize("trouble", [locked, forbidden, failing_disk, a_directory])
def test_what_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Path, pytest.MonkeyPatch], Iterator[None]],
) -> None:
    monkeypatch.setattr("brlib.store.damage.BUSY_TIMEOUT_S", 0.05)
    tried = False
    for _ in trouble(path, monkeypatch):
        with pytest.raises((sqlite3.OperationalError, OSError)):
            open_or_rebuild(path, True)
        assert not list(path.parent.glob("*.damaged-*")), "nothing is set aside"
        assert not list(path.parent.glob("*.rebuilding"))
        tried = True
    assert tried


def mismatched(path: Path) -> None:
    """An index that says something else than its table: only a close look finds it."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'started_at DESC', 'started_at') "
                   "WHERE name = 'recordings_newest'")


def test_damage_found_under_way(path: Path) -> None:
    mismatched(path)
    assert damage_of(path) is None
    with closing(open_store(path)) as store, pytest.raises(sqlite3.DatabaseError):
        store.recordings.delete("rec_000")
    store, reason = mended(path)
    with closing(store):
        assert "recordings_newest" in reason
        assert store.recordings.count(Filter()) == RECORDINGS
    assert not suspect_file(path).exists()
    again(path)


def test_after_a_crash_the_look_is_close(path: Path) -> None:
    mismatched(path)
    with closing(open_store(path)) as store:
        store.rests.keep("kick", MOMENT)
        assert "recordings_newest" in str(damage_of(path))


def test_a_column_of_another_name(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"end_reason TEXT", b"end_rEbson TEXT"))
    assert path.read_bytes() != data
    store, reason = mended(path)
    with closing(store):
        assert reason == "it lacks recordings.end_reason"
        assert store.recordings.count(Filter()) == RECORDINGS
    again(path)


def test_a_text_that_is_none_is_told_of(path: Path) -> None:
    spoil(path, "UPDATE recordings SET title = CAST(x'ff' AS TEXT) WHERE id = 'rec_007'")
    with closing(open_store(path)) as store:
        with pytest.raises(sqlite3.DatabaseError):
            store.recordings.find_page(Filter(), 500, 0)
        assert store.database.damage is not None
    store, _ = mended(path)
    with closing(store):
        assert store.recordings.count(Filter()) == RECORDINGS - 1
    assert not suspect_file(path).exists()


def test_a_broken_page_is_told_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(open_store(path)) as store:
        for page in pages_of(path, "channels"):
            zero(path, page)
        for _ in range(2):
            with pytest.raises(sqlite3.DatabaseError):
                store.channels.find_all()
        assert store.database.damage is not None
        assert store.recordings.count(Filter()) == RECORDINGS
    assert caplog.text.count("the next start rebuilds it") == 1
    assert suspect_file(path).exists()
    with pytest.raises(Unavailable, match="start the daemon"):
        zero(path, 1)
        open_store(path)


def test_a_crash_between_two_renames(
    tmp_path: Path, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its log the file looks sound, and is hours old."""
    path, calls = tmp_path / "x" / NAME, []
    shutil.copytree(killed.parent, path.parent)
    log = path.with_name(NAME + "-wal")
    tear(log, 0, bytes(8))
    before = log.read_bytes()

    def once(old: Path, new: Path) -> None:
        calls.append(old)
        if len(calls) > 1:
            raise OSError("a crash")
        old.rename(new)

    with monkeypatch.context() as broken:
        broken.setattr("brlib.store.rebuild._rename", once)
        with pytest.raises(OSError, match="a crash"):
            open_or_rebuild(path, True)
    store, rebuilt = open_or_rebuild(path, True)
    store.close()
    assert rebuilt is not None and rebuilt.aside.exists()
    assert rebuilt.aside.with_name(rebuilt.aside.name + "-wal").read_bytes() == before
    rebuilt.done()
    again(path)


def test_a_store_behind_a_link(tmp_path: Path, killed: Path) -> None:
    """The log is beside the file, not beside the link."""
    shutil.copytree(killed.parent, tmp_path / "disk")
    log = tmp_path / "disk" / (NAME + "-wal")
    tear(log, 0, bytes(8))
    (tmp_path / NAME).symlink_to(tmp_path / "disk" / NAME)
    store, rebuilt = open_or_rebuild(tmp_path / NAME, True)
    store.close()
    assert rebuilt is not None and rebuilt.aside.parent == tmp_path / "disk"
    assert (tmp_path / NAME).is_symlink() and not log.exists()
    rebuilt.done()
    again(tmp_path / NAME)


def spoil(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER recording_changed")
        db.execute(sql)
        db.execute("CREATE TRIGGER recording_changed AFTER UPDATE ON gaps BEGIN SELECT 1; END")


def test_a_row_of_no_sense_that_nobody_needs_at_the_start(path: Path) -> None:
    """Whoever lists it finds it, and the next start leaves it out."""
    spoil(path, "UPDATE recordings SET files = '{' WHERE id = 'rec_007'")
    assert damage_of(path) is None
    with closing(open_store(path)) as store:
        with pytest.raises(sqlite3.DatabaseError, match="makes no sense"):
            store.recordings.find_page(Filter(), 500, 0)
        assert store.database.damage is not None
    store, reason = mended(path)
    with closing(store):
        assert reason == "a row of recordings makes no sense"
        assert len(store.recordings.find_page(Filter(), 500, 0)) == RECORDINGS - 1
    again(path)


@pytest.mark.parametrize("sql", [
    "UPDATE recordings SET status = 'recording', started_at = 5 WHERE id = 'rec_007'",
    "UPDATE users SET role = CAST(x'ff' AS TEXT) WHERE username = 'guest'",
    "UPDATE channels SET created_at = 'soon'",
])
def test_a_row_of_no_sense_that_the_start_needs(path: Path, sql: str) -> None:
    spoil(path, sql)
    store, reason = mended(path)
    with closing(store):
        assert reason.endswith(("makes no sense", "a text in it is none"))
        store.channels.find_all()
        store.users.find_all()
        assert store.recordings.count(Filter()) >= RECORDINGS - 1
    again(path)


def torn_somewhere(directory: Path, chance: random.Random) -> str:
    """Bytes that are zeros or noise, or missing, at one place of one of the files."""
    path = chance.choice(sorted(p for p in directory.iterdir() if p.stat().st_size))
    place = chance.randrange(path.stat().st_size)
    how = chance.choice(["zeros", "noise", "cut", "bit"])
    length = min(chance.choice([1, 100, 4096, 20_000]), path.stat().st_size - place)
    if how == "cut":
        os.truncate(path, place)
    elif how == "bit":
        tear(path, place, bytes([path.read_bytes()[place] ^ 1 << chance.randrange(8)]))
    else:
        tear(path, place, bytes(length) if how == "zeros" else chance.randbytes(length))
    return f"{how} at {place} of {path.name}"


@pytest.mark.parametrize("seed", range(24))
def test_torn_anywhere_it_opens(
    tmp_path: Path, path: Path, killed: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is there can be used; or whoever finds that it cannot has the next start
    put it right."""
    monkeypatch.setattr("brlib.store.damage.BEGINNING_MAX_S", 0.0)
    chance = random.Random(seed)
    if chance.random() < 0.5:
        path = tmp_path / "x" / NAME
        shutil.copytree(killed.parent, path.parent)
    torn = [torn_somewhere(path.parent, chance) for _ in range(chance.choice([1, 1, 3]))]
    store, _ = open_or_rebuild(path, True)
    try:
        use(store)
    except sqlite3.DatabaseError:
        assert store.database.damage is not None, torn
        store.close()
        store, rebuilt = open_or_rebuild(path, True)
        assert rebuilt is not None, torn
        use(store)
    finally:
        store.close()


def use(store: Store) -> None:
    for recording in store.recordings.find_page(Filter(), 500, 0):
        store.recordings.find_gaps(recording.id)
    for table in (store.channels, store.users, store.api_keys, store.credentials):
        table.find_all()
    for recording in store.recordings.find_page(Filter(), 5, 0):
        store.recordings.delete(recording.id)


@pytest.mark.parametrize("step", ["write", "rename", "salvage", "replace"])
def test_a_crash_in_the_middle_of_a_rebuild(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At each step: the next start goes on with it, and what is set aside is there once."""
    class Crash(BaseException):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    *leaves, _ = pages_of(path, "recordings")
    zero(path, leaves[1])
    damaged = path.read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr({
            "write": "brlib.store.rebuild._rename", "rename": "brlib.store.rebuild.Database",
            "salvage": "brlib.store.salvage._need_admin",
            "replace": "brlib.store.rebuild.os.replace",
        }[step], crash)
        with pytest.raises(Crash):
            open_or_rebuild(path, True)
    store, rebuilt = open_or_rebuild(path, True)
    with closing(store):
        assert rebuilt is not None
        assert RECORDINGS > store.recordings.count(Filter()) > RECORDINGS - 40
    assert [p.read_bytes() for p in path.parent.glob("*.damaged-*Z")] == [damaged]
    assert rebuilt.aside.read_bytes() == damaged
    assert not list(path.parent.glob("*.new*"))


def test_a_rebuild_that_is_not_done_is_said_at_the_next_start_too(path: Path) -> None:
    """The finished files are still to be looked through; what was changed since holds."""
    zero(path, pages_of(path, "channels")[-1])
    store, first = open_or_rebuild(path, True)
    with closing(store):
        store.api_keys.revoke(1)
    store, second = open_or_rebuild(path, True)
    with closing(store):
        assert first == second and second is not None
        assert store.api_keys.find_all() == [], "a revoked key does not come back"
        second.done()
    again(path)
