"""One recording's assembly, from the first try to the last: what it knows and tells.

Made and run by `Assembly`; a feed's `Task`.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from .. import sidecar
from ..errors import CaptureDamaged, ChannelNotFound, RecorderError, Unavailable
from ..events import EventBus, about_recording
from ..models import Course, Recording
from ..sidecar import Sidecar
from ..store import Store
from .base import AssemblyFailed, Finished, Suspended

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 1.0
# What there is to do takes moments, or says meanwhile that it goes on.
HELD_UP_S = 120.0
STORE_RETRY_S = 5.0
# A disk that was full or away is looked at so often, and tried at the latest after so long.
DISK_LOOK_S = 3.0
DISK_WAIT_MAX_S = 600.0
# What a finished file needs at least, of its capture.
ROOM_SHARE = 0.9
# Of the size that a file had when the disk was full: what has to be free for another try.
MORE_SHARE = 1.05
T = TypeVar("T")


class Job:
    def __init__(
        self, recording: Recording, store: Store, bus: EventBus, *, closed: bool, live: bool,
        daemon: str | None = None,
    ) -> None:
        """`daemon`: the mark for the `.json` beside its file."""
        self.recording = recording
        self.live = live
        # Set once the capture is closed: from then on tries are counted.
        self.closed = threading.Event()
        self.stop = threading.Event()
        # Set when no thread works at it any more.
        self.over = threading.Event()
        self._store = store
        self._bus = bus
        self._daemon = daemon
        # Of its capture, in the file that is being made.
        self.fed_bytes = 0
        # Encoders that failed at it and why, and whose turn it is among those that wait.
        self.passed_over: dict[str, str] = {}
        self.doubted: set[str] = set()
        self.rank: tuple[int, float, str] = (0, 0.0, recording.id)
        self._told_s = 0.0
        self._moved_s = time.monotonic()
        self._resting = False
        # What its disk is waited for with, in words for a person.
        self.trouble: str | None = None
        # Set by whatever ends a rest of a recording that still runs.
        self._woken = threading.Event()
        if closed:
            self.close(recording)

    def close(self, recording: Recording) -> None:
        """The capture is closed; the row as it is now."""
        self.recording = recording
        self.closed.set()
        self._woken.set()

    def let_go(self) -> None:
        """Ask to end; returns at once, idempotent."""
        self.stop.set()
        self._woken.set()

    def until_closed(self) -> None:
        """Raises Suspended."""
        while not self.closed.wait(0.5):
            self.moved()
            if self.stop.is_set():
                raise Suspended

    # Tries.

    def until_finished(
        self, attempt: Callable[[], Finished], tries: int, rests_s: tuple[float, ...]
    ) -> Finished:
        """Try until it is done. While the recording runs a failure costs nothing, as the next
        try begins at the first segment again. Afterwards there are `tries`.

        Raises RecorderError, sqlite3.Error, Suspended.
        """
        failures = 0
        while True:
            was_closed = self.closed.is_set()
            try:
                return attempt()
            except (RecorderError, sqlite3.Error) as error:
                self.fed_bytes = 0
                if was_closed and isinstance(error, AssemblyFailed) and error.of_disk:
                    self._wait_for_disk(error)
                    continue
                failures += 1
                if was_closed and (failures >= tries or _hopeless(error)):
                    raise
                log.warning("%s: assembly failed, to be tried again: %s",
                            self.recording.id, error)
            if not was_closed and self.closed.is_set():
                failures = 0
            else:
                self._rest(rests_s[min(failures, len(rests_s)) - 1])

    def _wait_for_disk(self, error: AssemblyFailed) -> None:
        """Until it may be well again: no try is spent on a disk that is full, read-only or away.
        Raises Suspended."""
        if self.trouble != str(error):
            log.warning("%s: its file waits for the disk: %s", self.recording.id, error)
            self.trouble = str(error)
            self.kept_trying(lambda: self._store.recordings.change(
                self.recording.id, error=self.trouble))
        until_s = time.monotonic() + DISK_WAIT_MAX_S
        self._rest(DISK_LOOK_S)
        while self._fills(error.made_bytes) or (
                time.monotonic() < until_s and not self._disk_looks_well()):
            self._rest(DISK_LOOK_S)

    def _disk_looks_well(self) -> bool:
        directory = self.recording.output_directory
        if directory is None:
            return True
        return os.access(directory, os.W_OK | os.X_OK) and (
            _free_bytes(directory) >= ROOM_SHARE * self.recording.sums.captured_bytes)

    def _fills(self, made_bytes: int) -> bool:
        """Whether a file that was encoded so far would find the disk full again: to make it takes
        hours."""
        directory = self.recording.output_directory
        return directory is not None and 0 <= _free_bytes(directory) < MORE_SHARE * made_bytes

    def _rest(self, seconds: float) -> None:
        """Until the next try; that is at once when the recording ends. Raises Suspended."""
        self._resting = True
        (self.stop if self.closed.is_set() else self._woken).wait(seconds)
        self._resting = False
        self.moved()
        if self.stop.is_set():
            raise Suspended

    def kept_trying(self, tell: Callable[[], T]) -> T:
        """What must reach the store, however long that is out of order. Raises Suspended."""
        while True:
            try:
                return tell()
            except (sqlite3.Error, Unavailable) as error:
                log.error("%s: what became of it cannot be stored yet: %s",
                          self.recording.id, error)
            self._rest(STORE_RETRY_S)

    @property
    def place(self) -> str | None:
        """Where its files go."""
        return self.recording.output_directory

    @property
    def silent_s(self) -> float:
        """How long it has been at one thing, as it is with a disk that does not answer."""
        return 0.0 if self._resting else time.monotonic() - self._moved_s

    @property
    def busy(self) -> bool:
        return not self._resting and self.silent_s < HELD_UP_S

    # What a feed tells and asks.

    def progress(self, fed_bytes: int) -> None:
        self.fed_bytes = fed_bytes
        self.moved()
        if self.closed.is_set() and time.monotonic() - self._told_s >= PROGRESS_EVERY_S:
            self.tell_progress()

    def tell_progress(self) -> None:
        self._told_s = time.monotonic()
        total = self.recording.sums.captured_bytes
        percent = min(100.0, 100.0 * self.fed_bytes / total) if total else 0.0
        self._bus.publish("processing_progress", {
            **about_recording(self.recording), "percent": round(percent, 1)})

    def moved(self) -> None:
        self._moved_s = time.monotonic()

    def counted(self, course: Course) -> None:
        """A disk that was full when the recording ended kept it from knowing its gaps."""
        stored = self._store.recordings.find_course(self.recording.id)
        if stored.gaps != course.gaps:
            self._store.recordings.set_gaps(self.recording.id, course.gaps)
        if stored.changes != course.changes:
            self._store.recordings.set_changes(self.recording.id, course.changes)

    def owned(self) -> tuple[str, ...]:
        return self._store.recordings.get(self.recording.id).files

    def guarded(self, path: Path) -> bool:
        """Its name may be spelled in another way, or lead there through a link. Only what is
        called alike is asked: another's disk may be away."""
        others = self._store.recordings.find_protected_files(self.recording.id)
        return any(str(path) == one or _alike(path, Path(one)) for one in others)

    def naming(self, files: tuple[str, ...]) -> None:
        self.recording = self._store.recordings.change(self.recording.id, files=files)

    def described(self, files: tuple[str, ...]) -> Sidecar:
        recording = self._store.recordings.get(self.recording.id)
        try:
            url = self._store.channels.get(recording.channel_id).url
        except ChannelNotFound:
            url = None
        course = self._store.recordings.find_course(recording.id)
        return sidecar.of(replace(recording, files=files), course, url, self._daemon)


def _free_bytes(directory: str) -> int:
    """-1 where nobody can tell."""
    try:
        return shutil.disk_usage(directory).free
    except OSError as error:
        log.debug("%s: %s", directory, error)
        return -1


def _alike(path: Path, other: Path) -> bool:
    """Whether two names are one file. What cannot be reached is not what can."""
    one, two = (unicodedata.normalize("NFC", name).casefold() for name in (path.name, other.name))
    try:
        return one == two and path.samefile(other)
    except OSError as error:
        log.debug("%s and %s cannot be compared: %s", path, other, error)
        return False


def _hopeless(error: Exception) -> bool:
    """Whether another try would end alike. A disk that could not read may do so later."""
    if isinstance(error, CaptureDamaged):
        cause = error.__cause__
        return not isinstance(cause, OSError) or isinstance(cause, FileNotFoundError)
    return isinstance(error, AssemblyFailed) and error.hopeless
