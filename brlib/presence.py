"""Whether finished files are still there: people delete and move them.

Looked at by the service before each cleanup. What is missing is said in the recording's error
and no longer counts as used; what comes back is well again. A share that is away is not taken
for a loss: its directory is not there, is empty, or its disk does not answer.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from .config import Settings
from .disks import Disks, NoAnswer
from .models import Recording
from .store import Store

log = logging.getLogger(__name__)

PAGE = 200
LOOK_MAX_S = 60.0
MISSING = "Not there any more, deleted or moved by someone: "


@dataclass(frozen=True)
class Found:
    """What is there of a recording's files."""

    recording: Recording
    size_bytes: int
    missing: tuple[str, ...]


class Presence:
    def __init__(self, settings: Callable[[], Settings], store: Store, disks: Disks) -> None:
        self._settings = settings
        self._store = store
        self._disks = disks
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let a look end with the page it is at. Returns at once, idempotent."""
        self._stopping.set()

    def look(self) -> None:
        """At every complete recording, page by page."""
        last = ""
        away: set[str] = set()
        while not self._stopping.is_set():
            page = self._store.recordings.find_with_files(last, PAGE)
            if not page:
                return
            last = page[-1].id
            for root, recordings in groupby(sorted(page, key=self._root), self._root):
                if root not in away and not self._look_at(root, list(recordings)):
                    away.add(root)

    def _root(self, recording: Recording) -> str:
        return recording.output_directory or str(self._settings().output_directory)

    def _look_at(self, root: str, recordings: Sequence[Recording]) -> bool:
        """False where nothing can be seen: the directory itself is away."""
        try:
            found = self._disks.ask(root, lambda: _found(Path(root), recordings), LOOK_MAX_S)
        except (NoAnswer, OSError) as error:
            log.debug("Whether files are still in %s is not known: %s", root, error)
            return False
        for one in found:
            self._note(one)
        return bool(found)

    def _note(self, found: Found) -> None:
        before = found.recording
        error = verdict(before.error, found.missing)
        if error == before.error:
            return
        if self._store.recordings.note_files(before, found.size_bytes, error):
            log.warning("%s: %s", before.id, error or "its files are there again")


def verdict(error: str | None, missing: Iterable[str]) -> str | None:
    """A complete recording's error, now that this is missing. Another error stays, behind it."""
    rest = error
    if error is not None and error.startswith(MISSING):
        rest = error.partition("\n")[2] or None
    names = ", ".join(missing)
    return "\n".join(filter(None, (MISSING + names if names else None, rest))) or None


def _found(root: Path, recordings: Sequence[Recording]) -> list[Found]:
    """Nothing where the directory is empty. Raises OSError where it is away."""
    with os.scandir(root) as entries:
        if next(entries, None) is None:
            return []
    return [found for recording in recordings if (found := _files(recording)) is not None]


def _files(recording: Recording) -> Found | None:
    """None for what cannot be looked at, which is not to say that it is missing."""
    size_bytes, missing = 0, []
    for name in recording.files:
        try:
            size_bytes += os.stat(name).st_size
        except (FileNotFoundError, NotADirectoryError):
            missing.append(name)
        except OSError:
            return None
    return Found(recording, size_bytes, tuple(missing))
