"""One output file: FFmpeg fed through stdin, or the bytes as they are; then the proof.

Made by a feed for each part of a capture. Nothing here deletes anything but the temporary
file that it made itself.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import ffmpeg
from ..chapters import Chapter
from ..disk import sync
from ..models import Sums
from . import marks, sentences
from .base import AssemblyFailed, Plan, Task
from .process import CLOSING_MAX_S, FFmpeg, count_packets, find_probe, made_bytes

log = logging.getLogger(__name__)

# Of the packets that went into an encoder.
ENCODED_SLACK = 0.005
# The chapters of a file of that many seconds.
ChaptersOf = Callable[[float], Sequence[Chapter]]


@dataclass(frozen=True)
class Source:
    """Which stretch of a capture's part file goes into an output, behind the init section.
    `begin` is 0 for the first."""

    path: Path
    begin: int
    end: int


class Output(Protocol):
    path: Path

    def write(self, data: bytes) -> None:
        """Waits while the file cannot take more. Raises AssemblyFailed, OSError, Suspended."""

    def finish(
        self, held: Sums, kinds: frozenset[str], source: Source, chapters: ChaptersOf
    ) -> None:
        """Close, compare with what the capture holds in `source`, give it its chapters, and
        bring it to the disk. Raises AssemblyFailed, OSError, Suspended."""

    def abandon(self) -> None:
        """Stop and remove the temporary file; idempotent."""


class FFmpegOutput:
    """A remuxed or encoded file."""

    def __init__(self, name: str, plan: Plan, part_container: str, path: Path, task: Task) -> None:
        self.path = path
        self._plan = plan
        self._task = task
        self._part_container = part_container
        args = ffmpeg.remux_args(
            plan.ffmpeg, part_container, plan.container, path, *plan.coding)
        self._process = FFmpeg(name, args, plan, task, feed=True)

    def write(self, data: bytes) -> None:
        self._process.write(data)

    def finish(
        self, held: Sums, kinds: frozenset[str], source: Source, chapters: ChaptersOf
    ) -> None:
        self._process.end(CLOSING_MAX_S)
        probe = find_probe(self._plan, self.path, self._task)
        problem = ffmpeg.disagreement(probe, held, kinds, self._plan.way is None)
        if probe is not None and problem is None:
            problem = ffmpeg.too_short(probe, held, self._plan.way is None)
            if problem is not None and self._same_packets(kinds, source):
                problem = None
        if problem:
            raise sentences.disagrees(
                problem, self._process.said, self._plan.directory,
                shutil.disk_usage(self.path.parent).free, made_bytes(self._plan, self.path))
        if probe is not None:
            self._mark(probe, chapters(probe.duration_s))
        sync(self.path)

    def _mark(self, proven: ffmpeg.Probe, chapters: Sequence[Chapter]) -> None:
        """Put chapters into a proven file, if it is the same with them; else it has none.
        Raises OSError when that cannot be had back, AssemblyFailed, Suspended."""
        if len(chapters) < 2 or self._plan.container not in marks.CONTAINERS:
            return
        try:
            undo = marks.write(self.path, self._plan.container, chapters)
        except (marks.Unmarked, OSError) as error:
            log.warning("%s: it gets no chapters: %s", self.path.name, error)
            return
        after = find_probe(self._plan, self.path, self._task)
        if after is None or (after.kinds, after.duration_s) != (proven.kinds, proven.duration_s):
            log.warning("%s: it gets no chapters, which it does not bear", self.path.name)
            marks.take_back(self.path, undo)

    def _same_packets(self, kinds: frozenset[str], source: Source) -> bool:
        """The exact comparison, for when the lengths leave a doubt."""
        kind = "video" if "video" in kinds else "audio"
        part = self._part_container
        ours = count_packets(self._plan, source.path, kind, part, self._task, source.end)
        if source.begin:
            ours -= count_packets(self._plan, source.path, kind, part, self._task, source.begin)
        made = count_packets(self._plan, self.path, kind, None, self._task)
        return ours > 0 and made >= ours * (1 - self._slack)

    @property
    def _slack(self) -> float:
        """The share of packets that a proven file may have less: a decoder leaves out what stands
        before the first keyframe, and nobody says whose pictures hold two fields."""
        return 0.0 if self._plan.way is None else ENCODED_SLACK

    def abandon(self) -> None:
        self._process.abandon()
        discard(self.path)


class PlainOutput:
    """A part's bytes one behind the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view):]

    def finish(
        self, held: Sums, kinds: frozenset[str], source: Source, chapters: ChaptersOf
    ) -> None:
        self._close()
        size_bytes = self.path.stat().st_size
        if size_bytes != held.captured_bytes:
            raise AssemblyFailed(
                f"The file has {size_bytes} bytes, the capture {held.captured_bytes}")
        sync(self.path)

    def abandon(self) -> None:
        try:
            self._close()
        except OSError as error:
            log.warning("%s could not be closed: %s", self.path, error)
        discard(self.path)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def open_output(name: str, plan: Plan, part_container: str, path: Path, task: Task) -> Output:
    """Raises AssemblyFailed or OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if plan.mode == "concatenate":
        return PlainOutput(path)
    return FFmpegOutput(name, plan, part_container, path, task)


def discard(path: Path) -> None:
    """Remove a temporary file; where that fails the next try begins with it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s could not be removed: %s", path, error)
