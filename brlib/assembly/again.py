"""Reprocess without a capture: the finished files themselves, remuxed as the settings are now.

Run by `Assembly` in place of a feed; the old file is replaced only by a proven new one.
"""

from __future__ import annotations

from pathlib import Path

from .. import ffmpeg
from ..disk import sync
from ..models import Sums
from ..workers import Child
from .base import AssemblyFailed, Plan
from .job import Finished, Suspended, Task, place
from .output import find_probe

REMUX_MAX_S = 6 * 3600.0


class Remux:
    def __init__(self, task: Task, plan: Plan) -> None:
        self._task = task
        self._recording = task.recording
        self._plan = plan
        self._stop = task.stop
        self._temporary: list[Path] = []

    def run(self) -> Finished:
        """Raises AssemblyFailed, OSError, Suspended."""
        try:
            sources = [Path(name) for name in self._recording.files]
            made = [
                (self._remux(source), source.with_suffix(f".{self._plan.container}"))
                for source in sources
            ]
            finished = place(made, self._plan, self._task)
            for source in sources:
                if source not in finished.files:
                    source.unlink()
            return finished
        finally:
            self.abandon()

    def interrupt(self) -> None:
        """FFmpeg is looked after twice a second: it needs no push."""

    def abandon(self) -> None:
        for path in self._temporary:
            path.unlink(missing_ok=True)

    def _remux(self, source: Path) -> Path:
        before = find_probe(self._plan, source)
        if before is None:
            raise AssemblyFailed(f"{source} cannot be read")
        target = self._plan.temporary(self._recording.id, source.suffix)
        self._temporary.append(target)
        args = ffmpeg.remux_file_args(self._plan.ffmpeg, source, self._plan.container, target)
        child = Child(f"ffmpeg-{self._recording.id}", args)
        waited_s = 0.0
        while (code := child.wait(0.5)) is None:
            waited_s += 0.5
            if self._stop.is_set() or waited_s > REMUX_MAX_S:
                child.kill()
                child.stop()
                raise Suspended
        if code != 0:
            raise AssemblyFailed(f"FFmpeg failed ({code}): {' / '.join(list(child.tail)[-3:])}")
        held = Sums(captured_bytes=before.size_bytes, captured_s=before.duration_s)
        after = find_probe(self._plan, target)
        problem = ffmpeg.disagreement(after, held, before.kinds & {"video", "audio"})
        if after is not None and problem is None:
            problem = ffmpeg.too_short(after, held)
        if problem:
            raise AssemblyFailed(f"The new file does not agree with {source}: {problem}")
        sync(target)
        return target
