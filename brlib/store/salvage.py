"""What a damaged database still gives: copied row by row into a new one.

Called by `rebuild`. Only by SQL, never by looking for rows in the bytes of the file: there a
key that was revoked, a user that was deleted would come back to life.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from .base import Database
from .damage import read_only
from .tables import KEYED, TABLES, Table, is_sound

log = logging.getLogger(__name__)

# Rowids tried one by one where a page cannot be read: 20 microseconds each.
TRIES_MAX = 20_000
# A broken text can stand in a message of SQLite's, too.
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)


def salvage(damaged: Path, database: Database) -> dict[str, int]:
    """Copy what can be read of each table, in one transaction; how many rows of each came.

    Raises sqlite3.Error, OSError only where the new database cannot be written.
    """
    saved = {}
    with closing(_opened(damaged)) as old, database.write() as db:
        for table in TABLES:
            saved[table.name] = _copy(old, db, table.name) - _drop_broken(db, table)
            log.info("%d rows of %s could be read", saved[table.name], table.name)
        _need_admin(db, saved)
        _keep_numbers(old, db)
        db.execute("INSERT OR IGNORE INTO recording_files SELECT file.value, recordings.id "
                   "FROM recordings, json_each(recordings.files) AS file")
    return saved


def _opened(path: Path) -> sqlite3.Connection:
    """An empty one where there is nothing to read."""
    if not path.exists() or not path.stat().st_size:
        return sqlite3.connect(":memory:")
    connection = read_only(path)
    # Without it a file that is too short by one page is refused altogether.
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _copy(old: sqlite3.Connection, db: sqlite3.Connection, table: str) -> int:
    """The columns that both have: the damaged database may be of an older version."""
    known = _columns(db, table)
    try:
        there = set(_columns(old, table))
    except _UNREADABLE as error:
        log.warning("Nothing of %s can be read: %s", table, error)
        return 0
    names = [name for name in known if name in there]
    if not names:
        return 0
    marks = ", ".join("?" * len(names))
    copied, refused = 0, 0
    for row in _readable(old, table, names):
        try:
            copied += db.execute(
                f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", row
            ).rowcount
        except sqlite3.IntegrityError as error:
            log.debug("A row of %s is left out: %s", table, error)
            refused += 1
    if refused:
        log.warning("%d rows of %s refer to nothing that could be read, and are left out",
                    refused, table)
    return copied


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    """Without those that are computed."""
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _readable(
    old: sqlite3.Connection, table: str, names: list[str]
) -> Iterator[tuple[Any, ...]]:
    """The rows from the first to the last, past whatever cannot be read in between."""
    columns = ", ".join(names)
    if table in KEYED:
        try:
            yield from old.execute(f"SELECT {columns} FROM {table}")
        except _UNREADABLE as error:
            log.warning("The rest of %s cannot be read: %s", table, error)
        return
    sql = f"SELECT rowid, {columns} FROM {table} WHERE rowid >= ? ORDER BY rowid"
    last, at, tries = _last_rowid(old, table), 0, 0
    while tries < TRIES_MAX and (last is None or at <= last):
        try:
            for number, *row in old.execute(sql, (at,)):
                if number < at:
                    break  # damaged pages can lead back
                at, tries = number + 1, 0
                yield tuple(row)
            else:
                return
        except _UNREADABLE as error:
            log.debug("%s cannot be read at row %d: %s", table, at, error)
        at, tries = at + 1, tries + 1


def _last_rowid(old: sqlite3.Connection, table: str) -> int | None:
    try:
        found: int | None = old.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
    except _UNREADABLE:
        return None
    return found


def _drop_broken(db: sqlite3.Connection, table: Table) -> int:
    """Rows whose values are none of ours: one would make every list of them fail."""
    key = KEYED.get(table.name, "rowid")
    numbers = db.execute(f"SELECT {key} FROM {table.name} ORDER BY {key}").fetchall()
    rows = db.execute(f"SELECT {table.columns} FROM {table.name} ORDER BY {key}")
    broken = [tuple(number) for number, row in zip(numbers, rows, strict=True)
              if not is_sound(table, row)]
    if broken:
        log.warning("%d rows of %s make no sense and are left out", len(broken), table.name)
    db.executemany(f"DELETE FROM {table.name} WHERE {key} = ?", broken)
    return len(broken)


def _need_admin(db: sqlite3.Connection, saved: dict[str, int]) -> None:
    """Users without an admin would keep the first one from being made, as after a first
    start."""
    if saved["users"] and not db.execute("SELECT 1 FROM users WHERE role = 'admin'").fetchone():
        log.warning("No admin could be read: the other %d users are left out", saved["users"])
        db.execute("DELETE FROM users")
        saved["users"] = saved["sessions"] = 0


def _keep_numbers(old: sqlite3.Connection, db: sqlite3.Connection) -> None:
    """A revoked key's number must not become another one's."""
    try:
        found = old.execute("SELECT seq FROM sqlite_sequence WHERE name = 'api_keys'").fetchone()
        number = int(found[0]) if found else 0
    except (*_UNREADABLE, ValueError, TypeError) as error:
        log.info("The highest number of a key is not known: %s", error)
        return
    if not db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'api_keys'",
                      (number,)).rowcount:
        db.execute("INSERT INTO sqlite_sequence VALUES ('api_keys', ?)", (number,))
