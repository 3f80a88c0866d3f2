"""The `recordings` table: rows to `Recording` and back, the list with its filters."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ..errors import Conflict, RecordingNotFound
from ..models import STATUS_MOVES, EndReason, Gap, GapCause, Recording, RecordingStatus, Sums
from .base import Database, need_time, to_text, to_time


@dataclass(frozen=True)
class Filter:
    """What a list of recordings is narrowed to; None means any."""

    channel_id: str | None = None
    platform: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def where(self) -> tuple[str, tuple[Any, ...]]:
        tests = (
            ("channel_id = ?", self.channel_id),
            ("platform = ?", self.platform),
            ("status = ?", self.status),
            ("started_at >= ?", to_text(self.since)),
            ("started_at <= ?", to_text(self.until)),
        )
        used = [(sql, value) for sql, value in tests if value is not None]
        sql = " AND ".join(sql for sql, _ in used)
        return (f" WHERE {sql}" if sql else ""), tuple(value for _, value in used)


class Recordings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound."""
        rows = self._database.rows("SELECT * FROM recordings WHERE id = ?", (recording_id,))
        if not rows:
            raise RecordingNotFound(recording_id)
        return _recording(rows[0])

    def find_page(self, wanted: Filter, limit: int, offset: int) -> list[Recording]:
        """Newest first; those of one moment by id, so that pages never overlap."""
        where, values = wanted.where()
        return [_recording(row) for row in self._database.rows(
            f"SELECT * FROM recordings{where} ORDER BY started_at DESC, id DESC LIMIT ? OFFSET ?",
            (*values, limit, offset))]

    def count(self, wanted: Filter) -> int:
        where, values = wanted.where()
        (row,) = self._database.rows(f"SELECT count(*) FROM recordings{where}", values)
        return int(row[0])

    def find_with_status(self, statuses: Iterable[RecordingStatus]) -> list[Recording]:
        """Oldest first."""
        names = tuple(statuses)
        marks = ", ".join("?" * len(names))
        return [_recording(row) for row in self._database.rows(
            f"SELECT * FROM recordings WHERE status IN ({marks}) ORDER BY started_at, id", names)]

    def used_bytes(self) -> dict[str, int]:
        """Bytes of finished files by channel id."""
        return {row[0]: row[1] for row in self._database.rows(
            "SELECT channel_id, sum(file_size_bytes) FROM recordings GROUP BY channel_id")}

    def add(self, recording: Recording) -> None:
        values = _stored(asdict(recording))
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self._database.write() as db:
            db.execute(
                f"INSERT INTO recordings ({names}) VALUES ({marks})", tuple(values.values()))

    def change(self, recording_id: str, durable: bool = True, **changes: Any) -> Recording:
        """Set some fields; the recording as it is then.

        Raises RecordingNotFound, and Conflict for a status that may not follow the present.
        """
        with self._database.write(durable) as db:
            row = db.execute(
                "SELECT * FROM recordings WHERE id = ?", (recording_id,)).fetchone()
            if row is None:
                raise RecordingNotFound(recording_id)
            recording = _recording(row)
            wanted = changes.get("status", recording.status)
            if wanted != recording.status and wanted not in STATUS_MOVES[recording.status]:
                raise Conflict(f"A recording that is {recording.status} cannot become {wanted}")
            values = _stored({**changes, **(
                {"sums": asdict(changes["sums"])} if "sums" in changes else {})})
            if values:
                assignments = ", ".join(f"{name} = ?" for name in values)
                db.execute(f"UPDATE recordings SET {assignments} WHERE id = ?",
                           (*values.values(), recording_id))
        return replace(recording, **changes)

    def find_gaps(self, recording_id: str) -> list[Gap]:
        """In the order of the broadcast."""
        return [
            Gap(need_time(row["started_at"]), row["offset_s"], row["duration_s"],
                row["segments"], GapCause(row["cause"]))
            for row in self._database.rows(
                "SELECT * FROM gaps WHERE recording_id = ? ORDER BY rowid", (recording_id,))
        ]

    def set_gaps(self, recording_id: str, gaps: list[Gap]) -> None:
        """Keep the ledger's gaps, which outlive the capture."""
        with self._database.write() as db:
            db.execute("DELETE FROM gaps WHERE recording_id = ?", (recording_id,))
            db.executemany(
                "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)",
                [(recording_id, to_text(g.started_at), g.offset_s, g.duration_s, g.segments,
                  g.cause.value) for g in gaps])

    def delete(self, recording_id: str) -> None:
        """Raises RecordingNotFound."""
        with self._database.write() as db:
            if not db.execute(
                "DELETE FROM recordings WHERE id = ?", (recording_id,)
            ).rowcount:
                raise RecordingNotFound(recording_id)


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """Columns for fields: the sums spread out, files as JSON, times as text."""
    columns = {}
    for name, value in values.items():
        if name == "sums":
            columns.update(value)
        elif name == "files":
            columns[name] = json.dumps(list(value))
        else:
            columns[name] = to_text(value) if isinstance(value, datetime) else value
    return columns


def _recording(row: sqlite3.Row) -> Recording:
    return Recording(
        id=row["id"],
        channel_id=row["channel_id"],
        channel_name=row["channel_name"],
        platform=row["platform"],
        title=row["title"],
        category=row["category"],
        quality=row["quality"],
        broadcast_id=row["broadcast_id"],
        status=RecordingStatus(row["status"]),
        started_at=need_time(row["started_at"]),
        ended_at=to_time(row["ended_at"]),
        end_reason=EndReason(row["end_reason"]) if row["end_reason"] else None,
        sums=Sums(row["segments"], row["captured_bytes"], row["captured_s"], row["gaps"],
                  row["gap_s"], row["parts"]),
        files=tuple(json.loads(row["files"])),
        file_size_bytes=row["file_size_bytes"],
        error=row["error"],
        filename_template=row["filename_template"],
        output_directory=row["output_directory"],
    )
