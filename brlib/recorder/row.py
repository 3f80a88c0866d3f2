"""The row of an active recording, and the recording as it is. The capture is what counts: while
the store fails it goes on, and the row follows as soon as it can be written.

Used by `ActiveRecording` and its `Ending`; commands come in other threads than its own.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import replace
from typing import Any

from ..errors import RecordingNotFound, Unavailable
from ..models import Course, Gap, Recording
from ..store.recordings import Recordings

log = logging.getLogger(__name__)


class Row:
    """`stored`: it is there already, an earlier process began it. `lock` for who looks before
    a change."""

    def __init__(self, recordings: Recordings, recording: Recording, stored: bool) -> None:
        self.recording = recording
        self.lock = threading.RLock()
        self._recordings = recordings
        self._stored = stored
        self._error: str | None = None

    def change(self, durable: bool = True, **changes: Any) -> None:
        """Set some fields. A row that is not there is made.

        Raises sqlite3.Error, Unavailable, Conflict for a status that may not follow.
        """
        with self.lock:
            made = replace(self.recording, **changes)
            if self._stored or not self._added(made):
                made = self._written(made, durable, changes)
            self.recording = made

    def _written(self, made: Recording, durable: bool, changes: dict[str, Any]) -> Recording:
        try:
            return self._recordings.change(made.id, durable=durable, **changes)
        except RecordingNotFound:
            log.warning("%s: its row is gone and is made again", made.id)
        self._recordings.add(made)
        return made

    def keep(self, durable: bool = True, **changes: Any) -> None:
        """The same, but a store that fails is told of once and left for later."""
        with self.lock:
            try:
                self.change(durable, **changes)
            except (sqlite3.Error, Unavailable) as error:
                if str(error) != self._error:
                    log.warning("%s: its row cannot be written and will be later: %s",
                                self.recording.id, error)
                self._error = str(error)
                self.recording = replace(self.recording, **changes)
            else:
                self._error = None

    def set_course(self, gaps: list[Gap], course: Course) -> None:
        """They belong to a row. Raises sqlite3.Error, Unavailable."""
        with self.lock:
            if not self._stored:
                self._added(self.recording)
            self._recordings.set_gaps(self.recording.id, gaps)
            self._recordings.set_changes(self.recording.id, course.changes)

    def _added(self, recording: Recording) -> bool:
        """False when it is there: a commit that seems to fail can have been none the less."""
        try:
            self._recordings.add(recording)
        except sqlite3.IntegrityError:
            self._stored = True
            return False
        self._stored = True
        return True
