"""A recording's capture and the sessions that feed it, one after the other.

Used by `ActiveRecording` alone. Knows what a break between two sessions means: its cause is
kept until a session has judged its first playlist, and what the last one left undone is
written off when nobody will fetch it any more.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import CaptureDamaged, DiskHangs
from ..models import Activity, Course, Gap, GapCause, SessionEnd, Sums
from ..rules import stalled
from .base import Capture, Captures, Session

log = logging.getLogger(__name__)

# A playlist request that takes so long is not waited for.
RELOAD_MAX_S = 20.0
# Of several causes of one gap the last one here is told. What we ourselves did or could not do
# comes behind what others did; and what was paused stays out, whatever happens then.
WEIGHTS = (None, GapCause.SOURCE, GapCause.NETWORK, GapCause.EXPIRED, GapCause.AD,
           GapCause.OFFLINE, GapCause.DAEMON_DOWN, GapCause.DISK, GapCause.PAUSED)
# As long as segments are on their way nobody doubts the session, but not for ever.
BUSY_MAX_S = 300.0


class Reception:
    def __init__(
        self, captures: Captures, name: str, directory: Path, on_news: Callable[[], None],
        cause: GapCause | None, clock: Callable[[], float] = time.monotonic,
        notes: Mapping[str, str] = MappingProxyType({}), sums: Sums = Sums(),
    ) -> None:
        """`notes` are what a new capture begins with: whose it is. `sums` are what one has that
        is there already, as far as is known before it is opened."""
        self.capture: Capture | None = None
        self.session: Session | None = None
        self._captures = captures
        self._name = name
        self._directory = directory
        self._on_news = on_news
        self._clock = clock
        self._notes = notes
        self._sums = sums
        self._cause = cause
        self._left: Session | None = None
        self._to_note: dict[str, str] = {}
        self._made_s = self._opened_s = clock()

    def recover(self) -> None:
        """Go on with the capture on disk. Raises CaptureDamaged, OSError."""
        if self.capture is None:
            self.capture = self._captures.recover(self._name, self._directory, self._on_news)

    def open(self, stream: Any, anew: bool) -> None:
        """Begin a session; `anew` makes the capture where there is none yet.

        Raises CaptureDamaged, OSError.
        """
        if self.capture is None and anew:
            self.capture = self._captures.create(self._name, self._directory, self._on_news)
        self.recover()
        assert self.capture is not None
        if anew:
            # Before the first segment. Those that are there already are not written again.
            for key, value in self._notes.items():
                self.capture.note(key, value)
        self._opened_s = self._clock()
        self.session = self.capture.open(
            stream, self._cause, at_edge=self._cause is GapCause.PAUSED)

    def note(self, key: str, value: str) -> None:
        """From any thread; `tend` writes it."""
        self._to_note[key] = value

    def tend(self) -> None:
        """Bring to the disk what waits for it, unless a write is under way. Raises OSError."""
        try:
            self._write_notes()
            if self.capture is not None:
                self.capture.sync_if_due()
        except DiskHangs:
            log.debug("%s: its disk takes its time", self._name)

    def _write_notes(self) -> None:
        """Raises OSError; what could not be written is there the next time."""
        if self.capture is None:
            return
        for key in list(self._to_note):
            value = self._to_note.pop(key)
            try:
                self.capture.note(key, value)
            except OSError:
                self._to_note.setdefault(key, value)
                raise

    def close(self, cause: GapCause | None = None) -> None:
        """End the session, if there is one; what is missing until the next has this cause,
        or the one that is known already, if that weighs more."""
        session, self.session = self.session, None
        if session is not None:
            session.close()
            if session.judged:
                # One that was never judged has nothing on its way; the one before may have.
                self._left, self._cause = session, session.cause
        self._cause = max(self._cause, cause, key=WEIGHTS.index)

    def leave(self) -> None:
        """The last call: let go of everything, also of a ledger that could not be closed."""
        self.close()
        if self.capture is not None:
            self.capture.leave()

    @property
    def end(self) -> SessionEnd | None:
        return self.session.end if self.session is not None else None

    @property
    def activity(self) -> Activity:
        """`capturing` only while segments really arrive on the disk."""
        if self.session is None:
            return Activity.RECONNECTING
        still = stalled(self.idle_s, self.session.target_duration_s)
        return Activity.STALLED if still else Activity.CAPTURING

    @property
    def hung(self) -> bool:
        """Whether the session waits for a playlist for too long."""
        if self.session is None:
            return False
        limit_s = max(RELOAD_MAX_S, 2 * self.session.target_duration_s + RELOAD_MAX_S / 2)
        return self._clock() - self.session.reload_begun_s > limit_s

    @property
    def hanging_s(self) -> float:
        """How long a write has been hanging, on a disk that does not answer; 0 else."""
        return self.capture.hanging_s if self.capture is not None else 0.0

    @property
    def trouble(self) -> str | None:
        """Why the capture could not be written when that was tried last."""
        return self.capture.trouble if self.capture is not None else None

    @property
    def sums(self) -> Sums:
        return self.capture.sums if self.capture is not None else self._sums

    @property
    def edge(self) -> str | None:
        return self.capture.edge if self.capture is not None else None

    @property
    def tail(self) -> str | None:
        """What may have been the newest segment of late, by spaces."""
        return (self.capture.tail or None) if self.capture is not None else None

    @property
    def idle_s(self) -> float:
        """Since the last segment; without a capture since the recording was taken up."""
        if self.capture is not None:
            return self.capture.idle_s
        return self._clock() - self._made_s

    @property
    def absent_s(self) -> float:
        """How long the broadcast has verifiably given nothing. What the wall clock says of the
        time before this process does not count: it may have been set, and would end a
        recording that merely waits."""
        return min(self.idle_s, self._clock() - self._made_s)

    @property
    def quiet_s(self) -> float:
        """How long the present session has brought nothing, with nothing on its way."""
        if self.session is not None and self.session.busy and self.idle_s < BUSY_MAX_S:
            return 0.0
        target_s = self.session.target_duration_s if self.session is not None else 0.0
        quiet_s = min(self.idle_s, self._clock() - self._opened_s)
        return max(0.0, quiet_s - 3 * target_s)

    @property
    def gaps(self) -> list[Gap]:
        return self.capture.gaps if self.capture is not None else []

    @property
    def course(self) -> Course:
        return self.capture.course if self.capture is not None else Course()

    def finish(self, over: bool) -> list[Gap]:
        """Close the ledger for good; the gaps it holds. `over`: the broadcast has ended, so
        that what is still on its way will never come. Raises CaptureDamaged, OSError; DiskHangs
        when it is to be tried again."""
        self.recover()
        assert self.capture is not None
        judged = self.session is not None and self.session.judged
        try:
            self.capture.settle()
            self._write_notes()
            if over and self._left is not None and not judged:
                # What came while its disk was away nobody else has lost.
                self._left.write_off(self._cause if self._cause is GapCause.DISK else None)
        except DiskHangs:
            raise
        except (CaptureDamaged, OSError):
            self.capture.finish()
            raise
        self.capture.finish()
        return self.capture.gaps

    def suspend(self) -> None:
        """Close the ledger to be continued; an empty capture goes. Raises OSError."""
        if self.capture is None:
            return
        self.capture.suspend()
        if not self.capture.sums.segments:
            shutil.rmtree(self._directory)
            self.capture = None


def first_cause(begun: bool, paused: bool) -> GapCause | None:
    """Why something may be missing before the first session of this process."""
    if paused:
        return GapCause.PAUSED
    return GapCause.DAEMON_DOWN if begun else None
