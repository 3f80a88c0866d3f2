"""One recording's way from capture to finished files: feed, prove, name.

The same code live, afterwards, after a crash and on reprocess: it follows the index from
its first entry to its last, whenever that comes. Run in a pool thread by `Assembly`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import naming
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


class Feed:
    """One pass over a capture: outputs opened, fed and closed as its parts come."""

    def __init__(
        self, recording: Recording, plan: Plan, directory: Path, closed: threading.Event,
        stop: threading.Event, on_progress: Callable[[int], None],
    ) -> None:
        self._recording = recording
        self._plan = plan
        self._directory = directory
        self._closed = closed
        self._stop = stop
        self._on_progress = on_progress
        self._tally = Tally()
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

    def _take(self, entry: Entry) -> None:
        if self._stop.is_set():
            raise Suspended
        self._tally.add(entry)
        match entry:
            case Part():
                self._finish_part()
                self._begin_part(entry)
                self._feed(0, entry.init_bytes)
            case Segment():
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
        self._on_progress(self._fed_bytes)

    def _finish_part(self) -> None:
        self._close_media()
        if self._parts:
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
        """Give every proven file its name, all or (so far as file systems go) none."""
        with self._lock:
            parts, self._parts = self._parts, []
        if not parts:
            raise AssemblyFailed("The capture holds no media")
        size_bytes = sum(part.output.path.stat().st_size for part in parts)
        files = []
        for number, part in enumerate(parts, 1):
            suffix = self._plan.suffix(part.container)
            wanted = self._plan.final(number, len(parts), suffix)
            files.append(place(part.output.path, wanted, self._plan, self._recording.files))
        return Finished(tuple(files), size_bytes)


_naming = threading.Lock()


def place(temporary: Path, wanted: Path, plan: Plan, ours: tuple[str, ...]) -> Path:
    """Rename a proven file to its final name; `ours` may be replaced, other files only as
    the settings say. Raises AssemblyFailed, OSError."""
    if not naming.inside(wanted, plan.directory):
        raise AssemblyFailed(f"{wanted} is not inside {plan.directory}")
    with _naming:
        target, number = wanted, 1
        while target.exists() and str(target) not in ours and plan.when_exists != "overwrite":
            if plan.when_exists == "skip":
                raise AssemblyFailed(
                    f"{target} exists already and when_file_exists is skip; the capture is kept")
            number += 1
            target = naming.numbered(wanted, number)
        os.replace(temporary, target)
    return target


def wait_or_stop(stop: threading.Event, seconds: float) -> None:
    """Raises Suspended when `stop` is set meanwhile."""
    end_s = time.monotonic() + seconds
    if stop.wait(max(0.0, end_s - time.monotonic())):
        raise Suspended
