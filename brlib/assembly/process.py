"""FFmpeg as a process that is looked after, and questions to ffprobe. Every wait is bounded.

A process that hangs is killed; what not even that ends, because a disk does not answer, is
left to itself and keeps nobody waiting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from .. import ffmpeg
from ..encoding import Way
from ..workers import Child
from . import sentences
from .base import AssemblyFailed, FFmpegFailed, Plan, Suspended, Task

log = logging.getLogger(__name__)

# So long FFmpeg may do nothing while there is something for it to do.
SILENT_MAX_S = 60.0
# The same at its end: closing a file on a network share sends all that is still in memory,
# with no sign of life meanwhile. (The index of ten hours is written in 0.4 s, with signs.)
CLOSING_MAX_S = 600.0
# And so long an encoder that does have the processor: a slow one on a small machine takes minutes
# for a picture and those that it has put by.
ENCODING_MAX_S = 3600.0
LOOK_EVERY_S = 0.25
GONE_MAX_S = 2.0
PROBE_MAX_S = 60.0
COUNT_MAX_S = 1800.0
# The driver of a graphics card may take some seconds to wake.
TRIAL_MAX_S = 30.0


class NoAnswer(AssemblyFailed):
    """A program that only had to answer a question did not."""


class FFmpeg:
    """One run of FFmpeg. Raises AssemblyFailed when it cannot be started."""

    def __init__(self, name: str, args: list[str], plan: Plan, task: Task, feed: bool) -> None:
        self._plan = plan
        self._task = task
        self._reports = 0
        self._alive = (0, "")
        self._alive_s = time.monotonic()
        self._worked = ""
        self._worked_s = self._alive_s
        self._made_s = 0.0
        self._target = Path(args[-1])
        try:
            self._child = Child(f"ffmpeg-{name}", args, feed=feed, on_line=self._heard,
                                nice=plan.nice)
        except OSError as error:
            raise sentences.not_started("FFmpeg", f"ffmpeg_path = {plan.ffmpeg}", error) from error

    def _heard(self, line: str) -> None:
        self._reports += 1
        found = ffmpeg.progress_value(line)
        if found is not None and found[0] == "out_time_us" and found[1].isdigit():
            self._made_s = int(found[1]) / 1e6

    def write(self, data: bytes) -> None:
        """Feed it. Raises AssemblyFailed, Suspended."""
        view = memoryview(data)
        # Nothing was asked of it before.
        self._alive_s = time.monotonic()
        while view:
            try:
                taken = self._child.offer(view, LOOK_EVERY_S)
            except BrokenPipeError as error:
                raise self._gone() from error
            view = view[taken:]
            if view:
                self._check(bool(taken), SILENT_MAX_S)

    def _gone(self) -> AssemblyFailed:
        """Why it takes no more input."""
        code = self._child.wait(GONE_MAX_S)
        if code:
            return self._failed(code)
        return FFmpegFailed(
            f"FFmpeg ended early, without an error ({' / '.join(self.said[-3:])})",
            "see whether ffmpeg_path is really FFmpeg")

    def end(
        self, silent_max_s: float, made: Callable[[float], None] = lambda seconds: None
    ) -> None:
        """Wait until it has done its work; `made` hears how many seconds are in the file. Raises
        AssemblyFailed, Suspended."""
        self._child.end_input()
        self._alive_s = time.monotonic()
        while (code := self._child.wait(LOOK_EVERY_S)) is None:
            self._check(False, silent_max_s)
            made(self._made_s)
        if code != 0:
            raise self._failed(code)

    def _failed(self, code: int) -> AssemblyFailed:
        return sentences.of_exit(
            code, self.said, self._plan.directory, made_bytes(self._plan, self._target))

    def _check(self, moved: bool, silent_max_s: float) -> None:
        """Judge whether it is alive: it takes input, it reports, or bytes go in and out. One that
        encodes does nothing of that for a while and works all the same: a report comes only
        between two pictures, and none once its input is at its end."""
        if self._task.stop.is_set():
            raise Suspended
        self._task.moved()
        alive = (self._reports, _traffic(self._child.pid))
        now_s = time.monotonic()
        if moved or alive != self._alive:
            self._alive, self._alive_s = alive, now_s
            return
        if self._plan.way is not None and (worked := _worked(self._child.pid)) != self._worked:
            self._worked, self._worked_s = worked, now_s
        silent_s = now_s - self._alive_s
        idle_s = now_s - max(self._alive_s, self._worked_s)
        if idle_s >= silent_max_s or silent_s >= max(silent_max_s, ENCODING_MAX_S):
            self._child.kill()
            raise sentences.hangs(silent_s, self._plan.directory)

    @property
    def said(self) -> list[str]:
        """Its last lines, progress left out."""
        return [line for line in self._child.tail if ffmpeg.progress_value(line) is None]

    def abandon(self) -> None:
        """Kill it; idempotent, and bounded even where that does not help."""
        self._child.kill()
        if self._child.stop() is None:
            log.warning("%s does not even end when it is killed: the output disk does not "
                        "answer (%s)", self._child.name, self._plan.directory)


def _traffic(pid: int) -> str:
    """What the kernel counts of a process's reads and writes; asking it never waits for a
    disk. The same text always where it does not count, or the process is gone."""
    try:
        return Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return ""


def _worked(pid: int) -> str:
    """What it has had of the processor, all its threads together (proc(5): utime, stime)."""
    try:
        _, _, behind = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return ""
    return " ".join(behind.split()[11:13])


def made_bytes(plan: Plan, path: Path) -> int:
    """How much an encoder has made; 0 of what is copied."""
    try:
        return path.stat().st_size if plan.way is not None else 0
    except OSError as error:
        log.debug("%s: %s", path, error)
        return 0


def find_probe(plan: Plan, path: Path, task: Task) -> ffmpeg.Probe | None:
    """What ffprobe says of a file; None when it cannot read it. Raises AssemblyFailed,
    Suspended."""
    code, text = _ffprobe(ffmpeg.probe_args(plan.ffprobe, path), PROBE_MAX_S, task)
    if code != 0:
        log.warning("ffprobe of %s: %s", path, text[-300:])
    return ffmpeg.parse_probe(text) if code == 0 else None


def count_packets(
    plan: Plan, path: Path, kind: str, part_container: str | None, task: Task,
    end: int | None = None,
) -> int:
    """Packets of the first stream of a kind in a file, or in its first bytes; 0 when they
    cannot be counted. Raises AssemblyFailed, Suspended."""
    args = ffmpeg.count_args(plan.ffprobe, path, kind, part_container, end)
    _, text = _ffprobe(args, COUNT_MAX_S, task)
    counts = [int(line.strip(",")) for line in text.split() if line.strip(",").isdigit()]
    return counts[-1] if counts else 0


def why_not(plan: Plan, way: Way, task: Task) -> str | None:
    """What FFmpeg says against a way to encode, having tried it for a moment; None: nothing.
    Raises AssemblyFailed, Suspended."""
    args = ffmpeg.trial_args(plan.ffmpeg, way.output, way.device)
    try:
        code, text = _asked("FFmpeg", f"ffmpeg_path = {plan.ffmpeg}", args, TRIAL_MAX_S, task)
    except NoAnswer as error:
        return str(error)
    return None if code == 0 else " / ".join(text.splitlines()[:2]) or f"it ended with {code}"


def _ffprobe(args: list[str], deadline_s: float, task: Task) -> tuple[int, str]:
    return _asked("ffprobe", f"{args[0]}, it comes with FFmpeg", args, deadline_s, task)


def _asked(
    program: str, option: str, args: list[str], deadline_s: float, task: Task
) -> tuple[int, str]:
    lines: list[str] = []
    try:
        child = Child(program.lower(), args, on_line=lines.append)
    except OSError as error:
        raise sentences.not_started(program, option, error) from error
    end_s = time.monotonic() + deadline_s
    try:
        while (code := child.wait(LOOK_EVERY_S)) is None:
            task.moved()
            if task.stop.is_set():
                raise Suspended
            if time.monotonic() > end_s:
                raise NoAnswer(f"{program} did not answer within {deadline_s:.0f} s",
                               f"see whether the disk answers ({args[-1]})")
    finally:
        child.kill()
        child.stop()
    return code, "\n".join(lines)
