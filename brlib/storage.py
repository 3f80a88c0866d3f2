"""The disks: what recordings take, what is free, and deleting what is no longer wanted.

Asked by the supervisor before a recording starts, by health and by the API. Files go first
and the row goes last: after a crash in between the recording is still listed, and deleting
it again finds that its files are gone. The other way round nobody would know of the files.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .config import Settings, among_data
from .errors import Conflict, RecordingNotFound, Unavailable
from .models import Recording, RecordingStatus
from .naming import inside
from .rules import Retention, expired, quota_percent
from .store import Store

log = logging.getLogger(__name__)

OVER = (RecordingStatus.COMPLETE, RecordingStatus.FAILED)


class Undeletable(OSError):
    """Something of a recording could not be deleted; `freed_bytes` were, before that."""

    def __init__(self, message: str, freed_bytes: int) -> None:
        super().__init__(message)
        self.freed_bytes = freed_bytes


@dataclass(frozen=True)
class Cleanup:
    """The ids of the recordings that are gone, and the bytes that this really freed."""

    deleted: list[str]
    freed_bytes: int


class Storage:
    def __init__(self, settings: Callable[[], Settings], store: Store) -> None:
        self._settings = settings
        self._store = store
        self._stopping = threading.Event()
        self._last_error: str | None = None

    def prepare(self) -> None:
        """Make the directories and see which captures there are. Called once, before anything
        is recorded. Raises OSError where a directory cannot be written, Unavailable where
        finished files would go among the data."""
        if problem := among_data(self._settings().output_directory,
                                 self._settings().data_directory):
            raise Unavailable(f"output_directory {problem}: choose another")
        for directory in (self._settings().captures_directory, self._settings().output_directory):
            directory.mkdir(parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(f"{directory} cannot be written")
        self._store.recordings.note_captures(self._captures())

    def _captures(self) -> Iterator[str]:
        with os.scandir(self._settings().captures_directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name

    def stop(self) -> None:
        """Let a cleanup end with the recording it is at. Returns at once, idempotent."""
        self._stopping.set()

    def free_bytes(self) -> int:
        """The least free space of the file systems that a recording needs."""
        roots = (self._settings().captures_directory, self._settings().output_directory)
        return min(shutil.disk_usage(root).free for root in roots)

    def room_for_recording(self) -> bool:
        return self.free_bytes() >= self._settings().min_free_space

    def info(self, active: list[Recording]) -> dict[str, Any]:
        """The storage object of the API; `active` recordings as of this moment.

        Reads totals, no directory. Only asking how much is free goes to the disk, and waits
        as long as the system does when the output directory is on a share that hangs.
        """
        committed = {recording.id: recording.sums.captured_bytes for recording in active}
        by_channel = self._store.recordings.used_bytes(committed)
        used_bytes, quota_bytes = sum(by_channel.values()), self._settings().quota
        return {
            "total_used": used_bytes,
            "total_available": self._available_bytes(),
            "quota": quota_bytes,
            "quota_used_percent": quota_percent(used_bytes, quota_bytes),
            "by_channel": {channel: used for channel, used in by_channel.items() if used},
        }

    def _available_bytes(self) -> int:
        """Nothing, while the output directory cannot be asked: health says what is wrong."""
        try:
            free_bytes, error = shutil.disk_usage(self._settings().output_directory).free, None
        except OSError as problem:
            free_bytes, error = 0, str(problem)
        if error and error != self._last_error:
            log.warning("The free space for finished files is not known: %s", error)
        self._last_error = error
        return free_bytes

    def cleanup(self, now: datetime) -> Cleanup:
        """Delete what the retention rules say, and never more: complete recordings only, each
        looked at again when its turn comes. What cannot be deleted stays listed.

        Several at a time do no harm. Channel by channel, so that memory stays bounded.
        """
        deleted: list[str] = []
        freed_bytes = 0
        for recording_id in self._expired(now):
            if self._stopping.is_set():
                break
            try:
                freed_bytes += self.remove(recording_id, True, (RecordingStatus.COMPLETE,))
                deleted.append(recording_id)
            except (Conflict, RecordingNotFound) as error:
                log.info("%s is not cleaned up: %s", recording_id, error)
            except Undeletable as error:
                freed_bytes += error.freed_bytes
                log.warning("%s cannot be cleaned up: %s", recording_id, error)
        if deleted:
            log.info("Retention deleted %d recordings, %d bytes", len(deleted), freed_bytes)
        return Cleanup(deleted, freed_bytes)

    def _expired(self, now: datetime) -> Iterator[str]:
        """By the rules as they are when a channel's turn comes."""
        recordings = self._store.recordings
        for channel_id in recordings.find_channels(RecordingStatus.COMPLETE):
            settings = self._settings()
            retention = Retention(settings.retention_days, settings.retention_keep_latest)
            if retention != Retention():
                finished = recordings.find_ends(channel_id, RecordingStatus.COMPLETE)
                yield from expired(finished, retention, now)

    def remove(
        self, recording_id: str, with_file: bool, statuses: Collection[RecordingStatus] = OVER
    ) -> int:
        """Delete a recording, its row too; the bytes that this freed.

        Nobody can reprocess it meanwhile. Raises RecordingNotFound, Conflict when it has
        another status or is being deleted already, Undeletable.
        """
        with self._store.recordings.claimed(recording_id, statuses) as recording:
            freed_bytes = self.delete(recording, with_file)
            self._store.recordings.delete(recording_id)
        return freed_bytes

    def delete(self, recording: Recording, with_file: bool) -> int:
        """Remove a recording's files, if asked, and its capture, not its row; the bytes that
        this freed. Only files, and only inside its own output directory.

        Raises Undeletable; what comes behind the first trouble is left.
        """
        freed_bytes = 0
        try:
            if with_file:
                root = Path(recording.output_directory or self._settings().output_directory)
                for name in recording.files:
                    freed_bytes += _delete_file(Path(name), root)
            freed_bytes += _delete_tree(self._settings().captures_directory / recording.id)
        except OSError as error:
            raise Undeletable(str(error), freed_bytes) from error
        return freed_bytes


def _delete_file(path: Path, root: Path) -> int:
    try:
        size_bytes = path.lstat().st_size
        if not inside(path, root) or not path.is_file():
            raise OSError(f"{path} is no file inside {root} and is left alone")
        path.unlink()
    except FileNotFoundError:
        if not root.is_dir():
            # A share that is not mounted: the file may well be there.
            raise
        return 0
    _remove_empty(path.parent, root)
    return size_bytes


def _remove_empty(directory: Path, root: Path) -> None:
    try:
        while inside(directory, root):
            directory.rmdir()
            directory = directory.parent
    except OSError as error:
        log.debug("%s stays: %s", directory, error)


def _delete_tree(directory: Path) -> int:
    """A capture: a directory of files."""
    try:
        with os.scandir(directory) as entries:
            size_bytes = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except FileNotFoundError:
        return 0
    shutil.rmtree(directory)
    return size_bytes
