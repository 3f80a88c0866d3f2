"""The list of recordings: filters, pages, counts. Asked through `Recordings`.

However many recordings there are, no request walks through them all: triggers keep how many
there are by channel and by day (`migrations`), and a page far down is reached day by day.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..models import RecordingStatus
from .base import Database, need_time, to_text
from .rows import SELECTED

# The offset from which on it pays to skip whole days.
FAR = 500


@dataclass(frozen=True)
class Filter:
    """What a list of recordings is narrowed to; None means any."""

    channel_id: str | None = None
    platform: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def where(self) -> tuple[str, tuple[Any, ...]]:
        return _where(*self._traits(), ("started_at >= ?", to_text(self.since)),
                      ("started_at <= ?", to_text(self.until)))

    def where_total(self) -> tuple[str, tuple[Any, ...]]:
        """For `recording_totals`: without the dates."""
        return _where(*self._traits())

    def where_day(self) -> tuple[str, tuple[Any, ...]]:
        """For `recording_days`: the days that are wanted whole."""
        return _where(*self._traits(), ("day > ?", _day(self.since)), ("day < ?", _day(self.until)))

    def _traits(self) -> tuple[tuple[str, str | None], ...]:
        return (("channel_id = ?", self.channel_id), ("platform = ?", self.platform),
                ("status = ?", self.status))

    @property
    def index(self) -> str:
        """The index that holds the fewest rows beside those wanted: SQLite has to guess."""
        if self.channel_id is not None:
            return "recordings_channel"
        if self.status not in (None, RecordingStatus.COMPLETE):
            return "recordings_status"
        if self.platform is not None:
            return "recordings_platform"
        return "recordings_newest" if self.status is None else "recordings_status"

    @property
    def by_days(self) -> bool:
        """Whether whole days are wanted, and of all channels: so it is that days are counted."""
        first, last = _day(self.since), _day(self.until)
        return self.channel_id is None and (first is None or last is None or first < last)

    @property
    def first(self) -> Filter | None:
        """What is wanted of the first day, from `since` to its end."""
        day = _day(self.since)
        return None if day is None else replace(self, until=_end(day))

    @property
    def last(self) -> Filter | None:
        """What is wanted of the last day, from its begin to `until`."""
        day = _day(self.until)
        return None if day is None else replace(self, since=need_time(f"{day}T00:00:00Z"))


def _where(*tests: tuple[str, str | None]) -> tuple[str, tuple[Any, ...]]:
    used = [(sql, value) for sql, value in tests if value is not None]
    sql = " AND ".join(sql for sql, _ in used)
    return (f" WHERE {sql}" if sql else ""), tuple(value for _, value in used)


def _day(moment: datetime | None) -> str | None:
    text = to_text(moment)
    return None if text is None else text[:10]


def _end(day: str) -> datetime:
    return need_time(f"{day}T23:59:59.999999Z")


class Listing:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: Filter, limit: int, offset: int) -> list[sqlite3.Row]:
        """Rows of `SELECTED`, newest first; those of one moment by id."""
        if offset >= FAR and wanted.by_days:
            nearer = self._nearer(wanted, offset)
            if nearer is None:
                return []
            wanted, offset = nearer
        where, values = wanted.where()
        return self._database.rows(
            f"SELECT {SELECTED} FROM recordings INDEXED BY {wanted.index}{where} "
            "ORDER BY started_at DESC, id DESC LIMIT ? OFFSET ?", (*values, limit, offset))

    def count(self, wanted: Filter) -> int:
        if wanted.since is None and wanted.until is None:
            where, values = wanted.where_total()
            return self._number(f"SELECT sum(n) FROM recording_totals{where}", values)
        if not wanted.by_days:
            return self._count_rows(wanted)
        where, values = wanted.where_day()
        days = self._number(f"SELECT sum(n) FROM recording_days{where}", values)
        return days + sum(self._count_rows(edge) for edge in (wanted.first, wanted.last) if edge)

    def _nearer(self, wanted: Filter, offset: int) -> tuple[Filter, int] | None:
        """The same place in the list, from the end of a day nearby. None: behind the end."""
        if wanted.last is not None:
            n = self._count_rows(wanted.last)
            if offset < n:
                return wanted, offset
            offset -= n
        where, values = wanted.where_day()
        for day, n in self._database.rows(
            f"SELECT day, sum(n) FROM recording_days{where} GROUP BY day ORDER BY day DESC",
            values
        ):
            if offset < n:
                return replace(wanted, until=_end(day)), offset
            offset -= n
        return None if wanted.first is None else (
            replace(wanted, until=wanted.first.until), offset)

    def _count_rows(self, wanted: Filter) -> int:
        where, values = wanted.where()
        return self._number(
            f"SELECT count(*) FROM recordings INDEXED BY {wanted.index}{where}", values)

    def _number(self, sql: str, values: tuple[Any, ...]) -> int:
        (row,) = self._database.rows(sql, values)
        return int(row[0] or 0)
