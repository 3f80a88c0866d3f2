"""CPU time and memory of process trees, out of /proc. Used by table `cost`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat behind the name: state, ppid, … utime, stime, cutime, cstime.
_PARENT, _TIMES = 1, slice(11, 15)


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
        if fields := _stat(pid):
            children[int(fields[_PARENT])].append(pid)
    found = list(roots)
    for pid in found:
        found += children[pid]
    return found


@dataclass(frozen=True)
class Times:
    """CPU seconds, in user mode and in all."""

    user_s: float
    cpu_s: float


def times(roots: Iterable[int]) -> Times:
    """What a tree has taken so far, with children that have ended and were waited for."""
    user = kernel = 0
    for pid in tree(roots):
        if fields := _stat(pid):
            own_user, own_kernel, ended_user, ended_kernel = map(int, fields[_TIMES])
            user, kernel = user + own_user + ended_user, kernel + own_kernel + ended_kernel
    return Times(user / _TICKS_PER_S, (user + kernel) / _TICKS_PER_S)


def pss_bytes(roots: Iterable[int]) -> int:
    """Resident memory of a tree, what processes share divided among them."""
    return sum(_pss_bytes(pid) for pid in tree(roots))


def _stat(pid: int) -> list[str]:
    """Empty for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in text.splitlines()
               if line.startswith("Pss:"))
