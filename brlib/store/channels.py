"""The `channels` table: rows to `Channel` and back."""

from __future__ import annotations

import sqlite3
from dataclasses import fields, replace
from typing import Any

from ..errors import ChannelNotFound, Conflict
from ..models import Channel
from .base import Database, need_time, to_text, to_time

COLUMNS = tuple(f.name for f in fields(Channel))
# In the order in which `to_channel` takes them.
SELECTED = ", ".join(COLUMNS)
_TIMES = ("live_since", "last_checked_at", "created_at")


class Channels:
    def __init__(self, database: Database) -> None:
        self._database = database
        # By id, as at the last look at all: the row, and what was made of it.
        self._known: dict[str, tuple[tuple[Any, ...], Channel]] = {}

    def find_all(self) -> list[Channel]:
        """Asked for every few seconds, and hardly ever does one change: of a row that is as it
        was the same object comes back."""
        known, found = self._known, dict[str, tuple[tuple[Any, ...], Channel]]()
        for row in self._database.rows(
                f"SELECT {SELECTED} FROM channels ORDER BY created_at, id"):
            values, before = tuple(row), known.get(row["id"])
            found[row["id"]] = before if before is not None and before[0] == values else (
                values, to_channel(row))
        self._known = found
        return [channel for _, channel in found.values()]

    def find_with_quota(self) -> list[Channel]:
        """Those that have a quota of their own."""
        return [to_channel(row) for row in self._database.rows(
            f"SELECT {SELECTED} FROM channels WHERE quota_bytes IS NOT NULL "
            "ORDER BY created_at, id")]

    def find_directories(self) -> list[str]:
        """The output directories that channels have of their own, each once."""
        return [str(row[0]) for row in self._database.rows(
            "SELECT DISTINCT output_directory FROM channels WHERE output_directory IS NOT NULL "
            "ORDER BY output_directory")]

    def get(self, channel_id: str) -> Channel:
        """Raises ChannelNotFound."""
        rows = self._database.rows(
            f"SELECT {SELECTED} FROM channels WHERE id = ?", (channel_id,))
        if not rows:
            raise ChannelNotFound(channel_id)
        return to_channel(rows[0])

    def add(self, channel: Channel, durable: bool = True) -> None:
        """Raises Conflict when the platform has a channel of that name here already."""
        marks = ", ".join("?" * len(COLUMNS))
        try:
            with self._database.write(durable) as db:
                db.execute(
                    f"INSERT INTO channels ({SELECTED}) VALUES ({marks})",
                    tuple(_stored(name, getattr(channel, name)) for name in COLUMNS),
                )
        except sqlite3.IntegrityError as error:
            raise Conflict(
                f"The {channel.platform} channel {channel.name} is watched already"
            ) from error

    def change(self, channel_id: str, durable: bool = True, **changes: Any) -> Channel:
        """Set some columns; the channel as it is then. Raises ChannelNotFound."""
        with self._database.write(durable) as db:
            row = db.execute(
                f"SELECT {SELECTED} FROM channels WHERE id = ?", (channel_id,)).fetchone()
            if row is None:
                raise ChannelNotFound(channel_id)
            changed = replace(to_channel(row), **changes)
            if changes:
                assignments = ", ".join(f"{name} = ?" for name in changes)
                values = tuple(_stored(name, value) for name, value in changes.items())
                db.execute(
                    f"UPDATE channels SET {assignments} WHERE id = ?", (*values, channel_id))
        return changed

    def delete(self, channel_id: str) -> None:
        """Raises ChannelNotFound."""
        with self._database.write() as db:
            if not db.execute("DELETE FROM channels WHERE id = ?", (channel_id,)).rowcount:
                raise ChannelNotFound(channel_id)


def _stored(name: str, value: Any) -> Any:
    return to_text(value) if name in _TIMES else value


def to_channel(row: sqlite3.Row) -> Channel:
    """From a row of `SELECTED`. By position: by name takes three times as long, and every
    list of channels and every look at the quotas reads all of them."""
    (identity, platform, name, display_name, url, quality, enabled, created_at, paused, priority,
     filename_template, output_directory, broadcast_id, live_since, stopped_broadcast_id,
     ended_edge, last_checked_at, *others) = row
    return Channel(
        identity, platform, name, display_name, url, quality, bool(enabled),
        need_time(created_at), bool(paused), priority, filename_template, output_directory,
        broadcast_id, to_time(live_since), stopped_broadcast_id, ended_edge,
        to_time(last_checked_at), *others)
