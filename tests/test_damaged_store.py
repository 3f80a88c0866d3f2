"""A store torn in many ways: what is damage, and what a rebuild saves."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from brlib.models import Role
from brlib.store import Store, open_or_rebuild
from brlib.store.api_keys import FULL
from brlib.store.credentials import API
from brlib.store.damage import damage_of
from brlib.store.migrations import MIGRATIONS
from brlib.store.recordings import Filter

from . import torn_store
from .test_store import CHANNEL, FULL_CHANNEL, MOMENT
from .torn_store import GAP, NAME, PAGE, RECORDINGS, again, mended, pages_of, tear, zero

sound, killed, path = torn_store.sound, torn_store.killed, torn_store.path


def test_a_sound_store_is_left_alone(path: Path) -> None:
    before = path.read_bytes()
    assert damage_of(path) is None
    assert path.read_bytes() == before
    store, rebuilt = open_or_rebuild(path, True)
    with closing(store):
        assert rebuilt is None and store.recordings.count(Filter()) == RECORDINGS
    assert [p.name for p in path.parent.iterdir()] == [NAME]


def test_a_store_that_was_killed_is_sound(tmp_path: Path, killed: Path) -> None:
    shutil.copytree(killed.parent, tmp_path / "x")
    assert damage_of(tmp_path / "x" / NAME) is None
    store, rebuilt = open_or_rebuild(tmp_path / "x" / NAME, True)
    with closing(store):
        assert rebuilt is None and store.recordings.count(Filter()) == RECORDINGS


def first_page(path: Path) -> None:
    zero(path, 1)


def header(path: Path) -> None:
    tear(path, 0, os.urandom(100))


def schema(path: Path) -> None:
    tear(path, 100, bytes(PAGE - 100))


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not a database\n" * 1000)


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [first_page, header, schema, nothing, text, gone])
def test_what_cannot_be_read_at_all_begins_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setattr("brlib.store.damage.BEGINNING_MAX_S", 0.0)
    damage(path)
    store, reason = mended(path)
    with closing(store):
        assert reason
        assert store.recordings.count(Filter()) == 0
        store.channels.add(CHANNEL)
    again(path)


def test_no_store_is_no_damage_at_a_first_start(tmp_path: Path) -> None:
    store, rebuilt = open_or_rebuild(tmp_path / NAME, False)
    store.close()
    assert rebuilt is None


@pytest.mark.parametrize("size", [1, 99, 512, PAGE, 5 * PAGE, 30 * PAGE + 7, -PAGE])
def test_cut_off_anywhere(path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("brlib.store.damage.BEGINNING_MAX_S", 0.0)
    os.truncate(path, size if size > 0 else path.stat().st_size + size)
    store, _ = mended(path)
    with closing(store):
        # Its own tables come first: only what lay behind the cut is lost.
        channels = store.channels.find_all()
        assert channels in ([], [CHANNEL, FULL_CHANNEL])
        assert channels or size in (1, 99, 512, PAGE, 5 * PAGE)
        for recording in store.recordings.find_page(Filter(), 500, 0):
            assert store.recordings.get(recording.id) == recording
    again(path)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("with_what", [bytes(PAGE), b"\xff" * PAGE, b"\x0d" + b"A" * (PAGE - 1)],
                         ids=["zeros", "ones", "letters"])
def test_a_lost_page_costs_only_its_rows(path: Path, place: str, with_what: bytes) -> None:
    *leaves, _ = pages_of(path, "recordings")
    page = leaves[{"first": 0, "middle": len(leaves) // 2, "last": -1}[place]]
    tear(path, (page - 1) * PAGE, with_what)
    store, _ = mended(path)
    with closing(store):
        left = {r.id for r in store.recordings.find_page(Filter(), 500, 0)}
        lost = sorted({f"rec_{n:03d}" for n in range(RECORDINGS)} - left)
        assert 0 < len(lost) < 40
        assert int(lost[-1][4:]) - int(lost[0][4:]) == len(lost) - 1, "one stretch"
        check_others(store)
        check_gaps(store, left)
        owners = store.database.rows("SELECT count(*) AS n FROM recording_files")
        assert owners[0]["n"] == len(left) == store.recordings.count(Filter())
    again(path)


def check_others(store: Store) -> None:
    """Everything that lay on other pages is as it was."""
    assert store.channels.find_all() == [CHANNEL, FULL_CHANNEL]
    login = store.users.find_login("boss")
    assert login is not None and login.user.role is Role.ADMIN
    assert login.password_hash == "scrypt:hash"
    assert store.sessions.find("ses_1") is not None
    assert store.credentials.find("twitch", API) is not None
    assert store.rests.find("twitch") == MOMENT
    assert dict(store.kick_ids) == {"somebody": 7}
    assert [key.id for key in store.api_keys.find_all()] == [1]
    store.api_keys.create("c", FULL)
    assert [key.id for key in store.api_keys.find_all()] == [1, 3], "2 was revoked"


def check_gaps(store: Store, left: set[str]) -> None:
    last = f"rec_{RECORDINGS - 1}"
    for recording_id, gaps in (("rec_000", [GAP]), (last, [GAP, GAP])):
        assert store.recordings.find_gaps(recording_id) == gaps * (recording_id in left)


@pytest.mark.parametrize("table", [
    "channels", "users", "sessions", "api_keys", "credentials", "recordings", "gaps",
    "platform_ids", "recordings_newest", "recording_totals", "recording_files", "sqlite_sequence"])
def test_each_table_is_saved_for_itself(path: Path, table: str) -> None:
    zero(path, pages_of(path, table)[-1])
    store, _ = mended(path)
    with closing(store):
        lost = {"channels": not store.channels.find_all(), "users": not store.users.find_all(),
                "api_keys": not store.api_keys.find_all(),
                "credentials": not store.credentials.find_all(),
                "platform_ids": not dict(store.kick_ids),
                "recordings": not store.recordings.count(Filter())}
        assert [name for name, is_lost in lost.items() if is_lost] == (
            [table] if table in lost else [])
        if table == "users":
            assert store.sessions.find("ses_1") is None
        elif table not in ("gaps", "recordings"):
            check_gaps(store, {"rec_000", f"rec_{RECORDINGS - 1}"})
    again(path)


def test_viewers_alone_are_not_kept(path: Path) -> None:
    """They would keep a first admin from being made, and nobody could do anything."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE users SET role = 'nonsense' WHERE username = 'boss'")
    zero(path, pages_of(path, "platform_ids")[-1])
    store, _ = mended(path)
    with closing(store):
        assert store.users.find_all() == []


@pytest.mark.parametrize("sql", [
    "UPDATE recordings SET status = 'x' WHERE id = 'rec_007'",
    "UPDATE recordings SET files = '{' WHERE id = 'rec_007'",
    "UPDATE recordings SET started_at = 5 WHERE id = 'rec_007'",
    "UPDATE recordings SET title = CAST(x'ff' AS TEXT) WHERE id = 'rec_007'",
])
def test_a_row_of_nonsense_is_left_out(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER recording_changed")
        db.execute(sql)
    zero(path, pages_of(path, "platform_ids")[-1])
    store, _ = mended(path)
    with closing(store):
        assert len(store.recordings.find_page(Filter(), 500, 0)) == RECORDINGS - 1
        check_gaps(store, {"rec_000", f"rec_{RECORDINGS - 1}"})


@pytest.mark.parametrize("offset, data", [
    pytest.param(0, b"garbage!" * 4, id="header"), pytest.param(24, bytes(8), id="checksum"),
    pytest.param(0, bytes(40), id="zeros"),
])
def test_a_log_that_is_none(tmp_path: Path, killed: Path, offset: int, data: bytes) -> None:
    """SQLite would go on with what little stood in the file before, and say nothing."""
    shutil.copytree(killed.parent, tmp_path / "x")
    path = tmp_path / "x" / NAME
    tear(path.with_name(NAME + "-wal"), offset, data)
    store, reason = mended(path)
    with closing(store):
        assert "log" in reason
        assert store.channels.find_all() == []
    again(path)


def test_a_lost_log_is_noticed(tmp_path: Path, killed: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brlib.store.damage.BEGINNING_MAX_S", 0.0)
    shutil.copy(killed, tmp_path / NAME)
    store, reason = mended(tmp_path / NAME)
    store.close()
    assert reason == "it is empty"


def test_an_empty_file_beside_a_log(tmp_path: Path, killed: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would delete the log: it is set aside, too."""
    monkeypatch.setattr("brlib.store.damage.BEGINNING_MAX_S", 0.0)
    shutil.copytree(killed.parent, tmp_path / "x")
    (tmp_path / "x" / NAME).write_bytes(b"")
    store, _ = mended(tmp_path / "x" / NAME)
    store.close()
    asides = list((tmp_path / "x").glob("*.damaged-*-wal"))
    assert [p.read_bytes() for p in asides] == [killed.with_name(NAME + "-wal").read_bytes()]


def test_an_older_version_is_saved_too(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in MIGRATIONS[0]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO recordings VALUES ('rec_1', 'ch_1', 'x', 'url', 't', NULL, 's', "
                   "NULL, 'complete', '2026-01-02T03:04:05.000000Z', NULL, NULL, 1, 2, 3.0, 0, "
                   "0.0, 1, '[\"/srv/a.mp4\"]', 9, NULL, NULL, NULL)")
        db.execute("INSERT INTO gaps VALUES ('rec_1', '2026-01-02T03:04:05.000000Z', 1.0, 2.0, "
                   "3, 'network')")
    zero(path, pages_of(path, "channels")[-1])
    store, _ = mended(path)
    with closing(store):
        assert store.recordings.get("rec_1").files == ("/srv/a.mp4",)
        assert len(store.recordings.find_gaps("rec_1")) == 1
