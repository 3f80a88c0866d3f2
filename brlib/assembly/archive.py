"""Captures that go to the archive once their file is there, and those that are in it.

Made by `Assembly`. One thread takes them there one by one, so that a disk that is away, full or
hanging keeps nobody else waiting: a capture stays where it is, under a name of its own, and is
tried again every quarter of an hour. What is in the archive is its owner's: it is read, and never
changed or deleted.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import ledger, naming
from ..config import Settings
from ..disk import sync_names
from ..disks.calls import Calls
from ..errors import CaptureDamaged, RecorderError, RecordingNotFound, Unavailable
from ..identity import recall
from ..models import Recording, RecordingStatus, Sums
from ..store import Store
from ..workers import Worker
from .base import Suspended
from .captures import Captures
from .moving import move

log = logging.getLogger(__name__)

EVERY_S = 900.0
# Longer than any piece of the work takes a disk that answers.
HELD_UP_S = 120.0
# A disk that sleeps takes some seconds to wake up.
ASK_MAX_S = 10.0


class Unarchived(RecorderError):
    """Why a capture cannot go to the archive now."""


@dataclass(frozen=True)
class Held:
    """A capture that could not be moved: why, and when it is tried again (None: not by this
    process)."""

    reason: str
    due_s: float | None


class CaptureArchive:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, captures: Captures,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._captures = captures
        self._clock = clock
        self._held: dict[str, Held] = {}
        # Those whose rows could not be told yet.
        self._moved: set[str] = set()
        # Which capture is being moved, and since when nothing of it has.
        self._at: tuple[str, float] | None = None
        self._calls = Calls()
        self.worker = Worker("archive", self.step)

    def join(self, deadline_s: float) -> bool:
        end_s = time.monotonic() + deadline_s
        return all([self.worker.join(deadline_s),
                    self._calls.join(max(0.0, end_s - time.monotonic()))])

    # The thread.

    def step(self) -> float:
        """Move what waits, each at most once in a quarter of an hour; the seconds until the next
        time. Raises RecorderError, sqlite3.Error."""
        self._tell_moved()
        waiting = list(self._captures.find_leaving(ledger.ARCHIVE))
        names = {recording_id for recording_id, _ in waiting}
        self._held = {one: held for one, held in self._held.items() if one in names}
        for recording_id, path in waiting:
            held = self._held.get(recording_id)
            if held is not None and (held.due_s is None or self._clock() < held.due_s):
                continue
            try:
                self._take(recording_id, path)
            except Suspended:
                return 0.0
        due = [held.due_s for held in self._held.values() if held.due_s is not None]
        return max(0.0, min(due, default=self._clock() + EVERY_S) - self._clock())

    def _take(self, recording_id: str, path: Path) -> None:
        """Raises Suspended."""
        try:
            self._move(recording_id, path)
        except (RecorderError, OSError, sqlite3.Error, ValueError, OverflowError) as error:
            if not path.exists():
                log.info("%s: its capture is needed again, or is moved: %s", recording_id, error)
            elif isinstance(error, (CaptureDamaged, ValueError, OverflowError)):
                # Of an index that nothing can be made of.
                self._hold(recording_id, f"it is damaged and stays where it is: {error}", None)
            else:
                self._hold(recording_id, _said(error), self._clock() + EVERY_S)
        else:
            self._held = {one: held for one, held in self._held.items() if one != recording_id}
        finally:
            self._at = None

    def _hold(self, recording_id: str, reason: str, due_s: float | None) -> None:
        before = self._held.get(recording_id)
        if before is None or before.reason != reason:
            log.warning("%s: its capture cannot go to the archive: %s", recording_id, reason)
        self._held = {**self._held, recording_id: Held(reason, due_s)}

    def _going_on(self, recording_id: str) -> None:
        """Raises Suspended."""
        if self.worker.stopping.is_set():
            raise Suspended
        self._at = recording_id, self._clock()

    def _move(self, recording_id: str, path: Path) -> None:
        """Raises RecorderError, OSError, sqlite3.Error, Suspended."""
        self._going_on(recording_id)
        row = self._row(recording_id)
        if row is not None and row.status is not RecordingStatus.COMPLETE:
            # Its file is being made, or just about to be told of.
            return
        root = self._settings().archive_directory
        if root is None:
            if row is None or not self._captures.put_back(recording_id, path):
                raise Unarchived(f"archive_directory is not set, {path} is nobody's: set it, or "
                                 "remove that by hand")
            log.warning("%s: its capture is kept, there is no archive_directory any more",
                        recording_id)
            return
        if not root.is_dir():
            # It is not made: what is not mounted must not be filled on another disk.
            raise Unarchived(f"{root} is away: mount its disk or make that directory")
        # Without a row it was deleted meanwhile, or lost: the capture knows whose it is.
        target = _place(root, row if row is not None else recall(
            recording_id, ledger.Follower(path).news(), Sums()).recording)
        if not target.parent.is_dir():
            target.parent.mkdir()
            sync_names(root)
        gone = self._captures.directory(recording_id + ledger.DONE)
        left = move(path, target, gone, self._settings().min_free_space,
                    lambda: self._going_on(recording_id))
        if left is not None:
            self._captures.remove(left)
        log.info("%s: its capture is in the archive: %s", recording_id, target)
        self._moved.add(recording_id)
        self._tell_moved()

    def _row(self, recording_id: str) -> Recording | None:
        try:
            return self._store.recordings.get(recording_id)
        except RecordingNotFound:
            return None

    def _tell_moved(self) -> None:
        """They take no room of ours any more. Raises RecorderError, sqlite3.Error."""
        for recording_id in tuple(self._moved):
            self._store.recordings.note_capture(recording_id, False)
            self._moved.discard(recording_id)

    # What others ask.

    def find_source(self, recording: Recording) -> Path | None:
        """The capture to make its file of, here or in the archive; None: of its files. Raises
        CaptureDamaged, OSError."""
        here, wanted = self._captures.directory(recording.id), self._captures.is_source(recording)
        if wanted and self._captures.has(recording):
            return here
        try:
            return self.find(recording) or (here if wanted else None)
        except Unavailable as error:
            # Others wait for their turn behind this one.
            log.warning("%s: its capture in the archive is not looked for: %s",
                        recording.id, error)
            return here if wanted else None

    def find(self, recording: Recording) -> Path | None:
        """Its capture in the archive, if it holds what the recording counted. Raises Unavailable
        when the disk does not answer."""
        root = self._settings().archive_directory
        if root is None:
            return None
        path = _place(root, recording)
        return self._calls.run(str(root), lambda: self._checked(path, recording), ASK_MAX_S)

    @staticmethod
    def _checked(path: Path, recording: Recording) -> Path | None:
        try:
            if not (path / ledger.INDEX).exists():
                return None
            held = ledger.check(path).sums
        except (CaptureDamaged, OSError) as error:
            log.warning("%s: its capture in the archive cannot be used: %s", recording.id, error)
            return None
        counted = recording.sums
        if (held.segments, held.captured_bytes) != (counted.segments, counted.captured_bytes):
            log.warning("%s: %s is not the whole recording", recording.id, path)
            return None
        return path

    def problems(self) -> list[str]:
        """For health. Goes to no disk."""
        found = [
            f"the captures of {count} recordings wait for the archive: {reason}" if count > 1 else
            f"a capture waits for the archive: {reason}"
            for reason, count in Counter(held.reason for held in self._held.values()).items()]
        at = self._at
        if at is not None and (silent_s := self._clock() - at[1]) >= HELD_UP_S:
            found.append(f"the capture of {at[0]} has not moved for {silent_s:.0f} s: the disk of "
                         f"archive_directory ({self._settings().archive_directory}) may not answer")
        return found


def _place(root: Path, recording: Recording) -> Path:
    return root / naming.safe_name(recording.channel_name, "channel") / recording.id


def _said(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
