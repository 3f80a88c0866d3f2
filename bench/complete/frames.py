"""Which frames of a broadcast a recording holds, whatever container it was written to.

A frame is known by the digest of its slices: parameter sets, delimiters and the form of the
start codes, which differ between containers, are left out. Used by `bench.tables.complete`.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

READ_MAX_S = 120.0
# Slices of H.264 (ITU-T H.264, table 7-1); the frames of a gap's end count, too.
_DIGESTS = ["-map", "0:v:0", "-c", "copy", "-copyinkf",
            "-bsf:v", "h264_mp4toannexb,filter_units=pass_types=1-5",
            "-f", "framehash", "-hash", "md5", "-"]


@dataclass(frozen=True)
class Count:
    """`damaged`: frames that nobody offered, such as the half of one at a cut."""

    offered: int
    found: int
    gaps: int
    doubled: int
    damaged: int
    in_order: bool

    @property
    def share_percent(self) -> float:
        return 100.0 * self.found / self.offered

    @property
    def complete(self) -> bool:
        """Every frame, whole, once, in order, and nothing else."""
        return self.found == self.offered and not self.doubled + self.damaged and self.in_order


def digests(path: Path) -> list[str]:
    """One for each frame, in the order of the file; none of a file that cannot be read."""
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), *_DIGESTS],
        capture_output=True, text=True, errors="replace", timeout=READ_MAX_S, check=False)
    # An exit code says nothing here: what could be read before the fault counts.
    # Stream, dts, pts, duration, size, digest; then perhaps some of side data.
    lines = [line.split(",") for line in done.stdout.splitlines() if not line.startswith("#")]
    return [line[5].strip() for line in lines if len(line) > 5]


def of_broadcast(bodies: Iterable[bytes], frames: int, scratch: Path) -> list[str]:
    """The digests of what is offered; raises when they do not tell its frames apart."""
    whole = scratch / "offered.ts"
    with whole.open("wb") as file:
        file.writelines(bodies)
    found = digests(whole)
    whole.unlink()
    if len(found) != frames or len(set(found)) != frames:
        raise RuntimeError(
            f"{frames} frames are offered, {len(found)} read, {len(set(found))} different")
    return found


def count(offered: Sequence[str], files: Iterable[Path]) -> Count:
    """All files of one recorder together, in the order in which they were begun."""
    got = [digest for file in files for digest in digests(file)]
    times, known = Counter(got), set(offered)
    missing = [digest not in times for digest in offered]
    gaps = sum(now and not before for before, now in zip([False, *missing], missing))
    right = [digest for digest in got if digest in known]
    return Count(
        offered=len(offered), found=len(offered) - sum(missing), gaps=gaps,
        doubled=sum(times[digest] > 1 for digest in offered),
        damaged=sum(number for digest, number in times.items() if digest not in known),
        in_order=right == [digest for digest in offered if digest in times])
