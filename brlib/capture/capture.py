"""The capture of one recording: sessions come and go, the ledger grows.

Made by the recorder, one per recording. Commits come from the session's writer thread,
everything else that is written from the recording's own; one lock keeps them apart, and only
writers take it: a disk that hangs in the middle of a write keeps no reader waiting, and no
other writer but the session's for long. Knows when a new part file begins and syncs in groups.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from streamlink.stream.hls.hls import HLSStream

from ..clocks import boot_s
from ..continuity import Listed, Position
from ..errors import DiskHangs
from ..ledger import Ledger
from ..models import Course, Gap, GapCause, Sums, utc_now
from ..playlist import End, Hole, Note, Segment
from ..pulse import Pulse
from ..shape import Shape, alike, shape_of
from ..tally import Tally, digest_of
from .base import Missed, Source, Timeouts
from .remux import RemuxSession, Way, ends_at
from .session import Session, Start
from .timeline import Timeline, goes_on, timeline_of, unknown

log = logging.getLogger(__name__)

SYNC_EVERY_S = 5.0
# What a cache may still show as the newest when the broadcast is over.
TAIL_SEGMENTS = 10
# RFC 8216 wants the target duration first, before we know the segments: a bound that
# broadcasts keep (Twitch 2-6 s, YouTube 1-5 s, Apple's advice 6 s).
TARGET_DURATION_S = 10
# A write that takes so long hangs. A slow card takes seconds.
HANGING_S = 10.0
# How long the recording's own thread waits for one that does. Less than the daemon's stop may
# take.
OWN_WAIT_S = 1.0
# There is no room, and nothing else is wrong: what was half written has been cut off.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Capture:
    """`on_news` is called in streamlink's threads after every committed segment and when a
    session ends."""

    def __init__(
        self, name: str, ledger: Ledger, *, on_news: Callable[[], None],
        timeouts: Timeouts = Timeouts(), ffmpeg: Callable[[], str] = lambda: "ffmpeg",
        clock: Callable[[], float] = boot_s,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._name = name
        self._ledger = ledger
        self._on_news = on_news
        self._timeouts = timeouts
        self._ffmpeg = ffmpeg
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._writes = Pulse(HANGING_S)
        self._error: str | None = None
        self._closed = False
        self._synced_s = clock()
        self._committed_s = clock() - self._wall_idle_s()
        self._timeline: Timeline | None = None
        self._missed_since_s = 0.0
        self._jumped = False
        # Committed once, and gone when the disk was back: where the source goes on behind it.
        self._lost: tuple[Missed, int, int] | None = None
        self._session: Session | RemuxSession | None = None
        if ledger.tally.part is not None:
            self._recall_part()

    @classmethod
    def create(cls, name: str, directory: Path, **options: Any) -> Capture:
        """A new capture directory. Raises OSError."""
        return cls(name, Ledger.create(directory, TARGET_DURATION_S), **options)

    @classmethod
    def recover(cls, name: str, directory: Path, **options: Any) -> Capture:
        """Go on with what a stopped or crashed daemon left. Raises CaptureDamaged, OSError."""
        return cls(name, Ledger.recover(directory), **options)

    def open(
        self, stream: Any, cause: GapCause | None = None, at_edge: bool = False
    ) -> Session | RemuxSession:
        """Read a stream on from where the capture stands: plain HLS as it is, any other of
        streamlink's through FFmpeg.

        `cause` names what is missing in between, if anything is; `at_edge` takes only what
        the origin offers from now on. Raises OSError, CaptureDamaged.
        """
        with self._writing():
            self._mend()
            tally = self._ledger.tally
            start = Start(self._position(tally), tally.epoch, cause, at_edge)
            plain = isinstance(stream, HLSStream)
            way = Way(self._ffmpeg(), None if plain else self._media_end_s())
        session: Session | RemuxSession
        if plain:
            session = Session(self._name, self, start, self._timeouts, self._on_news)
        else:
            session = RemuxSession(self._name, self, start, way, self._timeouts, self._on_news)
        session.open(stream)
        self._session = session
        return session

    def note(self, key: str, value: str) -> None:
        """Record that the title, the category, … is this from here on. Raises OSError."""
        with self._writing():
            if not self._closed and self._ledger.tally.notes.get(key) != value:
                self._ledger.append(Note(key, value))

    def sync_if_due(self) -> None:
        """Bring a stalled stream's last segments to the disk, too. Raises OSError."""
        if self._closed or self._clock() - self._synced_s < SYNC_EVERY_S or self._writes.busy_s:
            # Whoever is writing syncs, too.
            return
        with self._writing():
            if not self._closed:
                self._sync()

    def suspend(self) -> None:
        """Sync and close, to be continued. Idempotent. Raises OSError; DiskHangs when a
        write hangs, which closes it once it is over."""
        self._closed = True
        with self._writing():
            self._ledger.close()

    def settle(self) -> None:
        """Before the last entries: wait for a write, and mend what a failed one has left.
        Raises OSError, DiskHangs, CaptureDamaged."""
        with self._writing():
            if not self._closed:
                self._mend()

    def finish(self) -> None:
        """Sync and close for good: whoever follows the index sees its end. Closed whatever
        happens, unless a write hangs. Raises OSError, DiskHangs then."""
        with self._writing():
            try:
                if not self._closed:
                    self._note_lost()
                    self._ledger.append(End())
            finally:
                self._closed = True
                self._ledger.close()

    def leave(self) -> None:
        """Close it as it is, or let whoever writes at this moment do that. Returns at once."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            self._ledger.abandon()
            self._lock.release()

    @contextmanager
    def _writing(self, for_ever: bool = False) -> Iterator[None]:
        """Alone with the ledger. Raises DiskHangs when another's write does."""
        if not self._lock.acquire(timeout=-1 if for_ever else OWN_WAIT_S):
            raise DiskHangs(errno.ETIMEDOUT, "The disk does not answer")
        try:
            with self._writes:
                yield
                if self._closed:
                    # Whoever wanted to close it may have given up waiting for us.
                    self._ledger.close()
        except OSError as error:
            self._error = error.strerror or str(error)
            if error.errno not in NO_ROOM:
                self._ledger.doubtful = True
            raise
        finally:
            self._lock.release()

    def _mend(self) -> None:
        """After a failure that leaves open what is on the disk: go on with what is there. The
        disk may have been away, and be another by now."""
        if not self._ledger.doubtful:
            return
        tally = self._ledger.tally
        before = tally.sums
        self._ledger = self._ledger.again()
        self._timeline = None
        self._recall_part()
        sums = self._ledger.tally.sums
        if sums.segments < before.segments:
            missed = Missed(before.segments - sums.segments, before.captured_s - sums.captured_s,
                            GapCause.DISK)
            self._lost = missed, tally.expected, tally.epoch
        log.warning("%s: its disk is back with %d of %d segments", self._name, sums.segments,
                    before.segments)

    @property
    def hanging_s(self) -> float:
        """How long the present write has been going on; 0 while that is no cause for worry."""
        return self._writes.busy_s if self._writes.stuck else 0.0

    @property
    def trouble(self) -> str | None:
        """Why it cannot be written now, for a person."""
        if self._writes.stuck:
            return "The disk does not answer"
        return self._error

    @property
    def sums(self) -> Sums:
        return self._ledger.tally.sums

    @property
    def gaps(self) -> list[Gap]:
        return list(self._ledger.tally.gaps)

    @property
    def course(self) -> Course:
        return self._ledger.tally.course

    @property
    def edge(self) -> str | None:
        """The newest segment taken, named as `Broadcast.edge` names it."""
        last = self._ledger.tally.last
        if last is None:
            return None
        # Numbers of our own mean nothing to a check, which sees the source's.
        own = self._session.edge if isinstance(self._session, RemuxSession) else None
        return own or f"{last.num}:{last.path}"

    @property
    def tail(self) -> str:
        """The newest segments, each as `edge` names it."""
        newest = list(self._ledger.tally.recent.values())[-TAIL_SEGMENTS:]
        named = [f"{segment.num}:{segment.path}" for segment in newest]
        return " ".join(dict.fromkeys([*named, self.edge or ""])).strip()

    @property
    def idle_s(self) -> float:
        """Seconds since the last commit (or, without one, since this capture was made)."""
        return self._clock() - self._committed_s

    def _wall_idle_s(self) -> float:
        last = self._ledger.tally.last
        return max(0.0, (self._now() - last.taken_at).total_seconds()) if last else 0.0

    def _position(self, tally: Tally) -> Position | None:
        if tally.last is None:
            return None
        recent = {
            s.num: Listed(s.num, s.duration_s, s.path, s.date)
            for s in tally.recent.values() if s.epoch == tally.epoch
        }
        return Position(tally.expected, recent, tally.end_date, self.idle_s, tally.mean_s,
                        fresh=True, committed=tally.last.num)

    def _media_end_s(self) -> float | None:
        """Where the last segment ends by its own timestamps."""
        last, part = self._ledger.tally.last, self._ledger.tally.part
        if last is None or part is None or last.file != part.file:
            return None
        with open(self._ledger.directory / part.file, "rb") as file:
            init = file.read(part.init_bytes)
        return ends_at(init + self._ledger.read_segment(last))

    # The session's side: `Committer`.

    def commit(
        self, source: Source, body: bytes, init: bytes | None, closed: threading.Event
    ) -> bool:
        with self._writing(for_ever=True):
            if closed.is_set() or self._closed:
                return False
            timeline = self._place(source, body, init)
            facts = Segment(
                file="", offset=0, size_bytes=0, duration_s=source.duration_s, num=source.num,
                epoch=source.epoch, digest=digest_of(body), path=source.path,
                taken_at=self._now(), date=source.date,
                discontinuity=source.discontinuity or self._jumped,
            )
            self._ledger.append_segment(body, facts)
            self._timeline, self._lost = timeline, None
            self._jumped, self._missed_since_s = False, 0.0
            self._committed_s = self._clock()
            # Whoever hears of it need not wait for the disk, which may take its time for a sync.
            self._on_news()
            if self._clock() - self._synced_s >= SYNC_EVERY_S:
                self._sync()
            self._error = None
        return True

    def miss(
        self, missed: Missed, next_num: int, epoch: int, closed: threading.Event
    ) -> bool:
        with self._writing(for_ever=True):
            if closed.is_set() or self._closed:
                return False
            if self._lost is not None and self._lost[2] == epoch and (
                    next_num - missed.segments > self._ledger.tally.expected):
                # Whoever came behind them does not know of them.
                self._note_lost()
            self._lost = None
            self._append_gap(missed, next_num, epoch)
        return True

    def _append_gap(self, missed: Missed, next_num: int, epoch: int) -> None:
        tally = self._ledger.tally
        if tally.last is None:
            # Before the first segment nothing is missing: completeness counts from it.
            return
        started_at = tally.end_date or tally.last.taken_at
        gap = Gap(started_at, tally.sums.captured_s, missed.duration_s, missed.segments,
                  missed.cause)
        self._ledger.append(Hole(gap, next_num, epoch))
        self._missed_since_s += missed.duration_s
        self._jumped = True

    def _note_lost(self) -> None:
        """What the disk has lost, and no session has asked for again."""
        if self._lost is not None:
            self._append_gap(*self._lost)
            self._lost = None

    def has(self, body: bytes) -> bool:
        return digest_of(body) in self._ledger.tally.recent

    def ends_with(self, body: bytes) -> bool:
        last = self._ledger.tally.last
        return last is not None and last.digest == digest_of(body)

    def digest(self, num: int, epoch: int) -> str | None:
        # Copied as one: the writer may be at it.
        for segment in reversed(list(self._ledger.tally.recent.values())):
            if segment.num == num and segment.epoch == epoch:
                return segment.digest
        return None

    def _place(self, source: Source, body: bytes, init: bytes | None) -> Timeline | None:
        """Begin a new part where this segment does not belong into the present one; where it
        stands itself."""
        part = self._ledger.tally.part
        present = Shape.parse(part.shape) if part is not None else None
        shape = shape_of(body, init) or unknown(body, present)
        timeline = timeline_of(body, source.duration_s) if init else None
        fits = (
            part is not None and present is not None
            and alike(present, shape)
            and part.init_digest == (digest_of(init) if init else "")
            and goes_on(self._timeline, timeline, init, self._missed_since_s)
        )
        if not fits:
            self._ledger.begin_part(str(shape), shape.extension, init or b"")
            self._jumped = self._jumped or part is not None
            log.info("%s: part %d begins: %s", self._name, self._ledger.tally.sums.parts, shape)
            self._timeline = None
        return timeline

    def _recall_part(self) -> None:
        """After recovery: where the last segment's timeline stood."""
        last, part = self._ledger.tally.last, self._ledger.tally.part
        if part is not None and part.init_bytes and last is not None and last.file == part.file:
            self._timeline = timeline_of(
                self._ledger.read_segment(last), last.duration_s)

    def _sync(self) -> None:
        self._ledger.sync()
        self._synced_s = self._clock()
