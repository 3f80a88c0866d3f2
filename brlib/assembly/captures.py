"""The captures that files are made of: which are there and whole, and how they go once they are
not needed. Asked by `Assembly`, and by `CaptureArchive` about those that wait for it.

One that goes is taken out of its place at once, and its index is the first of it to be removed:
what is removed file by file must never be taken for a whole one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import ledger
from ..config import Settings
from ..disk import sync_names
from ..errors import CaptureDamaged
from ..ledger import ARCHIVE, DONE
from ..models import Recording
from ..tally import Tally
from .place import find_originals

log = logging.getLogger(__name__)

# What becomes of a capture whose file is proven, and how it is called from then on.
_LEAVES_AS = {"delete": DONE, "archive": ARCHIVE}


class Captures:
    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    def directory(self, recording_id: str) -> Path:
        return self._settings().captures_directory / recording_id

    def has(self, recording: Recording) -> bool:
        return (self.directory(recording.id) / ledger.INDEX).exists()

    def holds(self, recording: Recording) -> bool:
        """Whether the disk bears out all that was counted. Raises CaptureDamaged, OSError."""
        held = ledger.check(self.directory(recording.id)).sums
        return held.captured_bytes >= recording.sums.captured_bytes

    def is_source(self, recording: Recording) -> bool:
        """Whether its file is to be made of its capture: not of one that is shorter than the
        file that is there. Raises CaptureDamaged, OSError."""
        if find_originals(recording.files) is None:
            return True
        return self.has(recording) and self.holds(recording)

    def settle(self, recording: Recording) -> Tally | None:
        """What the disk has of it for good, cut back to that. None where there is nothing to be
        cut, or it must not be. Raises CaptureDamaged, OSError."""
        if not self.has(recording) or not self.is_source(recording):
            return None
        return ledger.settle(self.directory(recording.id))

    # On their way out.

    def find_leaving(self, name: str) -> Iterator[tuple[str, Path]]:
        """Recordings' ids, and where their captures are that are called so (DONE, ARCHIVE)."""
        for path in sorted(self._settings().captures_directory.glob("*" + name)):
            yield path.name.removesuffix(name), path

    def waiting(self, recording_id: str) -> Path:
        """Where it is while it waits for the archive."""
        return self.directory(recording_id + ARCHIVE)

    def put_back(self, recording_id: str, aside: Path) -> bool:
        """False where that cannot be: its removal had begun, or there is another one by now.
        Raises OSError."""
        capture = self.directory(recording_id)
        if capture.exists() or not (aside / ledger.INDEX).exists():
            return False
        aside.rename(capture)
        return True

    def take_back(self, recording_id: str) -> None:
        """In its place again, if it waits for the archive and is not there by now."""
        try:
            self.put_back(recording_id, self.waiting(recording_id))
        except OSError as error:
            log.warning("%s: its capture is not taken back: %s", recording_id, error)

    def set_aside(
        self, recording: Recording, capture_after: str, made_of: Path | None = None
    ) -> Path | None:
        """Take the capture of a finished recording out of its place, if it is not to be kept;
        where it is now. `made_of`: the one that its file was just made of, to the last byte."""
        name = _LEAVES_AS.get(capture_after)
        if name is None:
            return None
        if name == ARCHIVE and self._settings().archive_directory is None:
            log.warning("%s: its capture is kept, there is no archive_directory", recording.id)
            return None
        capture = self.directory(recording.id)
        aside = capture.with_name(capture.name + name)
        try:
            if not self.has(recording):
                return None
            if made_of != capture and not self.holds(recording):
                log.error("%s: its file was not made of its capture, which is kept: %s",
                          recording.id, capture)
                return None
            capture.rename(aside)
            sync_names(capture.parent)
            return aside
        except (CaptureDamaged, OSError) as error:
            log.warning("%s: its capture cannot be set aside: %s", recording.id, error)
        return aside if aside.exists() and not capture.exists() else None

    @staticmethod
    def remove(done: Path) -> None:
        """What cannot be removed now is at the next start."""
        try:
            (done / ledger.INDEX).unlink(missing_ok=True)
            shutil.rmtree(done)
        except OSError as error:
            log.warning("%s is removed at the next start: %s", done, error)
