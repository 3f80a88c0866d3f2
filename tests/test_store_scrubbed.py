"""Tests of brlib.store: what was deleted is in no file, and a row of no recording is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brlib.models import RecordingStatus
from brlib.store import Store, open_store
from brlib.store.api_keys import FULL
from brlib.store.tables import TABLES, is_sound

from .test_store import FULL_RECORDING


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = open_store(tmp_path / "db")
    yield one
    one.close()


def files(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


def test_every_connection_overwrites_what_it_deletes(store: Store) -> None:
    """Whatever SQLite was built with."""
    assert store.database._writer.execute("PRAGMA secure_delete").fetchone()[0] == 1


def test_a_revoked_key_is_in_no_file(store: Store, tmp_path: Path) -> None:
    key, _ = store.api_keys.make("a label of its own", FULL)
    assert b"a label of its own" in files(tmp_path)
    assert store.api_keys.revoke(key.id)
    assert b"a label of its own" not in files(tmp_path)
    assert (tmp_path / "db-wal").stat().st_size == 0


def test_a_reader_keeps_nobody_from_revoking(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is in the log for a while longer."""
    key, _ = store.api_keys.make("a label of its own", FULL)
    monkeypatch.setattr("brlib.store.base.SCRUB_MAX_S", 0.01)
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    try:
        other.execute("BEGIN")
        other.execute("SELECT * FROM api_keys").fetchall()
        assert store.api_keys.revoke(key.id) and store.api_keys.find_all() == []
    finally:
        other.close()
    store.database.scrub()
    assert b"a label of its own" not in files(tmp_path)


@pytest.mark.parametrize("change, sound", [
    (lambda db: db.execute("UPDATE recordings SET title = 'x'"), True),
    *((lambda db, one=one: db.execute("UPDATE recordings SET id = ?", (one,)), False)
      for one in ("", "..", "../x", "rec_1/..", "rec_", "x\0y")),
])
def test_a_row_whose_id_is_none_is_left_out(
    change: Callable[[sqlite3.Connection], object], sound: bool, store: Store
) -> None:
    """Captures are removed by it: an empty one would be all of them."""
    store.recordings.add(replace(FULL_RECORDING, status=RecordingStatus.COMPLETE))
    with store.database.write() as db:
        change(db)
    (table,) = (one for one in TABLES if one.name == "recordings")
    (row,) = store.database.rows(f"SELECT {table.columns} FROM recordings")
    assert is_sound(table, row) is sound
