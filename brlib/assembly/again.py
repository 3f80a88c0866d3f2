"""Reprocess without a capture: the finished files themselves, remuxed or encoded anew.

Run by `Assembly` in place of a feed; the old file is replaced only by a proven new one.
"""

from __future__ import annotations

from pathlib import Path

from .. import ffmpeg
from ..disk import sync
from ..models import Sums
from .base import AssemblyFailed, FFmpegFailed, Finished, Plan, Task
from .output import ENCODED_SLACK, discard
from .place import Places, find_originals
from .process import CLOSING_MAX_S, FFmpeg, count_packets, find_probe


class Remux:
    def __init__(self, task: Task, plan: Plan, places: Places) -> None:
        self._task = task
        self._plan = plan
        self._places = places
        self._temporary: list[Path] = []
        self._sizes: list[int] = []

    def run(self) -> Finished:
        """Raises AssemblyFailed, OSError, sqlite3.Error, Suspended."""
        try:
            sources = find_originals(self._task.recording.files)
            if sources is None:
                raise AssemblyFailed("Its capture and its file are gone", hopeless=True)
            self._sizes = [source.stat().st_size for source in sources]
            made = [
                (self._remux(number, source), source.with_suffix(f".{self._plan.container}"))
                for number, source in enumerate(sources)
            ]
            return self._places.place(made, self._plan, self._task)
        finally:
            for path in self._temporary:
                discard(path)

    def _picture_lost(
        self, source: Path, before: ffmpeg.Probe, target: Path, after: ffmpeg.Probe
    ) -> str | None:
        """Sound that is copied would hide where an encoder has stopped."""
        if self._plan.way is None or before.picture_s is None:
            return None
        problem = ffmpeg.too_short(after, Sums(captured_s=before.picture_s), copied=False)
        if problem is None:
            return None
        # Containers differ in where they count from.
        ours, made = (count_packets(self._plan, path, "video", None, self._task)
                      for path in (source, target))
        return None if ours and made >= ours * (1 - ENCODED_SLACK) else problem

    def _progress(self, number: int, share: float) -> None:
        """So much of one of the files is done; told as if it were of a capture."""
        done = sum(self._sizes[:number]) + share * self._sizes[number]
        self._task.progress(int(
            self._task.recording.sums.captured_bytes * done / max(1, sum(self._sizes))))

    def _remux(self, number: int, source: Path) -> Path:
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
            process.end(CLOSING_MAX_S, lambda made_s: self._progress(
                number, min(1.0, made_s / before.duration_s) if before.duration_s else 0.0))
        finally:
            process.abandon()
        held = Sums(captured_bytes=before.size_bytes, captured_s=before.duration_s)
        after = find_probe(self._plan, target, self._task)
        problem = ffmpeg.disagreement(
            after, held, before.kinds & {"video", "audio"}, self._plan.way is None)
        if after is not None and problem is None:
            problem = ffmpeg.too_short(after, held) or self._picture_lost(
                source, before, target, after)
        if problem:
            # What it was told may be to blame, as with a capture.
            raise FFmpegFailed(f"The new file does not agree with {source} ({problem})",
                               "the old one is as it was; try another container")
        sync(target)
        self._progress(number, 1.0)
        return target
