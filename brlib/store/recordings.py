"""The `recordings` table: reading and changing recordings, their gaps, what they take."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from ..errors import Conflict, RecordingNotFound
from ..models import ACTIVE, STATUS_MOVES, Change, Course, Gap, Recording, RecordingStatus
from .base import Database, need_time, to_text
from .listing import Filter as Filter
from .listing import Listing
from .rows import SELECTED, to_change, to_columns, to_gap, to_recording


class Recordings:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._listing = Listing(database)
        # Asked and added to inside write transactions, as statuses are.
        self._claimed: set[str] = set()

    def get(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound."""
        rows = self._database.rows(
            f"SELECT {SELECTED} FROM recordings WHERE id = ?", (recording_id,))
        if not rows:
            raise RecordingNotFound(recording_id)
        return self._recording(rows[0])

    def _recording(self, row: sqlite3.Row) -> Recording:
        try:
            return to_recording(row)
        except (ValueError, TypeError) as error:
            raise self._database.senseless("recordings", error) from error

    def find_page(self, wanted: Filter, limit: int, offset: int) -> list[Recording]:
        """Newest first; those of one moment by id, so that pages never overlap."""
        return [self._recording(row) for row in self._listing.page(wanted, limit, offset)]

    def count(self, wanted: Filter) -> int:
        return self._listing.count(wanted)

    def find_output_directories(self) -> set[str]:
        """Where any of them has its files, or would have."""
        return {row[0] for row in self._database.rows(
            "SELECT DISTINCT output_directory FROM recordings "
            "WHERE output_directory IS NOT NULL")}

    def have_any(self, files: Iterable[str]) -> bool:
        """Whether one of these files is a recording's."""
        return any(self._database.rows(
            "SELECT 1 FROM recording_files WHERE path = ?", (path,)) for path in files)

    def find_protected_files(self, but_of: str) -> list[str]:
        """The files of other recordings than this that nothing may take the place of."""
        return [row[0] for row in self._database.rows(
            "SELECT path FROM recording_files JOIN recordings ON id = recording_id "
            "WHERE protected AND id <> ?", (but_of,))]

    def find_with_status(self, statuses: Iterable[RecordingStatus]) -> list[Recording]:
        """Oldest first. All of them at once: for those that something is done with now."""
        names = tuple(statuses)
        marks = ", ".join("?" * len(names))
        return [self._recording(row) for row in self._database.rows(
            f"SELECT {SELECTED} FROM recordings WHERE status IN ({marks}) "
            "ORDER BY started_at, id", names)]

    def find_channels(self, status: RecordingStatus) -> list[str]:
        """Ids of the channels, deleted ones too, that have recordings with a status."""
        return [row[0] for row in self._database.rows(
            "SELECT DISTINCT channel_id FROM recording_totals WHERE status = ?", (status,))]

    def find_ends(self, channel_id: str, status: RecordingStatus) -> list[tuple[str, datetime]]:
        """Ids and ends of a channel's recordings with a status that are not protected, the
        latest end first."""
        return [(row[0], need_time(row[1])) for row in self._database.rows(
            "SELECT id, coalesce(ended_at, started_at) AS ended FROM recordings "
            "INDEXED BY recordings_channel WHERE channel_id = ? AND status = ? "
            "AND NOT protected ORDER BY ended DESC, id DESC", (channel_id, status))]

    def find_oldest(self, channel_id: str | None, limit: int) -> list[str]:
        """Ids of complete recordings that are not protected, of a channel or (None) of all,
        the earliest end first: what may go where room is wanted."""
        own = "INDEXED BY recordings_channel WHERE channel_id = ? AND"
        common = "INDEXED BY recordings_status WHERE"
        return [row[0] for row in self._database.rows(
            f"SELECT id FROM recordings {own if channel_id else common} status = ? "
            "AND NOT protected AND used_bytes > 0 "
            "ORDER BY coalesce(ended_at, started_at), id LIMIT ?",
            (*([channel_id] if channel_id else []), RecordingStatus.COMPLETE, limit))]

    def find_with_files(self, after_id: str, limit: int) -> list[Recording]:
        """Complete ones that have files, by their ids from behind this one on."""
        return [self._recording(row) for row in self._database.rows(
            f"SELECT {SELECTED} FROM recordings WHERE id > ? AND status = ? AND files <> '[]' "
            "ORDER BY id LIMIT ?", (after_id, RecordingStatus.COMPLETE, limit))]

    def note_files(self, seen: Recording, size_bytes: int, error: str | None) -> bool:
        """What there is of its files now; False when it is not any more as it was seen."""
        with self._database.write() as db:
            return bool(db.execute(
                "UPDATE recordings SET file_size_bytes = ?, error = ? WHERE id = ? AND "
                "status = ? AND files = ? AND file_size_bytes = ?",
                (size_bytes, error, seen.id, RecordingStatus.COMPLETE,
                 json.dumps(list(seen.files)), seen.file_size_bytes)).rowcount)

    def used_of(self, recording_id: str) -> int:
        """Bytes of its files and its capture. Raises RecordingNotFound."""
        rows = self._database.rows(
            "SELECT used_bytes FROM recordings WHERE id = ?", (recording_id,))
        if not rows:
            raise RecordingNotFound(recording_id)
        return int(rows[0][0])

    def is_protected(self, recording_id: str) -> bool:
        """False, too, for one whose row could not be written yet."""
        return any(row[0] for row in self._database.rows(
            "SELECT protected FROM recordings WHERE id = ?", (recording_id,)))

    def used_bytes(self, committed: Mapping[str, int] | None = None) -> dict[str, int]:
        """Bytes of finished files and of captures, by channel id. `committed`: what active
        recordings (by id) have captured, where that is known better than from their rows."""
        committed, used = committed or {}, dict[str, int]()
        # One statement: a recording that ends just now is counted once.
        for row in self._database.rows(
            "SELECT NULL, channel_id, sum(used_bytes) FROM recording_totals GROUP BY channel_id "
            "UNION ALL SELECT id, channel_id, captured_bytes FROM recordings "
            "INDEXED BY recordings_status WHERE status IN (?, ?)", ACTIVE
        ):
            recording_id, channel_id, size_bytes = row
            used[channel_id] = used.get(channel_id, 0) + committed.get(recording_id, size_bytes)
        return used

    def add(self, recording: Recording) -> None:
        """With a capture: that is how a recording begins."""
        values = {**to_columns(asdict(recording)), "has_capture": True}
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self._database.write() as db:
            db.execute(
                f"INSERT INTO recordings ({names}) VALUES ({marks})", tuple(values.values()))
            _own(db, replace(recording, files=()), recording.files)

    def change(self, recording_id: str, durable: bool = True, **changes: Any) -> Recording:
        """Set some fields; the recording as it is then. Files that another recording has
        are no longer the other's.

        Raises RecordingNotFound, and Conflict for a status that may not follow the present
        or while it is being deleted.
        """
        with self._database.write(durable) as db:
            recording = _get(db, recording_id)
            if recording_id in self._claimed and "protected" in changes:
                raise Conflict("The recording is being deleted")
            wanted = changes.get("status", recording.status)
            if wanted != recording.status:
                self._check_move(recording, wanted)
            values = to_columns({**changes, **(
                {"sums": asdict(changes["sums"])} if "sums" in changes else {})})
            if values:
                assignments = ", ".join(f"{name} = ?" for name in values)
                db.execute(f"UPDATE recordings SET {assignments} WHERE id = ?",
                           (*values.values(), recording_id))
            _own(db, recording, changes.get("files", recording.files))
        return replace(recording, **changes)

    def _check_move(self, recording: Recording, wanted: RecordingStatus) -> None:
        if recording.id in self._claimed:
            raise Conflict("The recording is being deleted")
        if wanted not in STATUS_MOVES[recording.status]:
            raise Conflict(f"A recording that is {recording.status} cannot become {wanted}")

    def note_capture(self, recording_id: str, on_disk: bool) -> None:
        """Whether its capture is on the disk and counts as used. As durable as the next
        change of state."""
        with self._database.write(durable=False) as db:
            db.execute("UPDATE recordings SET has_capture = ? WHERE id = ?",
                       (on_disk, recording_id))

    def note_captures(self, on_disk: Iterable[str]) -> None:
        """The ids of all the captures on the disk, as found at a start."""
        with self._database.write(durable=False) as db:
            db.execute("CREATE TEMP TABLE captures (id TEXT PRIMARY KEY) WITHOUT ROWID")
            db.executemany("INSERT OR IGNORE INTO captures VALUES (?)", ((i,) for i in on_disk))
            db.execute("UPDATE recordings SET has_capture = 0 "
                       "WHERE has_capture AND id NOT IN (SELECT id FROM captures)")
            db.execute("UPDATE recordings SET has_capture = 1 "
                       "WHERE NOT has_capture AND id IN (SELECT id FROM captures)")
            db.execute("DROP TABLE captures")

    @contextmanager
    def claimed(
        self, recording_id: str, statuses: Collection[RecordingStatus]
    ) -> Iterator[Recording]:
        """A recording for whoever deletes it: meanwhile it keeps its status and nobody else
        claims it. Raises RecordingNotFound, and Conflict when it is claimed, is protected or
        has another status than those."""
        with self._database.write(durable=False) as db:
            recording = _get(db, recording_id)
            if recording_id in self._claimed:
                raise Conflict("The recording is being deleted")
            if recording.status not in statuses:
                raise Conflict(f"The recording is {recording.status}")
            if recording.protected:
                raise Conflict("The recording is protected: take that back first")
            self._claimed.add(recording_id)
        try:
            yield recording
        finally:
            self._claimed.discard(recording_id)

    def find_gaps(self, recording_id: str) -> list[Gap]:
        """In the order of the broadcast."""
        return [
            to_gap(row) for row in self._database.rows(
                "SELECT * FROM gaps WHERE recording_id = ? ORDER BY rowid", (recording_id,))
        ]

    def set_gaps(self, recording_id: str, gaps: Sequence[Gap]) -> None:
        """Keep the ledger's gaps, which outlive the capture."""
        with self._database.write() as db:
            db.execute("DELETE FROM gaps WHERE recording_id = ?", (recording_id,))
            db.executemany(
                "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)",
                [(recording_id, to_text(g.started_at), g.offset_s, g.duration_s, g.segments,
                  g.cause.value) for g in gaps])

    def find_course(self, recording_id: str) -> Course:
        return Course(tuple(self.find_gaps(recording_id)), tuple(
            to_change(row) for row in self._database.rows(
                "SELECT * FROM changes WHERE recording_id = ? ORDER BY rowid", (recording_id,))))

    def set_changes(self, recording_id: str, changes: Sequence[Change]) -> None:
        """Keep the ledger's notes of title and category, which outlive the capture."""
        with self._database.write() as db:
            db.execute("DELETE FROM changes WHERE recording_id = ?", (recording_id,))
            db.executemany("INSERT INTO changes VALUES (?, ?, ?, ?)", [
                (recording_id, one.offset_s, one.key, one.value) for one in changes])

    def delete(self, recording_id: str) -> None:
        """Raises RecordingNotFound."""
        with self._database.write() as db:
            recording = _get(db, recording_id)
            _own(db, recording, ())
            db.execute("DELETE FROM recordings WHERE id = ?", (recording_id,))


def _get(db: sqlite3.Connection, recording_id: str) -> Recording:
    row = db.execute(
        f"SELECT {SELECTED} FROM recordings WHERE id = ?", (recording_id,)).fetchone()
    if row is None:
        raise RecordingNotFound(recording_id)
    return to_recording(row)


def _own(db: sqlite3.Connection, recording: Recording, files: tuple[str, ...]) -> None:
    """Give a recording these files in place of those it has. A path has one owner: whoever
    deletes an old recording must not delete the file that a later one has put there."""
    if files == recording.files:
        return
    db.executemany("DELETE FROM recording_files WHERE path = ?",
                   [(path,) for path in recording.files])
    for path in files:
        for (owner,) in db.execute(
                "SELECT recording_id FROM recording_files WHERE path = ?", (path,)).fetchall():
            left = [name for name in _get(db, owner).files if name != path]
            db.execute(
                "UPDATE recordings SET files = ?, file_size_bytes = "
                "CASE WHEN ? THEN file_size_bytes ELSE 0 END WHERE id = ?",
                (json.dumps(left), bool(left), owner))
        db.execute("INSERT OR REPLACE INTO recording_files VALUES (?, ?)", (path, recording.id))
