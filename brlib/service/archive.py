"""Recordings, active and finished, as the web commands them: stop, cancel, delete, file.

Made by `Service`. An active recording knows more of itself than the store: it is asked first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from .. import chapters, naming
from ..assembly import Assembly, NothingLeft
from ..chapters import Chapter
from ..config import Settings
from ..errors import Conflict, NotFound, Unavailable
from ..models import EndReason, Gap, Recording, RecordingStatus
from ..recorder import ActiveRecording, Recorder
from ..storage import Storage
from ..store import Store
from ..viewing import Viewing
from .base import STOP_MAX_S

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Archive:
    settings: Callable[[], Settings]
    store: Store
    recorder: Recorder
    assembly: Assembly
    storage: Storage
    viewing: Viewing

    def get(self, recording_id: str) -> Recording:
        """As of this moment. Raises RecordingNotFound."""
        active = self._find_running(recording_id)
        if active is None:
            return self.store.recordings.get(recording_id)
        return replace(
            active.now(), protected=self.store.recordings.is_protected(recording_id))

    def change(self, recording_id: str, **changes: bool) -> Recording:
        """Set whether it is protected. Raises RecordingNotFound, Conflict while it is being
        deleted."""
        if changes:
            self.store.recordings.change(recording_id, **changes)
        return self.get(recording_id)

    def _find_running(self, recording_id: str) -> ActiveRecording | None:
        """The active recording behind an id, while it knows more than the store."""
        active = self.recorder.find(recording_id)
        if active is not None and active.begun.is_set() and active.recording.active:
            return active
        return None

    def gaps(self, recording_id: str) -> list[Gap]:
        """Raises RecordingNotFound."""
        active = self._find_running(recording_id)
        if active is not None:
            return list(active.course().gaps)
        self.store.recordings.get(recording_id)
        return self.store.recordings.find_gaps(recording_id)

    def chapters(self, recording_id: str) -> list[Chapter]:
        """Raises RecordingNotFound."""
        active = self._find_running(recording_id)
        if active is not None:
            return chapters.of(active.course(), active.sums.captured_s)
        recording = self.store.recordings.get(recording_id)
        return chapters.of(
            self.store.recordings.find_course(recording_id), recording.sums.captured_s)

    def stop(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound, Conflict."""
        active = self.recorder.get(recording_id)
        active.stop()
        active.finished.wait(STOP_MAX_S)
        return self.get(recording_id)

    def cancel(self, recording_id: str) -> Recording:
        """End an active recording and discard it; the recording as it was last.

        Raises RecordingNotFound, Conflict when it is over or protected.
        """
        active = self.recorder.get(recording_id)
        if self.store.recordings.is_protected(recording_id):
            raise Conflict("The recording is protected: take that back first")
        active.stop(EndReason.CANCELLED)
        active.finished.wait(STOP_MAX_S)
        if active.recording.end_reason not in (None, EndReason.CANCELLED):
            raise Conflict("The recording ended by itself just now: delete it")
        return active.now()

    def ended(self, recording: Recording) -> None:
        """What is to become of a recording whose capture is closed."""
        if recording.end_reason is EndReason.CANCELLED:
            self.discard(recording)
        else:
            self.assembly.finish(recording)

    def discard(self, recording: Recording) -> None:
        """Drop a cancelled recording and all that it left; what cannot be done now is done at
        the next start."""
        if not self.assembly.drop(recording.id, STOP_MAX_S):
            log.warning("%s is still being fed: it is discarded at the next start", recording.id)
            return
        try:
            self.storage.delete(recording, with_file=True)
            self._ask(recording, lambda: self.assembly.plans.clear_place(recording))
        except (OSError, Unavailable) as error:
            log.error("%s cannot be discarded now: %s", recording.id, error)
            return
        self.store.recordings.delete(recording.id)
        self.viewing.forget(recording.id)
        log.info("%s was cancelled and discarded", recording.id)

    def discard_left(self) -> None:
        """Those that an earlier process could not discard."""
        for recording in self.store.recordings.find_with_status([RecordingStatus.PROCESSING]):
            if recording.end_reason is EndReason.CANCELLED:
                self.discard(recording)

    def reprocess(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound, Conflict, Unavailable when its disk does not answer."""
        recording = self.store.recordings.get(recording_id)
        try:
            return self._ask(recording, lambda: self.assembly.reprocess(recording))
        except NothingLeft:
            # Asked last: it may be on a disk that sleeps.
            if not self.assembly.is_archived(recording):
                raise
        return self._ask(recording, lambda: self.assembly.reprocess(recording, archived=True))

    def _ask(self, recording: Recording, work: Callable[[], T]) -> T:
        """What is done where its files are, if that disk answers. Raises NoAnswer."""
        disks = self.storage.disks
        disks.require(self.settings().captures_directory)
        return disks.ask(recording.output_directory or self.settings().output_directory, work)

    def watched(self, recording_id: str) -> Recording:
        """For whoever reads its media. Raises RecordingNotFound, NoAnswer."""
        recording = self.get(recording_id)
        self.storage.disks.require(self.settings().captures_directory)
        if not recording.active:
            self.storage.disks.require(
                recording.output_directory or self.settings().output_directory)
        return recording

    def delete(self, recording_id: str, with_file: bool) -> None:
        """Raises RecordingNotFound, Conflict while it is active or being processed, Unavailable
        when its disk does not answer."""
        recording = self.get(recording_id)
        if recording.active or recording.status is RecordingStatus.PROCESSING:
            raise Conflict(f"The recording is {recording.status}: stop it first"
                           if recording.active else "The recording is being processed")
        try:
            self.storage.remove(recording_id, with_file)
        except OSError as error:
            raise Conflict(f"Its files could not be deleted: {error}") from error
        self.viewing.forget(recording_id)

    def file(self, recording_id: str, part: int) -> Path:
        """A finished file, counted from 1, inside its output directory and nowhere else.

        Raises RecordingNotFound, NotFound, Unavailable when its disk does not answer.
        """
        recording = self.get(recording_id)
        # While a file is built again the former one is there.
        if recording.active or not recording.files:
            over = recording.status in (RecordingStatus.COMPLETE, RecordingStatus.FAILED)
            raise NotFound("The recording has no file" if over else (
                f"There is no file yet: the recording is {recording.status}; "
                "playlist.m3u8 shows what there is"))
        if part > len(recording.files):
            raise NotFound(f"The recording has {len(recording.files)} files")
        path = Path(recording.files[part - 1])
        root = Path(recording.output_directory or self.settings().output_directory)
        if not self._ask(recording, lambda: naming.inside(path, root)):
            raise Unavailable(f"The file is not below {root} any more")
        return path
