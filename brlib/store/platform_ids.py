"""The `platform_ids` table: what a platform calls its channels inside, kept by whoever asks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping

from .base import Database


class PlatformIds(MutableMapping[str, int]):
    """One platform's names and numbers, of any sign: read once, written through."""

    def __init__(self, database: Database, platform: str) -> None:
        self._database = database
        self._platform = platform
        self._lock = threading.Lock()
        self._read: dict[str, int] | None = None

    def _ids(self) -> dict[str, int]:
        """Under the lock."""
        if self._read is None:
            self._read = {row["name"]: row["number"] for row in self._database.rows(
                "SELECT name, number FROM platform_ids WHERE platform = ?", (self._platform,))}
        return self._read

    def __getitem__(self, name: str) -> int:
        with self._lock:
            return self._ids()[name]

    def __setitem__(self, name: str, number: int) -> None:
        with self._lock:
            if self._ids().get(name) == number:
                return
            with self._database.write(durable=False) as db:
                db.execute("INSERT OR REPLACE INTO platform_ids VALUES (?, ?, ?)",
                           (self._platform, name, number))
            self._ids()[name] = number

    def __delitem__(self, name: str) -> None:
        with self._lock:
            self._ids()[name]
            with self._database.write(durable=False) as db:
                db.execute("DELETE FROM platform_ids WHERE platform = ? AND name = ?",
                           (self._platform, name))
            del self._ids()[name]

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._ids()))

    def __len__(self) -> int:
        with self._lock:
            return len(self._ids())
