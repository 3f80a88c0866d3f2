"""The `platform_rests` table: until when a platform wants to be left alone.

By the wall clock: it is for the next process, whose monotonic clock is another. Used by the
supervisor's rota.
"""

from __future__ import annotations

from datetime import datetime

from .base import Database, to_text, to_time


class Rests:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, platform: str) -> datetime | None:
        """None where nothing was ever asked for."""
        rows = self._database.rows(
            "SELECT until FROM platform_rests WHERE platform = ?", (platform,))
        return to_time(rows[0]["until"]) if rows else None

    def keep(self, platform: str, until: datetime) -> None:
        with self._database.write(durable=False) as db:
            db.execute("INSERT OR REPLACE INTO platform_rests VALUES (?, ?)",
                       (platform, to_text(until)))
