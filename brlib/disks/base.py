"""What is known of a disk, and what recordings take of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ..errors import Unavailable


class NoAnswer(Unavailable):
    """The disk of a place does not answer."""

    def __init__(self, place: str) -> None:
        super().__init__(f"The disk of {place} does not answer: try again once it does")


class DiskState(StrEnum):
    OK = "ok"
    WARNING = "warning"      # fuller than disk_warning_percent
    FULL = "full"            # less is free than recordings need
    NO_ANSWER = "no_answer"  # it has been asked, and nothing came back
    ERROR = "error"          # away, read-only, or it cannot be written


@dataclass(frozen=True)
class Answer:
    """What a file system said of itself. `device` is the same for all roots on one disk."""

    device: int
    total_bytes: int
    used_bytes: int
    free_bytes: int
    read_only: bool


def measure(path: Path) -> Answer:
    """Ask the disk below a directory; waits as long as the system does. Raises OSError."""
    device = os.stat(path).st_dev
    found = os.statvfs(path)
    return Answer(
        device=device,
        total_bytes=found.f_blocks * found.f_frsize,
        used_bytes=(found.f_blocks - found.f_bfree) * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


@dataclass(frozen=True)
class Group:
    """One disk, with the directories of ours that are on it.

    `key` tells it from others. `answer` is the last one, of `asked_s` (monotonic); None when
    there never was one. `silent`: it does not answer any more. `error`: what it answered.
    """

    key: int | str
    paths: tuple[str, ...]
    answer: Answer | None
    asked_s: float
    silent: bool
    error: str | None

    @property
    def usable(self) -> bool:
        return not self.silent and self.error is None and self.answer is not None


@dataclass(frozen=True)
class Use:
    """What one recording has taken, so far, of the captures' disk and of that of its files.

    `fed_bytes` of the captured ones are in its file. `active`: it goes on and can be stopped.
    `trouble`: why its capture cannot be written now. `gives_back`: its capture is deleted once its
    file is there; an archive may be on the same disk, and takes it in its own time.
    """

    recording_id: str
    priority: int
    output_directory: str
    captured_bytes: int
    fed_bytes: int
    active: bool
    trouble: str | None = None
    gives_back: bool = True


@dataclass(frozen=True)
class Disk:
    """A disk as people see it. `write_rate` is bytes a second; `hours_left` counts until
    recordings on it have to end, None while nothing is written."""

    paths: tuple[str, ...]
    state: DiskState
    problem: str | None
    total_bytes: int | None
    free_bytes: int | None
    used_percent: int | None
    write_rate: int
    hours_left: float | None
