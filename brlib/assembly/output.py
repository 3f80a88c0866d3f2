"""One output file: FFmpeg fed through stdin, or the bytes as they are; then the proof.

Made by a job for each part of a capture. Nothing here deletes anything but the temporary
file that it made itself.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Protocol

from .. import ffmpeg
from ..disk import sync
from ..models import Sums
from ..workers import Child, run
from .base import AssemblyFailed, Plan

log = logging.getLogger(__name__)

PROBE_MAX_S = 60.0
COUNT_MAX_S = 1800.0
# FFmpeg at the end of its input writes an index of some MB; slow disks included.
FINISH_MAX_S = 120.0


class Output(Protocol):
    path: Path

    def write(self, data: bytes) -> None:
        """Blocks while the file cannot take more. Raises OSError."""

    def finish(self, held: Sums, kinds: frozenset[str], source: Path) -> None:
        """Close, and compare with what the capture holds in the part file `source`.

        Raises AssemblyFailed.
        """

    def interrupt(self) -> None:
        """Make a `write` that waits fail. From any thread, returns at once."""

    def abandon(self) -> None:
        """Stop and remove the temporary file; idempotent."""


class FFmpegOutput:
    """A remuxed file."""

    def __init__(self, name: str, plan: Plan, part_container: str, path: Path) -> None:
        self.path = path
        self._plan = plan
        self._part_container = part_container
        args = ffmpeg.remux_args(plan.ffmpeg, part_container, plan.container, path)
        try:
            self._child = Child(f"ffmpeg-{name}", args, feed=True)
        except OSError as error:
            raise AssemblyFailed(
                f"FFmpeg cannot be started ({plan.ffmpeg}: {error.strerror}): install it or set "
                "ffmpeg_path, then reprocess this recording") from error

    def write(self, data: bytes) -> None:
        self._child.write(data)

    def finish(self, held: Sums, kinds: frozenset[str], source: Path) -> None:
        self._child.end_input()
        code = self._child.wait(FINISH_MAX_S)
        if code is None:
            raise AssemblyFailed(f"FFmpeg did not end within {FINISH_MAX_S:.0f} s of its input")
        if code != 0:
            raise AssemblyFailed(f"FFmpeg failed ({code}): {self.last_words()}")
        probe = find_probe(self._plan, self.path)
        problem = ffmpeg.disagreement(probe, held, kinds)
        if probe is not None and problem is None:
            problem = ffmpeg.too_short(probe, held)
            if problem is not None and self._same_packets(kinds, source):
                problem = None
        if problem:
            raise AssemblyFailed(f"The finished file does not agree with the capture: {problem}")
        sync(self.path)

    def _same_packets(self, kinds: frozenset[str], source: Path) -> bool:
        """The exact comparison, for when the lengths leave a doubt."""
        kind = "video" if "video" in kinds else "audio"
        ours = count_packets(self._plan, source, kind, self._part_container)
        return ours > 0 and count_packets(self._plan, self.path, kind, None) >= ours

    def last_words(self) -> str:
        """What FFmpeg said last, progress left out."""
        said = [line for line in self._child.tail if ffmpeg.progress_value(line) is None]
        return " / ".join(said[-3:]) or "it said nothing"

    def interrupt(self) -> None:
        self._child.kill()

    def abandon(self) -> None:
        self._child.kill()
        self._child.stop()
        self.path.unlink(missing_ok=True)


class PlainOutput:
    """A part's bytes one behind the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view):]

    def finish(self, held: Sums, kinds: frozenset[str], source: Path) -> None:
        self._close()
        size_bytes = self.path.stat().st_size
        if size_bytes != held.captured_bytes:
            raise AssemblyFailed(
                f"The file has {size_bytes} bytes, the capture {held.captured_bytes}")
        sync(self.path)

    def interrupt(self) -> None:
        """Writing to a file waits for nobody."""

    def abandon(self) -> None:
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def open_output(name: str, plan: Plan, part_container: str, path: Path) -> Output:
    """Raises AssemblyFailed or OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if plan.mode == "concatenate":
        return PlainOutput(path)
    return FFmpegOutput(name, plan, part_container, path)


def find_probe(plan: Plan, path: Path) -> ffmpeg.Probe | None:
    """What ffprobe says of a file; None when it cannot read it."""
    code, text = _ffprobe(ffmpeg.probe_args(plan.ffprobe, path), PROBE_MAX_S)
    if code != 0:
        log.warning("ffprobe of %s: %s", path, text[-300:])
    return ffmpeg.parse_probe(text) if code == 0 else None


def count_packets(plan: Plan, path: Path, kind: str, part_container: str | None) -> int:
    """Packets of a file's first stream of a kind; 0 when they cannot be counted."""
    _, text = _ffprobe(
        ffmpeg.count_args(plan.ffprobe, path, kind, part_container), COUNT_MAX_S)
    counts = [int(line.strip(",")) for line in text.split() if line.strip(",").isdigit()]
    return counts[-1] if counts else 0


def _ffprobe(args: list[str], deadline_s: float) -> tuple[int | None, str]:
    try:
        return run("ffprobe", args, deadline_s)
    except OSError as error:
        raise AssemblyFailed(
            f"ffprobe cannot be started ({args[0]}: {error.strerror}): it comes with FFmpeg"
        ) from error
