"""Whether a database file is damaged, asked before it is opened. Changes nothing.

Called by `rebuild`. What keeps a sound file from being read (a lock, no permission, a full
disk, a disk that fails) is no damage and is raised as it is: it must not cost anybody's data.
"""

from __future__ import annotations

import itertools
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path

from .base import BUSY_TIMEOUT_S, is_damage, suspect_file
from .migrations import MIGRATIONS
from .tables import find_senseless

# What another process, that begins a database, may take until something is in it.
BEGINNING_MAX_S = 2.0
# https://sqlite.org/fileformat2.html#walformat: magic, version, page size, sequence, two
# salts; then the checksum of those, in big-endian words for the odd magic.
_WAL_HEADER_BYTES = 32
_WAL_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}


def damage_of(path: Path) -> str | None:
    """What is wrong with the database in `path`, which is there; None: nothing is.

    Asked at every start: of 92 MB (100,000 recordings) it takes 0.15 s on two slow cores,
    after a crash 0.8 s.
    Raises sqlite3.Error, OSError for what is no damage.
    """
    if _torn_log(path.with_name(path.name + "-wal")):
        return "its write-ahead log is no such log"
    until_s = time.monotonic() + BEGINNING_MAX_S
    while (version := _version(path)) == 0:
        if time.monotonic() > until_s:
            return "it is empty"
        time.sleep(0.02)
    if isinstance(version, str):
        return version
    return None if version > len(MIGRATIONS) else _inside(path, version)


def read_only(path: Path) -> sqlite3.Connection:
    """Leaves file and log byte for byte as they are: others write the log back when they
    close. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S,
        isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _version(path: Path) -> int | str:
    """Its `user_version`, 0 while it is empty; or what is wrong."""
    if not path.stat().st_size:
        # SQLite would delete the log of an empty file.
        return 0
    try:
        with closing(read_only(path)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return _named(error)


def _inside(path: Path, version: int) -> str | None:
    """The structure page by page, whether every table is there, and the rows that the start
    needs; all rows where somebody found it broken. Then, and after a crash, which leaves its
    log, also whether indexes say what their tables say."""
    thorough = suspect_file(path).exists()
    check = "integrity_check" if thorough or _has_log(path) else "quick_check"
    try:
        with closing(read_only(path)) as db:
            (found,) = db.execute(f"PRAGMA {check}(1)").fetchone()
            if found != "ok":
                return str(found).removeprefix("*** in database main ***").strip()
            if missing := _names_of(version) - _names(db):
                return f"it lacks {min(missing)}"
            table = find_senseless(db, thorough) if version == len(MIGRATIONS) else None
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return _named(error)
    return f"a row of {table} makes no sense" if table else None


def _named(error: Exception) -> str:
    """The damage that an error tells of. Raises any other error again."""
    if not is_damage(error):
        raise error
    return "a text in it is none" if "decode" in str(error) else str(error)


def _names(db: sqlite3.Connection) -> set[str]:
    """Of tables, indexes and triggers, and `table.column`."""
    named = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_schema")}
    return named | {f"{row[0]}.{row[1]}" for row in db.execute(
        "SELECT it.name, its.name FROM sqlite_schema AS it, pragma_table_xinfo(it.name) AS its "
        "WHERE it.type = 'table'")}


def _names_of(version: int) -> set[str]:
    """What a database of this version has."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for statement in itertools.chain.from_iterable(MIGRATIONS[:version]):
            db.execute(statement)
        return _names(db)


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _torn_log(path: Path) -> bool:
    """SQLite takes a log that it cannot read for none, and nobody hears of what was in it.
    One that is shorter than its header never held anything."""
    try:
        with open(path, "rb") as file:
            header = file.read(_WAL_HEADER_BYTES)
    except FileNotFoundError:
        return False
    if len(header) < _WAL_HEADER_BYTES:
        return False
    (magic,) = struct.unpack(">I", header[:4])
    if magic not in _WAL_MAGIC:
        return True
    one = two = 0
    for first, second in struct.iter_unpack(_WAL_MAGIC[magic] + "II", header[:24]):
        one = one + first + two & 0xFFFFFFFF
        two = two + second + one & 0xFFFFFFFF
    return (one, two) != struct.unpack(">II", header[24:])
