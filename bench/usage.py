"""What a process and its children take: memory, CPU, threads, open files, as Linux counts it.

Used by the tables `idle` and `long`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MIB = 2.0 ** 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """`rss_bytes`: the sum over the processes, what they share counted for each.
    `pss_bytes`: the same, what is shared divided among all of the machine that share it.
    `resident_bytes`: each page once, whoever else has it."""

    rss_bytes: int
    pss_bytes: int
    resident_bytes: int


def find_tree(pid: int) -> list[int]:
    """A process and all below it; without those that end at this moment."""
    found = [pid]
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
    for task in tasks:
        text = _read(f"/proc/{pid}/task/{task}/children")
        for child in (text or "").split():
            found += find_tree(int(child))
    return found


def memory(pids: Iterable[int]) -> Memory:
    rss = pss = own = 0
    # Pages of a file, by the mapping: the process that has most of it.
    files: dict[tuple[str, ...], int] = {}
    for pid in pids:
        rolled = _fields((_read(f"/proc/{pid}/smaps_rollup") or "").splitlines()[1:])
        rss += rolled.get("Rss", 0)
        pss += rolled.get("Pss", 0)
        # Shared among the tree alone: forks of one process.
        own += rolled.get("Pss_Anon", 0)
        for key, size in _file_pages(_read(f"/proc/{pid}/smaps") or "").items():
            files[key] = max(files.get(key, 0), size)
    return Memory(rss, pss, own + sum(files.values()))


def _file_pages(smaps: str) -> dict[tuple[str, ...], int]:
    """Bytes in memory by (device, inode, offset), without what was copied for writing."""
    found: dict[tuple[str, ...], int] = {}
    key: tuple[str, ...] | None = None
    for line in smaps.splitlines():
        head = line.split(None, 5)
        if not head[0].endswith(":"):
            key = (head[3], head[4], head[2]) if head[4] != "0" else None
        elif key is not None and head[0] in ("Rss:", "Anonymous:"):
            size = int(head[1]) * 1024
            found[key] = found.get(key, 0) + (size if head[0] == "Rss:" else -size)
    return found


def _fields(lines: Iterable[str]) -> dict[str, int]:
    """Name → bytes."""
    pairs = (line.split(":") for line in lines)
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def cpu_s(pids: Iterable[int]) -> float:
    """Since they began, with what ended children of theirs took."""
    ticks = 0
    for pid in pids:
        # The name, in brackets, may hold anything.
        fields = (_read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_S


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _read(path: str) -> str | None:
    """None for a process that is gone."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
