"""Where the CPU of a capture goes: `python bench/where.py [--recordings N] [--seconds S]`.

Prints CPU seconds for an hour of one stream, by kind of thread and by step, with the load of
table `cost`. The steps' clocks make the whole some per cent dearer than it is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import timed
from bench.base import ROOT
from bench.cost import contestants, meter
from bench.cost.load import Origin, make_media
from bench.run import SCRATCH

SETTLE_S = 12.0
# What makes a thread's name that of one recording.
_OWN = re.compile(r"-?rec_[^_-]+|[-_]?\d+")
KINDS = {"CaptureWorker": "that load playlists", "CaptureWriter-executor": "that load segments",
         "CaptureWriter": "that commit", "rec": "of recordings"}


@dataclass(frozen=True)
class Sample:
    at_s: float
    times: meter.Times
    steps: dict[str, tuple[int, float]]
    threads: dict[str, float]


def sample(told: Path, roots: list[int]) -> Sample:
    found: dict[str, Any] = json.loads(told.read_text())
    threads: dict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{found['pid']}/task").iterdir():
        name = found["threads"].get(task.name, "others")
        kind = _OWN.sub("", name).rstrip("-_")
        threads[KINDS.get(kind, kind)] += _cpu_s(task)
    return Sample(time.monotonic(), meter.times(roots), found["steps"], threads)


def _cpu_s(task: Path) -> float:
    """0 for a thread that is gone."""
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def text(before: Sample, after: Sample, recordings: int) -> str:
    """CPU seconds for an hour of one stream; of a step also how often and how long."""
    share = 3600 / (after.at_s - before.at_s) / recordings
    whole = (after.times.cpu_s - before.times.cpu_s) * share
    user = (after.times.user_s - before.times.user_s) * share
    lines = [f"{whole:6.2f} s  all, of it {user:.2f} s in user mode", ""]
    by_thread = {name: (cpu_s - before.threads.get(name, 0.0)) * share
                 for name, cpu_s in after.threads.items()}
    lines += [f"{cpu_s:6.2f} s  threads {name}" for name, cpu_s in sorted(
        by_thread.items(), key=lambda item: -item[1]) if cpu_s >= 0.005]
    lines.append("")
    for words, (calls, cpu_s) in after.steps.items():
        calls, cpu_s = calls - before.steps[words][0], cpu_s - before.steps[words][1]
        if calls:
            lines.append(f"{cpu_s * share:6.2f} s  {words} ({1000 * cpu_s / calls:.2f} ms)")
    return "\n".join(lines) + "\n"


def measure(recordings: int, seconds: float, settle_s: float, place: Path) -> str:
    media, told = place / "media", place / "times.json"
    make_media(media, settle_s + seconds + 60.0)
    with Origin(media, recordings) as origin:
        engine = contestants.Engine(place / "files", origin, recordings, live=False)
        engine.daemon.program = ROOT / "bench" / "timed.py"
        engine.daemon.environ[timed.TIMES] = str(told)
        with engine:
            engine.add(range(recordings))
            time.sleep(settle_s)
            before = sample(told, engine.roots())
            time.sleep(seconds)
            return text(before, sample(told, engine.roots()), recordings)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recordings", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-where-", dir=SCRATCH) as place:
        print(measure(args.recordings, args.seconds, SETTLE_S, Path(place)), end="")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
