"""What a table was measured on and with: machine, versions, commit. Asked by `bench.run`."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from .base import ROOT

ANSWER_MAX_S = 10.0
PACKAGES = ("streamlink", "yt-dlp", "gunicorn")


def described() -> dict[str, str]:
    """Name and value of everything a figure may depend on, in the order to be shown."""
    load = os.getloadavg()[0]
    return {
        "CPU": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{_memory_mib() / 1024:.1f} GiB",
        "load before": f"{load:.2f}",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "FFmpeg": _ffmpeg(),
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def _cpu() -> str:
    said = Path("/proc/cpuinfo").read_text("utf-8")
    # ARM kernels name no model there, but the board has one.
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", said, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory_mib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2 ** 20


def _ffmpeg() -> str:
    found = re.match(r"ffmpeg version (\S+)", _said(["ffmpeg", "-version"]))
    return found[1] if found else "not there"


def _commit() -> str:
    commit = _said(["git", "rev-parse", "--short=12", "HEAD"]).strip()
    if not commit:
        return "not a checkout"
    # Results of other tables are no change of what is measured.
    changed = _said(["git", "status", "--porcelain", "--untracked-files=no", "--", ".",
                     ":!bench/results", ":!bench/RESULTS.md"])
    return f"{commit} with changes" if changed.strip() else commit


def _said(argv: Sequence[str]) -> str:
    """Standard output; nothing where the program is missing or fails."""
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False,
                              timeout=ANSWER_MAX_S)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
