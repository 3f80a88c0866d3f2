"""Reprocess without a capture: the finished files themselves, remuxed or encoded anew.

Run by `Assembly` in place of a feed; the old file is replaced only by a proven new one.
"""

from __future__ import annotations

from pathlib import Path

from .. import ffmpeg
from ..disk import sync
from ..models import Sums
from .base import AssemblyFailed, Finished, Plan, Task
from .output import discard
from .place import Places, find_originals
from .process import CLOSING_MAX_S, FFmpeg, find_probe


class Remux:
    def __init__(self, task: Task, plan: Plan, places: Places) -> None:
        self._task = task
        self._plan = plan
        self._places = places
        self._temporary: list[Path] = []

    def run(self) -> Finished:
        """Raises AssemblyFailed, OSError, sqlite3.Error, Suspended."""
        try:
            sources = find_originals(self._task.recording.files)
            if sources is None:
                raise AssemblyFailed("Its capture and its file are gone", hopeless=True)
            made = [
                (self._remux(source), source.with_suffix(f".{self._plan.container}"))
                for source in sources
            ]
            return self._places.place(made, self._plan, self._task)
        finally:
            for path in self._temporary:
                discard(path)

    def _remux(self, source: Path) -> Path:
        before = find_probe(self._plan, source, self._task)
        if before is None:
            raise AssemblyFailed(f"{source} cannot be read", "see whether it plays")
        recording_id = self._task.recording.id
        target = self._plan.temporary(recording_id, source.suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._temporary.append(target)
        args = ffmpeg.remux_file_args(
            self._plan.ffmpeg, source, self._plan.container, target, *self._plan.coding)
        process = FFmpeg(recording_id, args, self._plan, self._task, feed=False)
        try:
            # It reads and writes until its end, which may take as long as any other's.
            process.end(CLOSING_MAX_S)
        finally:
            process.abandon()
        held = Sums(captured_bytes=before.size_bytes, captured_s=before.duration_s)
        after = find_probe(self._plan, target, self._task)
        problem = ffmpeg.disagreement(
            after, held, before.kinds & {"video", "audio"}, self._plan.way is None)
        if after is not None and problem is None:
            problem = ffmpeg.too_short(after, held)
        if problem:
            raise AssemblyFailed(f"The new file does not agree with {source} ({problem})",
                                 "the old one is as it was; try another container")
        sync(target)
        return target
