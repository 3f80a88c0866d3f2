"""Finished recordings listed again where the store has lost them: looked for step by step.

Asked by `Adoption`. Another daemon's recordings are left alone, and so are files that a listed
recording has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..config import Settings
from ..errors import Conflict, RecordingNotFound
from ..mark import kept_mark
from ..models import RecordingStatus
from ..store import Store
from .base import SENSELESS
from .finished import Finished, search

log = logging.getLogger(__name__)


class Relisting:
    """`known`: whether a recording has a row or somebody at work."""

    def __init__(
        self, settings: Callable[[], Settings], store: Store, known: Callable[[str], bool]
    ) -> None:
        self._settings = settings
        self._store = store
        self._known = known
        # All that is found is listed, or only what was given up.
        self._all = False
        # Recordings that have neither a capture nor, as far as is known, a file.
        self._lost: set[str] = set()
        self._search: Iterator[Finished | None] | None = None
        # What was found and could not be stored yet.
        self._found: Finished | None = None
        # Directories that could not be read.
        self.unread: set[Path] = set()

    def begin(self, lost: set[str], everything: bool) -> None:
        """Look for the files of those that are lost, or for everything that there is. Raises
        sqlite3.Error."""
        self._lost, self._all = lost, everything
        if everything:
            former = self._store.recordings.find_output_directories()
            self._look_through(self._in_use() | {Path(name) for name in former})
        elif lost:
            roots = (self._store.recordings.get(one).output_directory for one in lost)
            self._look_through(Path(name) for name in roots if name)

    def _look_through(self, roots: Iterable[Path]) -> None:
        mark = kept_mark(self._settings().data_directory)
        self._search = search(roots, self.unread, mark)

    def _in_use(self) -> set[Path]:
        """Where finished files go now."""
        own = {channel.output_directory for channel in self._store.channels.find_all()}
        return {self._settings().output_directory, *(Path(name) for name in own if name)}

    def step(self) -> bool:
        """One directory or recording; False when there is nothing more. Raises sqlite3.Error,
        Unavailable: the same comes again."""
        if self._search is None and self.unread:
            again, self.unread = self.unread, set()
            self._look_through(again)
        if self._search is None:
            return False
        for found in (self._found,) if self._found else self._search:
            if found is not None:
                self._try_to_list(found)
            return True
        self._search = None
        # A directory of former times may be gone for good; one in use is waited for.
        self.unread &= self._in_use()
        return False

    def _try_to_list(self, found: Finished) -> None:
        """Kept for the next step while the store cannot be written: nobody comes by again."""
        self._found = found
        try:
            self._list_again(found)
        except (*SENSELESS, Conflict, RecordingNotFound) as error:
            log.error("%s cannot be listed again: %s", found.recording.id, error)
        self._found = None

    def _list_again(self, found: Finished) -> None:
        """A finished recording that has no row, or one that was given up, or whose gaps could
        not be read."""
        recording, rows = found.recording, self._store.recordings
        if recording.id in self._lost:
            self._lost.discard(recording.id)
            rows.change(recording.id, status=RecordingStatus.PROCESSING)
            rows.change(
                recording.id, status=RecordingStatus.COMPLETE, error=None, sums=recording.sums,
                files=recording.files, file_size_bytes=recording.file_size_bytes,
                ended_at=recording.ended_at, end_reason=recording.end_reason)
        elif not self._all:
            return
        elif not self._known(recording.id):
            if rows.have_any(recording.files):
                log.warning("%s is not listed again: its file is another recording's (%s)",
                            recording.id, recording.file_path)
                return
            rows.add(recording)
            rows.note_capture(
                recording.id, (self._settings().captures_directory / recording.id).is_dir())
        elif not self._lacks_gaps(recording.id):
            return
        rows.set_gaps(recording.id, found.course.gaps)
        rows.set_changes(recording.id, found.course.changes)
        log.info("%s is listed again: %s", recording.id, recording.file_path)

    def _lacks_gaps(self, recording_id: str) -> bool:
        row = self._store.recordings.get(recording_id)
        return row.status is RecordingStatus.COMPLETE and row.sums.gaps > 0 and not (
            self._store.recordings.find_gaps(recording_id))
