"""The programs and packages that recording needs: which are there, and good enough.

Owned by the service; asked by `GET /api/system/dependencies` and, for FFmpeg, by health.
Nothing is imported to look at it: a package is known by its metadata, a program by what it
says of its version.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import re
import shutil
import sysconfig
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .config import Settings
from .workers import run

log = logging.getLogger(__name__)

KEPT_S = 60.0
ANSWER_MAX_S = 5.0
FFMPEG_LEAST = (5, 1)
# libavutil of FFmpeg 5.1: builds from the repository have no other number ("N-109468-g…").
LIBAVUTIL_LEAST = (57, 28)
_LIBAVUTIL = re.compile(r"^libavutil +(\d+)\. *(\d+)\.", re.MULTILINE)


@dataclass(frozen=True)
class Tool:
    """What the API says of one tool.

    `available`: it is there, it answers, and what is `required` is good enough to be used.
    A JavaScript runtime that is too old for yt-dlp is available all the same, for it is
    there and nothing is broken; `needed_for` then says what it lacks.
    """

    available: bool
    version: str | None
    path: str | None
    required: bool
    needed_for: str


@dataclass(frozen=True)
class Runtime:
    """A JavaScript runtime as yt-dlp sees it (yt_dlp/utils/_jsruntime.py, 2026.10.26)."""

    version: re.Pattern[str]
    least: tuple[int, ...]


RUNTIMES = {
    "bun": Runtime(re.compile(r"^(\d\S*)", re.MULTILINE), (1, 2, 11)),
    "deno": Runtime(re.compile(r"^deno (\S+)", re.MULTILINE), (2, 3, 0)),
    "node": Runtime(re.compile(r"^v(\d\S*)", re.MULTILINE), (22, 0, 0)),
}
NEEDED_FOR = {
    "ffmpeg": "finished files: everything recorded is put together by it",
    "ffprobe": "finished files: each is verified with it",
    "streamlink": "capturing streams, and asking the platforms",
    "yt-dlp": "streams that streamlink does not know or cannot open",
    "runtime": "YouTube through yt-dlp: one of bun, deno and node is enough",
}


@dataclass(frozen=True)
class _Found:
    """A tool, and what a person should know where it cannot do its work."""

    tool: Tool
    problem: str | None = None


class _Look:
    """One tool's last answer, for `KEPT_S`. Whoever asks meanwhile waits for it."""

    def __init__(self, look: Callable[[str], _Found], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[str, float, _Found] | None = None

    def at(self, program: str) -> _Found:
        with self._lock:
            if self._kept is not None:
                of, at_s, found = self._kept
                if of == program and self._clock() - at_s < KEPT_S:
                    return found
            found = self._look(program)
            self._kept = (program, self._clock(), found)
            return found


class Tools:
    """`settings` is asked each time: another `ffmpeg_path` is looked at at once."""

    def __init__(self, settings: Callable[[], Settings],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._ffmpeg = _Look(lambda path: _ffmpeg("ffmpeg", path), clock)
        self._ffprobe = _Look(lambda path: _ffmpeg("ffprobe", path), clock)
        self._others = {
            "yt-dlp": _Look(lambda name: _package(name, "yt_dlp", required=False), clock),
            "streamlink": _Look(lambda name: _package(name, "streamlink", required=True), clock),
            **{name: _Look(_runtime, clock) for name in RUNTIMES},
        }

    def find(self) -> dict[str, Tool]:
        """Every tool by its name. Takes ANSWER_MAX_S at most for each that hangs."""
        settings = self._settings()
        return {
            "ffmpeg": self._ffmpeg.at(settings.ffmpeg_path).tool,
            "ffprobe": self._ffprobe.at(settings.ffprobe_path).tool,
            **{name: look.at(name).tool for name, look in self._others.items()},
        }

    def runtimes(self) -> list[str]:
        """JavaScript runtimes that yt-dlp takes, as it is told of them: `name:path`."""
        found = []
        for name, runtime in RUNTIMES.items():
            tool = self._others[name].at(name).tool
            if tool.path and tool.version and numbers(tool.version) >= runtime.least:
                found.append(f"{name}:{tool.path}")
        return found

    def problem(self) -> str | None:
        """Why no file can be finished ("FFmpeg 4.4 is too old: …"), or None. For health: looks
        at FFmpeg and ffprobe only."""
        settings = self._settings()
        return (self._ffmpeg.at(settings.ffmpeg_path).problem
                or self._ffprobe.at(settings.ffprobe_path).problem)


def _answer(name: str, path: str, option: str) -> str | None:
    """What a program says of its version; None when it fails, or takes too long."""
    try:
        code, output = run(f"{name}-version", [path, option], ANSWER_MAX_S)
    except OSError as error:
        log.debug("%s cannot be run: %s", path, error)
        return None
    return output if code == 0 else None


def _ffmpeg(name: str, program: str) -> _Found:
    title = "FFmpeg" if name == "ffmpeg" else name
    path = shutil.which(program)
    output = _answer(name, path, "-version") if path else None
    said = re.search(rf"^{name} version (\S+)", output or "", re.MULTILINE)
    problem = None
    if path is None:
        problem = f"{title} is missing ({program})"
    elif output is None or said is None:
        problem = f"{title} does not say its version: {path} is broken or something else"
    elif too_old(output):
        problem = f"{title} {said[1]} is too old: 5.1 or later is needed"
    return _Found(Tool(
        available=problem is None, version=said[1] if said else None, path=path, required=True,
        needed_for=NEEDED_FOR[name]), problem)


def too_old(output: str) -> bool:
    """Whether what FFmpeg or ffprobe says of itself is less than 5.1.

    The number stands in several ways ("5.1.9-0+deb12u1", "n6.0", "7.0.2-static"); builds of
    the day have none and are known by their libavutil.
    """
    if number := re.search(r"^\w+ version n?(\d+)\.(\d+)", output, re.MULTILINE):
        return (int(number[1]), int(number[2])) < FFMPEG_LEAST
    library = _LIBAVUTIL.search(output)
    return library is not None and (int(library[1]), int(library[2])) < LIBAVUTIL_LEAST


def _package(name: str, module: str, required: bool) -> _Found:
    spec = importlib.util.find_spec(module)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    path = str(Path(spec.origin).parent) if spec is not None and spec.origin else None
    there = version is not None and path is not None
    return _Found(Tool(there, version if there else None, path, required, NEEDED_FOR[name]))


def _runtime(name: str) -> _Found:
    # The order in which yt-dlp looks: a wheel's program beside our Python, then the path.
    path = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    said = RUNTIMES[name].version.search(_answer(name, path, "--version") or "") if path else None
    version = said[1] if said else None
    needed_for = NEEDED_FOR["runtime"]
    if version is not None and numbers(version) < RUNTIMES[name].least:
        least = ".".join(str(number) for number in RUNTIMES[name].least)
        needed_for += f"; {version} is too old, {least} or later is needed"
    return _Found(Tool(version is not None, version, path, False, needed_for))


def numbers(version: str) -> tuple[int, ...]:
    """`22.1.0-rc.1` → (22, 1, 0): what stands in front of anything else."""
    leading = re.match(r"\d{1,9}(?:\.\d{1,9})*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
