"""The database file: connections, transactions, migrations. Used by the table groups."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import Unavailable
from .migrations import MIGRATIONS

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 10.0
# Everybody who writes waits meanwhile.
SCRUB_MAX_S = 1.0
READERS = 4
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file itself is broken. Not: locked, full, unreadable."""
    if not isinstance(error, sqlite3.DatabaseError):
        # A text of no encoding; SQLite can quote one in its own messages.
        return isinstance(error, UnicodeDecodeError)
    code = getattr(error, "sqlite_errorcode", None)
    # The lower byte; the others say where it was noticed.
    return code is not None and code & 0xff in _DAMAGE or "decode to UTF-8" in str(error)


def suspect_file(path: Path) -> Path:
    """Beside a database that was found broken by whoever used it."""
    return path.with_name(path.name + ".suspect")


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
        # What SQLite said when it found the file broken under way.
        self.damage: str | None = None
        self._path = path
        self._write_lock = threading.Lock()
        _keep_private(path)
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
        # A deleted secret is overwritten where it stood; SQLite's own builds leave it in the
        # file. The log beside it holds it until that is begun anew.
        connection.execute("PRAGMA secure_delete = ON")
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
                raise Unavailable(
                    f"{self._path} was written by a newer version of this program: install "
                    "that version again, or start this one with another data_directory")
            for statement in itertools.chain.from_iterable(MIGRATIONS[seen:]):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction. `durable` ones survive a power cut (an fsync each); the others
        may lose their last few seconds, never more."""
        with self._write_lock:
            try:
                self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                self._note(error)
                # SQLite has rolled back by itself when the disk is full.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def flush(self) -> None:
        """Make what was written until now survive a power cut, too."""
        with self._write_lock:
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def scrub(self) -> None:
        """What was deleted is in the log beside the database until that is emptied: for secrets,
        and for what must not come back with a database whose log is lost. Not while somebody
        reads for long; then it goes with the next checkpoint."""
        try:
            with self._write_lock:
                self._writer.execute(f"PRAGMA busy_timeout = {SCRUB_MAX_S * 1000:.0f}")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._writer.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")
        except sqlite3.Error as error:
            self._note(error)
            log.info("What was deleted stays in the log of %s for now: %s", self._path, error)

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a query: read to the end at once, so no read holds up a checkpoint."""
        try:
            connection = self._readers.get(timeout=BUSY_TIMEOUT_S)
        except queue.Empty as error:
            raise Unavailable("The database is busy: try again soon") from error
        try:
            return connection.execute(sql, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._note(error)
            raise
        finally:
            self._readers.put(connection)

    def senseless(self, table: str, error: Exception) -> sqlite3.DatabaseError:
        """What to raise for a row that nothing can be made of."""
        broken = sqlite3.DatabaseError(f"a row of {table} makes no sense: {error}")
        broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        self._note(broken)
        return broken

    def _note(self, error: BaseException) -> None:
        """Have the next start look closely at a file that was found broken."""
        if not is_damage(error) or self.damage is not None:
            return
        self.damage = str(error)
        log.error("%s is damaged (%s): the next start rebuilds it", self._path, error)
        try:
            suspect_file(self._path).write_text(f"{error}\n", "utf-8")
        except OSError as trouble:
            log.warning("%s cannot be written: %s", suspect_file(self._path), trouble)

    def close(self) -> None:
        with self._write_lock:
            self._writer.close()
        for _ in range(READERS):
            self._readers.get(timeout=BUSY_TIMEOUT_S).close()


def _keep_private(path: Path) -> None:
    """Secrets are in it. SQLite gives the files beside it the mode of the database, but only
    when it makes them. Raises OSError when it cannot be made."""
    try:
        # Only where there is none: to close one that SQLite has open drops its locks.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        log.debug("%s is there already", path)
    real = path.resolve()
    for name in (real, *(real.with_name(real.name + end) for end in ("-wal", "-shm"))):
        try:
            if name.stat().st_mode & 0o077:
                name.chmod(0o600)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s holds secrets and others may read it: %s", name, error)
