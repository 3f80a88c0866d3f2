"""The `api_keys` table. A key is shown once, when it is made; here only its SHA-256 is."""

from __future__ import annotations

import hashlib
import logging
import secrets
import sqlite3
import string
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..models import utc_now
from .base import Database, need_time, to_text, to_time

log = logging.getLogger(__name__)

FULL, READ = "full", "read"
PREFIX = "br_"
LENGTH = 40
_ALPHABET = string.ascii_letters + string.digits
# Use is noted at most this often: a poller must not wear out an SD card.
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class ApiKey:
    id: int
    label: str
    permission: str
    created_at: datetime
    last_used_at: datetime | None


class ApiKeys:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._unnoted = False

    def make(self, label: str, permission: str) -> tuple[ApiKey, str]:
        """A new entry, and its key in the only copy there will ever be."""
        key, now = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH)), utc_now()
        with self._database.write() as db:
            added = db.execute(
                "INSERT INTO api_keys (label, digest, permission, created_at) VALUES (?, ?, ?, ?)",
                (label, _digest(key), permission, to_text(now)))
            assert added.lastrowid is not None
            return ApiKey(added.lastrowid, label, permission, now, None), key

    def create(self, label: str, permission: str) -> str:
        """The key alone."""
        return self.make(label, permission)[1]

    def find_all(self) -> list[ApiKey]:
        return [to_key(row) for row in self._database.rows(
            "SELECT * FROM api_keys ORDER BY id")]

    def find_by_key(self, key: str) -> ApiKey | None:
        """The entry of a key as a caller presents it, its use noted; None: no such key."""
        rows = self._database.rows("SELECT * FROM api_keys WHERE digest = ?", (_digest(key),))
        if not rows:
            return None
        found, now = to_key(rows[0]), utc_now()
        used = found.last_used_at
        if used is None or now - used > _NOTED_EVERY:
            self._note_use(found.id, now)
        return found

    def _note_use(self, key_id: int, now: datetime) -> None:
        """Nobody is refused because it cannot be noted: with a full disk the API is needed."""
        try:
            with self._database.write(durable=False) as db:
                db.execute("UPDATE api_keys SET last_used_at = ? WHERE id = ?",
                           (to_text(now), key_id))
        except sqlite3.Error as error:
            level = logging.DEBUG if self._unnoted else logging.WARNING
            log.log(level, "The use of an API key cannot be noted: %s", error)
            self._unnoted = True
        else:
            self._unnoted = False

    def revoke(self, key_id: int) -> bool:
        """False when there is no such key."""
        with self._database.write() as db:
            found = db.execute("DELETE FROM api_keys WHERE id = ?", (key_id,)).rowcount
        self._database.scrub()
        return bool(found)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def to_key(row: sqlite3.Row) -> ApiKey:
    return ApiKey(row["id"], row["label"], row["permission"], need_time(row["created_at"]),
                  to_time(row["last_used_at"]))
