"""One recording's way from capture to finished files: feed, prove, name.

The same code live, afterwards, after a crash and on reprocess: it follows the index from
its first entry to its last, whenever that comes. Run in a pool thread by `Assembly`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import naming
from ..disk import sync
from ..errors import CaptureDamaged
from ..ledger import Follower
from ..models import Recording
from ..playlist import Entry, Part, Segment
from ..shape import Shape
from ..tally import Tally
from .base import AssemblyFailed, Plan
from .output import Output, open_output

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2


class Suspended(Exception):
    """The daemon stops; the job will be done again."""


@dataclass(frozen=True)
class Finished:
    """The files that came of it, in the order of the broadcast."""

    files: tuple[Path, ...]
    size_bytes: int


@dataclass
class _Part:
    output: Output
    container: str
    kinds: frozenset[str]
    file: str


class Task(Protocol):
    """What a feed is told, and tells, while it works.

    `recording` is the row as it is; its sums are final once `closed` is set. `naming` is
    called with the final paths before any of them is there.
    """

    recording: Recording
    closed: threading.Event
    stop: threading.Event

    def progress(self, fed_bytes: int) -> None: ...

    def naming(self, files: tuple[Path, ...]) -> None: ...


class Feed:
    """One pass over a capture: outputs opened, fed and closed as its parts come."""

    def __init__(self, task: Task, plan: Plan, directory: Path) -> None:
        self._task = task
        self._recording = task.recording
        self._plan = plan
        self._directory = directory
        self._closed = task.closed
        self._stop = task.stop
        self._tally = Tally()
        self._part: Part | None = None
        self._parts: list[_Part] = []
        self._fed_bytes = 0
        self._media: int | None = None
        self._lock = threading.Lock()

    def run(self) -> Finished:
        """Raises AssemblyFailed, CaptureDamaged, OSError, Suspended."""
        try:
            follower = Follower(self._directory)
            while not self._tally.ended:
                # Asked before reading: what a full disk kept the capture from closing with
                # a last line ends where the recording says that it has ended.
                closed = self._closed.is_set()
                news = follower.news()
                for entry in news:
                    self._take(entry)
                if not news and closed:
                    break
                if not news and self._stop.wait(LOOK_EVERY_S):
                    raise Suspended
            self._finish_part()
            self._check_whole(follower.rest_bytes())
            return self._name_files()
        except BrokenPipeError as error:
            raise Suspended if self._stop.is_set() else AssemblyFailed(
                f"FFmpeg ended early: {self._last_words()}") from error
        finally:
            self._close_media()
            self.abandon()

    def abandon(self) -> None:
        """Stop feeding and drop what is not finished. From any thread, idempotent."""
        with self._lock:
            parts, self._parts = self._parts, []
        for part in parts:
            part.output.abandon()

    def _check_whole(self, unread_bytes: int) -> None:
        """The proof that this is the recording and not a part of it: what was fed is what
        the recording counted."""
        while not self._closed.wait(LOOK_EVERY_S):
            if self._stop.is_set():
                raise Suspended
        if unread_bytes and not self._tally.ended:
            raise CaptureDamaged(
                f"The index in {self._directory} cannot be read to its end: "
                f"{unread_bytes} bytes are left")
        fed, counted = self._tally.sums, self._task.recording.sums
        if (fed.segments, fed.captured_bytes) != (counted.segments, counted.captured_bytes):
            raise AssemblyFailed(
                f"The capture holds {fed.segments} segments with {fed.captured_bytes} bytes, "
                f"the recording counted {counted.segments} with {counted.captured_bytes}")

    def interrupt(self) -> None:
        """Let a feed that waits for FFmpeg go on to its end. Returns at once."""
        with self._lock:
            output = self._parts[-1].output if self._parts else None
        if output is not None:
            output.interrupt()

    def _take(self, entry: Entry) -> None:
        if self._stop.is_set():
            raise Suspended
        self._tally.add(entry)
        match entry:
            case Part():
                self._finish_part()
                self._part = entry
            case Segment():
                if self._part is not None:
                    # Not before its first segment: a crash leaves parts without any.
                    part, self._part = self._part, None
                    self._begin_part(part)
                    self._feed(0, part.init_bytes)
                self._feed(entry.offset, entry.size_bytes)

    def _begin_part(self, part: Part) -> None:
        shape = Shape.parse(part.shape)
        suffix = self._plan.suffix(shape.container)
        path = self._plan.temporary(self._recording.id, suffix)
        name = f"{self._recording.id}-{len(self._parts) + 1}"
        output = open_output(name, self._plan, shape.container, path)
        with self._lock:
            self._parts.append(_Part(output, shape.container, shape.kinds, part.file))
        self._media = os.open(self._directory / part.file, os.O_RDONLY)

    def _feed(self, offset: int, size_bytes: int) -> None:
        if not size_bytes:
            return
        assert self._media is not None
        data = os.pread(self._media, size_bytes, offset)
        if len(data) != size_bytes:
            raise AssemblyFailed(
                f"The capture is shorter than its index says at byte {offset} of "
                f"{self._parts[-1].file}")
        self._parts[-1].output.write(data)
        self._fed_bytes += size_bytes
        self._task.progress(self._fed_bytes)

    def _finish_part(self) -> None:
        if self._media is not None:
            self._close_media()
            part = self._parts[-1]
            part.output.finish(
                self._tally.by_part[part.file], part.kinds, self._directory / part.file)

    def _close_media(self) -> None:
        media, self._media = self._media, None
        if media is not None:
            os.close(media)

    def _last_words(self) -> str:
        with self._lock:
            output = self._parts[-1].output if self._parts else None
        words = getattr(output, "last_words", None)
        return str(words()) if words else "it was stopped"

    def _name_files(self) -> Finished:
        """Give every proven file its name."""
        with self._lock:
            parts, self._parts = self._parts, []
        if not parts:
            raise AssemblyFailed("The capture holds no media")
        made = [
            (part.output.path,
             self._plan.final(number, len(parts), self._plan.suffix(part.container)))
            for number, part in enumerate(parts, 1)
        ]
        try:
            return place(made, self._plan, self._task)
        finally:
            for path, _ in made:
                path.unlink(missing_ok=True)


_naming = threading.Lock()


def place(made: list[tuple[Path, Path]], plan: Plan, task: Task) -> Finished:
    """Rename proven files, each to the name it wants or, where another file has that, as the
    settings say. The names are told first, so that a crash in between leaves no second file.

    Raises AssemblyFailed, OSError.
    """
    size_bytes = sum(path.stat().st_size for path, _ in made)
    with _naming:
        targets: list[Path] = []
        for _, wanted in made:
            targets.append(_target(wanted, plan, task.recording.files, targets))
        task.naming(tuple(targets))
        for (path, _), target in zip(made, targets, strict=True):
            os.replace(path, target)
    for directory in _up_to(plan.directory, {target.parent for target in targets}):
        sync(directory)
    return Finished(tuple(targets), size_bytes)


def _target(wanted: Path, plan: Plan, ours: tuple[str, ...], taken: list[Path]) -> Path:
    if not naming.inside(wanted, plan.directory):
        raise AssemblyFailed(f"{wanted} is not inside {plan.directory}")
    target, number = wanted, 1
    while target in taken or (
        target.exists() and str(target) not in ours and plan.when_exists != "overwrite"
    ):
        if target not in taken and plan.when_exists == "skip":
            raise AssemblyFailed(
                f"{target} exists already and when_file_exists is skip; the capture is kept")
        number += 1
        target = naming.numbered(wanted, number)
    return target


def _up_to(root: Path, directories: set[Path]) -> set[Path]:
    """The directories and those above them down from `root`, all of which may be new."""
    found = set(directories)
    for directory in directories:
        found.update(p for p in directory.parents if p.is_relative_to(root))
    return found


def wait_or_stop(stop: threading.Event, seconds: float) -> None:
    """Raises Suspended when `stop` is set meanwhile."""
    end_s = time.monotonic() + seconds
    if stop.wait(max(0.0, end_s - time.monotonic())):
        raise Suspended
