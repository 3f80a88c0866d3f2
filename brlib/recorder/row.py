"""The row of an active recording. The capture is what counts: while the store fails it goes on,
and the row follows as soon as it can be written.

Used by `ActiveRecording`, under its lock.
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace
from typing import Any

from ..errors import RecordingNotFound, Unavailable
from ..models import Gap, Recording
from ..store.recordings import Recordings

log = logging.getLogger(__name__)


class Row:
    """`stored`: it is there already, an earlier process began it."""

    def __init__(self, recordings: Recordings, stored: bool) -> None:
        self._recordings = recordings
        self._stored = stored
        self._error: str | None = None

    def change(self, recording: Recording, durable: bool = True, **changes: Any) -> Recording:
        """Set some fields; the recording as it is then. A row that is not there is made.

        Raises sqlite3.Error, Conflict for a status that may not follow.
        """
        made = replace(recording, **changes)
        if not self._stored and self._added(made):
            return made
        try:
            return self._recordings.change(recording.id, durable=durable, **changes)
        except RecordingNotFound:
            log.warning("%s: its row is gone and is made again", recording.id)
        self._recordings.add(made)
        return made

    def keep(self, recording: Recording, durable: bool = True, **changes: Any) -> Recording:
        """The same, but a store that fails is told of once and left for later."""
        try:
            changed = self.change(recording, durable, **changes)
        except (sqlite3.Error, Unavailable) as error:
            if str(error) != self._error:
                log.warning("%s: its row cannot be written and will be later: %s",
                            recording.id, error)
            self._error = str(error)
            return replace(recording, **changes)
        self._error = None
        return changed

    def set_gaps(self, recording: Recording, gaps: list[Gap]) -> None:
        """They belong to a row. Raises sqlite3.Error."""
        if not self._stored:
            self._added(recording)
        self._recordings.set_gaps(recording.id, gaps)

    def _added(self, recording: Recording) -> bool:
        """False when it is there: a commit that seems to fail can have been none the less."""
        try:
            self._recordings.add(recording)
        except sqlite3.IntegrityError:
            self._stored = True
            return False
        self._stored = True
        return True
