"""What a capture directory is that no row speaks of: a recording, nothing yet, or a riddle.

Reads; `Empty.remove` alone deletes, and only what holds no media. Used by `Adoption`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from .. import ledger
from ..errors import CaptureDamaged
from ..identity import RECORDING_ID, Found, recall
from ..ledger import INDEX, Follower
from ..models import Gap, RecordingStatus
from ..playlist import End
from ..tally import Tally

log = logging.getLogger(__name__)

LEFT_ALONE = "nothing in it was changed"


@dataclass(frozen=True)
class Orphan:
    """A recording without a row."""

    found: Found
    gaps: list[Gap]


@dataclass(frozen=True)
class Empty:
    """A capture that was begun and got no media."""

    directory: Path
    files: tuple[Path, ...]

    def remove(self) -> None:
        """Raises OSError, also where something has come into it meanwhile."""
        for path in self.files:
            path.unlink(missing_ok=True)
        self.directory.rmdir()


@dataclass(frozen=True)
class Riddle:
    """Something that a person has to look at; `problem` says what and where."""

    problem: str


def has_captures(parent: Path) -> bool:
    """Whether there is anything that a store ought to know of. Raises OSError."""
    try:
        return any(RECORDING_ID.fullmatch(path.name) for path in parent.iterdir())
    except FileNotFoundError:
        return False


def judge(directory: Path) -> Orphan | Empty | Riddle | None:
    """None: it is not a capture, or is gone by now. Raises OSError."""
    files = {path.name: path.stat().st_size for path in directory.iterdir()}
    if not RECORDING_ID.fullmatch(directory.name):
        if INDEX not in files:
            return None
        return Riddle(f"{directory} is named like no recording (rec_ and 12 characters of a-z0-9) "
                      f"and is not adopted; {LEFT_ALONE}")
    if not set(files) - {INDEX}:
        empty = Empty(directory, tuple(directory / name for name in files))
        return empty if _segments(directory) == 0 else _damaged(
            directory, "its media files are gone")
    try:
        return _judge_media(directory, files)
    except (CaptureDamaged, ValueError, KeyError, OverflowError) as error:
        return _damaged(directory, str(error))


def _judge_media(directory: Path, files: dict[str, int]) -> Orphan | Empty | Riddle:
    """Raises CaptureDamaged, ValueError, KeyError, OSError."""
    sound, said = ledger.check(directory), Tally()
    entries = Follower(directory).news()
    for entry in entries:
        said.add(entry)
    if not sound.sums.segments:
        return _without_segments(directory, files, sound)
    found = recall(directory.name, entries, sound.sums)
    if found.recording.status is RecordingStatus.PROCESSING and said.sums != sound.sums:
        # The disk lost the last of it although it was closed: recovery has to cut it first.
        found = recall(directory.name, [e for e in entries if not isinstance(e, End)], sound.sums)
    return Orphan(found, sound.gaps)


def _without_segments(directory: Path, files: dict[str, int], sound: Tally) -> Empty | Riddle:
    """Init sections are no media. Bytes that no line speaks of may be some."""
    for name, size_bytes in files.items():
        known = sound.by_part.get(name)
        if name != INDEX and size_bytes > (known.captured_bytes if known else 0):
            return _damaged(directory, f"its index names nothing of what is in {name}")
    return Empty(directory, tuple(directory / name for name in files))


def _damaged(directory: Path, why: str) -> Riddle:
    return Riddle(f"the capture {directory} cannot be adopted: {why}; {LEFT_ALONE}. Its media "
                  "files may be played as they are; move it elsewhere to end this message")


def _segments(directory: Path) -> int:
    """How many its index names, as far as it can be read."""
    if not (directory / INDEX).exists():
        return 0
    try:
        return ledger.read(directory).sums.segments
    except (CaptureDamaged, ValueError, KeyError, OverflowError) as error:
        log.debug("%s: %s", directory, error)
        return 0
