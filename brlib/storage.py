"""Storage: what recordings take, and deleting what is no longer wanted.

Commanded by the service and the API. Files go first and the row goes last: after a crash in
between the recording is still listed, and deleting it again finds that its files are gone.
The other way round nobody would know of the files. Whatever goes to a disk here is asked of
`Disks`, so that one that hangs keeps nobody waiting.
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

from . import sidecar
from .config import Settings, among_data
from .disks import Disks, NoAnswer
from .errors import ChannelNotFound, Conflict, RecordingNotFound, Unavailable
from .ledger import ARCHIVE
from .models import Recording, RecordingStatus
from .naming import inside
from .retention import Retention, expired, parse
from .rules import quota_percent
from .store import Store

log = logging.getLogger(__name__)

OVER = (RecordingStatus.COMPLETE, RecordingStatus.FAILED)
# A file of 100 GB takes a slow disk some seconds.
DELETE_MAX_S = 20.0


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


@dataclass(frozen=True)
class Doomed:
    """A recording that a cleanup would delete, why, and what it takes."""

    recording_id: str
    reason: str
    used_bytes: int


class Storage:
    def __init__(self, settings: Callable[[], Settings], store: Store, disks: Disks) -> None:
        self.disks = disks
        self._settings = settings
        self._store = store
        self._stopping = threading.Event()

    def prepare(self) -> None:
        """Make the directories and see which captures there are. Called once, before anything
        is recorded. Finished files may go to a share that does not answer: that is said, and
        streams are captured all the same.

        Raises OSError where a directory cannot be written, Unavailable where finished files
        would go among the data or the captures' disk does not answer.
        """
        settings = self._settings()
        captures, output = settings.captures_directory, settings.output_directory
        self.disks.ask(captures, lambda: _make(captures))
        try:
            self.disks.ask(output, lambda: _make_output(output, settings.data_directory))
        except NoAnswer as error:
            log.error("%s. Streams are captured meanwhile; no file can be finished there", error)
        self._store.recordings.note_captures(
            self.disks.ask(captures, lambda: _directories(captures)))

    def stop(self) -> None:
        """Let a cleanup end with the recording it is at. Returns at once, idempotent."""
        self._stopping.set()

    def info(self, active: list[Recording]) -> dict[str, Any]:
        """The storage object of the API but for the disks; `active` recordings as of this
        moment. Reads totals, no directory. Nothing is free on a disk that does not answer:
        health says what is wrong with it."""
        committed = {recording.id: recording.sums.captured_bytes for recording in active}
        by_channel = self._store.recordings.used_bytes(committed)
        used_bytes, quota_bytes = sum(by_channel.values()), self._settings().quota
        return {
            "total_used": used_bytes,
            "total_available": self.disks.free_bytes(
                str(self._settings().output_directory)) or 0,
            "quota": quota_bytes,
            "quota_used_percent": quota_percent(used_bytes, quota_bytes),
            "by_channel": {channel: used for channel, used in by_channel.items() if used},
        }

    def cleanup(self, now: datetime) -> Cleanup:
        """Delete what the retention rules say, and never more: complete recordings only, each
        looked at again when its turn comes. What cannot be deleted stays listed.

        Several at a time do no harm. Channel by channel, so that memory stays bounded.
        """
        deleted: list[str] = []
        freed_bytes = 0
        for recording_id, _ in self._expired(now):
            if self._stopping.is_set():
                break
            try:
                freed_bytes += self.remove(recording_id, True, (RecordingStatus.COMPLETE,))
                deleted.append(recording_id)
            except (Conflict, RecordingNotFound) as error:
                log.info("%s is not cleaned up: %s", recording_id, error)
            except NoAnswer as error:
                log.warning("%s is not cleaned up now: %s", recording_id, error)
            except Undeletable as error:
                freed_bytes += error.freed_bytes
                log.warning("%s cannot be cleaned up: %s", recording_id, error)
        if deleted:
            log.info("Retention deleted %d recordings, %d bytes", len(deleted), freed_bytes)
        return Cleanup(deleted, freed_bytes)

    def find_doomed(self, now: datetime) -> list[Doomed]:
        """What a cleanup would delete, the oldest of each channel first. Changes nothing."""
        found = []
        for recording_id, reason in self._expired(now):
            try:
                used_bytes = self._store.recordings.used_of(recording_id)
            except RecordingNotFound as error:
                log.debug("%s is gone already", error)
                continue
            found.append(Doomed(recording_id, reason, used_bytes))
        return found

    @property
    def by_age(self) -> bool:
        """Whether anything is deleted for its age."""
        channels = (parse(channel.retention).days for channel in self._store.channels.find_all()
                    if channel.retention is not None)
        return self._settings().retention_days is not None or any(channels)

    def _expired(self, now: datetime) -> Iterator[tuple[str, str]]:
        """Ids and why, by the rules as they are when a channel's turn comes."""
        recordings = self._store.recordings
        for channel_id in recordings.find_channels(RecordingStatus.COMPLETE):
            retention = self._retention(channel_id)
            if retention.deletes:
                finished = recordings.find_ends(channel_id, RecordingStatus.COMPLETE)
                reason = retention.sentence()
                yield from ((one, reason) for one in expired(finished, retention, now))

    def _retention(self, channel_id: str) -> Retention:
        """A channel's own, else the configuration's, for channels that are gone, too."""
        settings = self._settings()
        try:
            own = self._store.channels.get(channel_id).retention
        except ChannelNotFound:
            own = None
        return parse(own) if own is not None else Retention(
            settings.retention_days, settings.retention_keep_latest)

    def remove(
        self, recording_id: str, with_file: bool, statuses: Collection[RecordingStatus] = OVER
    ) -> int:
        """Delete a recording, its row too; the bytes that this freed.

        Nobody can reprocess it meanwhile. Raises RecordingNotFound, Conflict when it has
        another status or is being deleted already, Undeletable, NoAnswer when its disk hangs:
        what has begun by then is done once the disk answers.
        """
        def work() -> int:
            with self._store.recordings.claimed(recording_id, statuses) as recording:
                freed_bytes = self._delete(recording, with_file)
                self._store.recordings.delete(recording_id)
            return freed_bytes

        recording = self._store.recordings.get(recording_id)
        freed_bytes = self._ask(recording, with_file, work)
        if not with_file:
            self._disown(recording)
        return freed_bytes

    def _disown(self, recording: Recording) -> None:
        """Its files are to stay, also when the store is lost and listed again from them."""
        root = recording.output_directory or self._settings().output_directory
        try:
            self.disks.ask(root, lambda: sidecar.disown(recording.files, recording.id))
        except (OSError, Unavailable) as error:
            log.warning("%s: the .json beside its file cannot be changed: %s",
                        recording.id, error)

    def delete(self, recording: Recording, with_file: bool) -> int:
        """Remove a recording's files, if asked, and its capture, not its row; the bytes that
        this freed. Only files, and only inside its own output directory.

        A failed recording's capture is the only copy where no file of it is there: whoever
        wants to keep the file does not lose that one.

        Raises Undeletable; what comes behind the first trouble is left. Raises NoAnswer, and
        Conflict where a capture is the only copy.
        """
        return self._ask(recording, with_file, lambda: self._delete(recording, with_file))

    def _ask(self, recording: Recording, with_file: bool, work: Callable[[], int]) -> int:
        captures = self._settings().captures_directory
        self.disks.require(captures)
        root = recording.output_directory or self._settings().output_directory
        at_files = with_file or recording.status is RecordingStatus.FAILED
        return self.disks.ask(root if at_files else captures, work, DELETE_MAX_S)

    def _delete(self, recording: Recording, with_file: bool) -> int:
        freed_bytes = 0
        try:
            capture = self._settings().captures_directory / recording.id
            if with_file:
                root = Path(recording.output_directory or self._settings().output_directory)
                beside = sidecar.find_own(recording.files, recording.id)
                for path in (*map(Path, recording.files), *beside):
                    freed_bytes += _delete_file(path, root)
            elif recording.status is RecordingStatus.FAILED and capture.exists() and not any(
                    Path(name).exists() for name in recording.files):
                raise Conflict(
                    "Its capture is the only copy of it: make its file with POST "
                    f"/api/recordings/{recording.id}/reprocess first, or delete all of it with "
                    "delete_file=true")
            freed_bytes += _delete_tree(capture)
        except OSError as error:
            raise Undeletable(str(error), freed_bytes) from error
        return freed_bytes


def _make_output(output: Path, data: Path) -> None:
    if problem := among_data(output, data):
        raise Unavailable(f"output_directory {problem}: choose another")
    _make(output)


def _make(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(f"{directory} cannot be written")


def _directories(parent: Path) -> list[str]:
    """Of whose captures; one that waits for the archive takes its room here."""
    with os.scandir(parent) as entries:
        return [entry.name.removesuffix(ARCHIVE) for entry in entries
                if entry.is_dir(follow_symlinks=False)]


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
