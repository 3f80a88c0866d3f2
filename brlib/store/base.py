"""The database file: connections, transactions, migrations. Used by the table groups."""

from __future__ import annotations

import itertools
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BUSY_TIMEOUT_S = 10.0
READERS = 4

# Append only: a database remembers how many of these it has seen (user_version).
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE channels (
            id TEXT PRIMARY KEY,
            platform TEXT NOT NULL,
            name TEXT NOT NULL,
            display_name TEXT NOT NULL,
            url TEXT NOT NULL,
            quality TEXT NOT NULL,
            enabled INTEGER NOT NULL,
            paused INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            filename_template TEXT,
            output_directory TEXT,
            broadcast_id TEXT,
            live_since TEXT,
            stopped_broadcast_id TEXT,
            ended_edge TEXT,
            last_checked_at TEXT,
            last_error TEXT,
            created_at TEXT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX channels_name ON channels (platform, lower(name))",
        """
        CREATE TABLE recordings (
            id TEXT PRIMARY KEY,
            channel_id TEXT NOT NULL,
            channel_name TEXT NOT NULL,
            platform TEXT NOT NULL,
            title TEXT NOT NULL,
            category TEXT,
            quality TEXT NOT NULL,
            broadcast_id TEXT,
            status TEXT NOT NULL,
            started_at TEXT NOT NULL,
            ended_at TEXT,
            end_reason TEXT,
            segments INTEGER NOT NULL,
            captured_bytes INTEGER NOT NULL,
            captured_s REAL NOT NULL,
            gaps INTEGER NOT NULL,
            gap_s REAL NOT NULL,
            parts INTEGER NOT NULL,
            files TEXT NOT NULL,
            file_size_bytes INTEGER NOT NULL,
            error TEXT,
            filename_template TEXT,
            output_directory TEXT
        )
        """,
        "CREATE INDEX recordings_newest ON recordings (started_at DESC, id DESC)",
        "CREATE INDEX recordings_channel ON recordings (channel_id, started_at DESC, id DESC)",
        "CREATE INDEX recordings_platform ON recordings (platform, started_at DESC, id DESC)",
        "CREATE INDEX recordings_status ON recordings (status, started_at DESC, id DESC)",
        """
        CREATE TABLE gaps (
            recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
            started_at TEXT NOT NULL,
            offset_s REAL NOT NULL,
            duration_s REAL NOT NULL,
            segments INTEGER NOT NULL,
            cause TEXT NOT NULL
        )
        """,
        "CREATE INDEX gaps_recording ON gaps (recording_id, offset_s)",
        """
        CREATE TABLE api_keys (
            id INTEGER PRIMARY KEY,
            label TEXT NOT NULL,
            digest TEXT NOT NULL UNIQUE,
            permission TEXT NOT NULL,
            created_at TEXT NOT NULL,
            last_used_at TEXT
        )
        """,
    ),
    (
        """
        CREATE TABLE users (
            id TEXT PRIMARY KEY,
            username TEXT NOT NULL,
            password TEXT NOT NULL,
            role TEXT NOT NULL,
            created_at TEXT NOT NULL,
            last_login_at TEXT
        )
        """,
        "CREATE UNIQUE INDEX users_name ON users (lower(username))",
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            created_at TEXT NOT NULL,
            expires_at TEXT NOT NULL
        )
        """,
        "CREATE INDEX sessions_user ON sessions (user_id, created_at)",
        "CREATE INDEX sessions_end ON sessions (expires_at)",
    ),
)


def to_text(moment: datetime | None) -> str | None:
    """Times are stored as text of one fixed length, so that they sort."""
    if moment is None:
        return None
    # Not strftime: its %Y does not pad years before 1000.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def need_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Database:
    """One writing connection behind a lock, a few reading ones.

    WAL, so that readers never wait for the writer; every write is one BEGIN IMMEDIATE
    (a deferred one that turns from reading to writing fails at once instead of waiting).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = threading.Lock()
        self._writer = self._connect()
        try:
            self._use_wal()
            self._migrate()
        except BaseException:
            self._writer.close()
            raise
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue(READERS)
        for _ in range(READERS):
            self._readers.put(self._connect())

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _use_wal(self) -> None:
        """SQLite does not wait for the lock of another process that does the same, whatever
        the busy timeout says."""
        deadline_s = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                    raise
            time.sleep(0.02)

    def _migrate(self) -> None:
        """All in one transaction, the look at the version too: two processes may start at once
        (executescript would commit first)."""
        with self.write() as db:
            (seen,) = db.execute("PRAGMA user_version").fetchone()
            if seen > len(MIGRATIONS):
                raise sqlite3.DatabaseError(
                    f"{self._path} was written by a newer version of this program")
            for statement in itertools.chain.from_iterable(MIGRATIONS[seen:]):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction. `durable` ones survive a power cut (an fsync each); the others
        may lose their last few seconds, never more."""
        with self._write_lock:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself when the disk is full.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a query: read to the end at once, so no read holds up a checkpoint."""
        connection = self._readers.get(timeout=BUSY_TIMEOUT_S)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            self._readers.put(connection)

    def close(self) -> None:
        with self._write_lock:
            self._writer.close()
        for _ in range(READERS):
            self._readers.get(timeout=BUSY_TIMEOUT_S).close()
