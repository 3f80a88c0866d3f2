"""Recordings that the store does not know of are listed again; nothing is deleted on a guess.

At the start captures without a row get one, so that the recorder goes on with them; then, and
every quarter of an hour, a thread looks for more. After a damaged store the finished files are
looked through, too: for long on a large disk, so that nothing else waits for it. Finished files
come before captures that have an end: of a recording that has both the file is the proof.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..config import Settings
from ..errors import Conflict, RecorderError, RecordingNotFound
from ..ledger import ARCHIVE, DONE
from ..models import ACTIVE, EndReason, Recording, RecordingStatus, utc_now
from ..store import Rebuilt, Store
from ..store.recordings import Filter
from ..workers import Worker
from .base import SENSELESS
from .captures import Empty, Orphan, Riddle, judge
from .relisting import Relisting

log = logging.getLogger(__name__)

EVERY_S = 900.0
# A capture on its way out or to the archive or, after a crash, on its way back.
LEAVING = (DONE, ARCHIVE)
LOST = ("Its capture is gone and no finished file of it was found: there is nothing to make "
        "one from")


@dataclass(frozen=True)
class Hands:
    """What others do with what is found: `busy` says whether somebody works at a recording,
    with or without a row; `go_on` takes up one that is recording, `finish` one that has
    ended."""

    busy: Callable[[str], bool]
    go_on: Callable[[Recording], None]
    finish: Callable[[Recording], None]


class Adoption:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, rebuilt: Rebuilt | None,
        hands: Hands,
    ) -> None:
        self._settings = settings
        self._store = store
        self._rebuilt = rebuilt
        self._hands = hands
        # Nobody is, before the start.
        self._busy: Callable[[str], bool] = lambda recording_id: False
        self._riddles: dict[str, str] = {}
        self._relisting = Relisting(settings, store, self._known)
        # Adopted, and not taken up yet.
        self._untaken: list[str] = []
        self._summary: str | None = None
        # Whether something is still to be looked through.
        self._waits = False
        self.worker = Worker("adoption", self.step)

    # At the start, before anybody reads rows.

    def prepare(self) -> None:
        """Rows for the captures that go on, an end for rows that have none any more. Goes to
        the data directory alone. Raises OSError, sqlite3.Error."""
        for orphan in self._orphans():
            if orphan.found.recording.active:
                self._try_add(orphan)
        lost = set[str]()
        for recording in self._store.recordings.find_with_status(
                (*ACTIVE, RecordingStatus.PROCESSING)):
            if self._is_lost(recording):
                self._give_up(recording)
                lost.add(recording.id)
        self._relisting.begin(lost, everything=self._rebuilt is not None)

    def _is_lost(self, recording: Recording) -> bool:
        """Those with files are the assembly's to prove, cancelled ones are to be dropped."""
        captures = self._settings().captures_directory
        return not (
            recording.end_reason is EndReason.CANCELLED
            or recording.status is RecordingStatus.PROCESSING and recording.files
            or _holds_something(captures / recording.id)
            or any(_is_directory(captures / (recording.id + name)) for name in LEAVING))

    def _give_up(self, recording: Recording) -> None:
        log.error("%s (%s) was %s, and its capture is gone", recording.id,
                  recording.channel_name, recording.status)
        if recording.active:
            self._store.recordings.change(
                recording.id, status=RecordingStatus.PROCESSING, end_reason=EndReason.STALLED,
                ended_at=utc_now())
        self._store.recordings.change(
            recording.id, status=RecordingStatus.FAILED, error=LOST)

    # Afterwards, in a thread of its own.

    def start(self) -> None:
        self._busy = self._hands.busy
        self.worker.start()

    def stop(self) -> None:
        """Returns at once, idempotent."""
        self.worker.stop()

    def join(self, deadline_s: float) -> bool:
        return self.worker.join(deadline_s)

    def step(self) -> float:
        """One directory or recording of the search, as long as there is one; else a look."""
        if self._relisting.step():
            return 0.0
        self.look()
        if self._rebuilt is not None:
            self._sum_up(self._rebuilt)
        return EVERY_S

    def look(self) -> None:
        """Adopt what has no row and nobody at work. Any number of times, while all else runs.
        Raises OSError, sqlite3.Error."""
        self._untaken += [one.id for orphan in self._orphans()
                          if (one := self._try_add(orphan)) is not None]
        self._untaken = [one for one in self._untaken if not self._taken_up(one)]

    def _taken_up(self, recording_id: str) -> bool:
        """False: it is to be tried again at the next look."""
        try:
            recording = self._store.recordings.get(recording_id)
            if recording.active and not self._busy(recording_id):
                self._hands.go_on(recording)
            elif recording.status is RecordingStatus.PROCESSING:
                self._hands.finish(recording)
        except RecordingNotFound:
            log.info("%s was adopted and is deleted by now", recording_id)
        except (RecorderError, OSError, sqlite3.Error) as error:
            log.error("%s was adopted and cannot be taken up yet: %s", recording_id, error)
            return False
        return True

    def _orphans(self) -> Iterator[Orphan]:
        riddles: dict[str, str] = {}
        for directory in self._unknown():
            verdict = _judged(directory)
            # Whoever deletes a recording removes its capture first and its row last.
            if not _is_directory(directory) or self._known(directory.name):
                continue
            match verdict:
                case Orphan():
                    yield verdict
                case Empty():
                    self._remove(verdict)
                case Riddle():
                    riddles[directory.name] = verdict.problem
                    if directory.name not in self._riddles:
                        log.error("%s", verdict.problem)
        self._riddles = riddles

    def _unknown(self) -> Iterator[Path]:
        for directory in sorted(self._settings().captures_directory.iterdir()):
            if (not directory.name.endswith(LEAVING) and _is_directory(directory)
                    and not self._known(directory.name)):
                yield directory

    def _known(self, recording_id: str) -> bool:
        """Asked in this order: who is at work at one without a row adds the row before he
        ends."""
        if self._busy(recording_id):
            return True
        try:
            self._store.recordings.get(recording_id)
        except RecordingNotFound:
            return False
        return True

    @staticmethod
    def _remove(empty: Empty) -> None:
        try:
            empty.remove()
        except OSError as error:
            log.warning("%s holds no media and cannot be removed: %s", empty.directory, error)
        else:
            log.info("%s held no media and is removed", empty.directory)

    def _try_add(self, orphan: Orphan) -> Recording | None:
        """One of which the store can take nothing must not hide the others."""
        try:
            return self._add(orphan)
        except SENSELESS as error:
            log.error("%s cannot be adopted: %s", orphan.found.recording.id, error)
            return None

    def _add(self, orphan: Orphan) -> Recording:
        recording = replace(orphan.found.recording, channel_id=self._channel_of(orphan))
        log.warning("%s (%s, %s) had a capture and no row: it is adopted, %d segments",
                    recording.id, recording.channel_name, recording.status,
                    recording.sums.segments)
        self._store.recordings.add(recording)
        self._store.recordings.set_gaps(recording.id, orphan.gaps)
        return recording

    def _channel_of(self, orphan: Orphan) -> str:
        """After a damaged store a channel that was being recorded is watched again. Elsewhere
        one that is not there was deleted."""
        recording, channel = orphan.found.recording, orphan.found.channel
        if self._rebuilt is None or not recording.active or channel is None:
            return recording.channel_id
        try:
            self._store.channels.add(channel)
        except Conflict:
            same = [one for one in self._store.channels.find_all() if (
                one.id == channel.id or one.platform == channel.platform
                and one.name.lower() == channel.name.lower())]
            return same[0].id if same else recording.channel_id
        log.warning("%s (%s) is watched again", channel.display_name, channel.id)
        return channel.id

    # What is to be said.

    def problems(self) -> list[str]:
        """For health, until the next start that finds nothing wrong."""
        found = list(self._riddles.values())
        if self._summary is not None:
            found.append(self._summary)
        elif self._rebuilt is not None:
            found.append(f"{self._rebuilt}; it is being rebuilt, what was set aside is in "
                         f"{self._rebuilt.aside}")
        if self._store.database.damage is not None:
            found.append(f"the store is damaged ({self._store.database.damage}): recordings go "
                         "on; restart the daemon, which rebuilds it")
        return found

    def _sum_up(self, rebuilt: Rebuilt) -> None:
        """Raises OSError, sqlite3.Error."""
        if self._summary is not None and not self._waits:
            return
        self._waits = bool(self._relisting.unread)
        if not self._waits:
            rebuilt.done()
        channels = len(self._store.channels.find_all())
        recordings = self._store.recordings.count(Filter())
        later = "".join(f"; {path} cannot be read now and is looked through later"
                        for path in sorted(self._relisting.unread))
        summary = (f"{rebuilt} and rebuilt: {channels} channels, {recordings} recordings{later}; "
                   f"what was set aside is in {rebuilt.aside}")
        if summary != self._summary:
            log.warning("%s", summary)
        self._summary = summary


def _judged(directory: Path) -> Orphan | Empty | Riddle | None:
    """One that cannot be read must not hide the others."""
    try:
        return judge(directory)
    except OSError as error:
        return Riddle(f"{directory} cannot be looked into: {error}")


def _is_directory(path: Path) -> bool:
    """One that cannot even be asked is there: `_judged` says what is wrong with it."""
    try:
        return path.is_dir() and not path.is_symlink()
    except OSError as error:
        log.debug("%s cannot be looked at: %s", path, error)
        return True


def _holds_something(directory: Path) -> bool:
    """What cannot be understood of it the assembly says."""
    try:
        return directory.is_dir() and any(directory.iterdir())
    except OSError as error:
        log.error("%s cannot be looked into: %s", directory, error)
        return True
