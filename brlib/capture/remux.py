"""A session for what is no plain HLS: FFmpeg puts it together, we cut what it writes.

Made by `Capture.open` for separate audio renditions, DASH and plain HTTP; to the recorder
it is a session like any other. Our process reads the source with streamlink's session and
gives FFmpeg pipes, so that no address, header or cookie stands in a command line. FFmpeg's
output is read as it is committed: a slow disk holds up FFmpeg, and FFmpeg the source.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream
from streamlink.utils.times import now as streamlink_now

from ..fmp4 import looks_like_mp4
from ..models import GapCause, SessionEnd, utc_now
from ..workers import Worker
from .base import Committer, Missed, Source, Timeouts
from .cuts import SEAM_S, SEGMENT_S, Cut, Joint
from .cuts_mp4 import Mp4Cutter
from .cuts_ts import TsCutter
from .dash import DashTrack
from .inlet import Inlet, Inlets
from .session import Start
from .tracks import HlsTrack, HttpTrack, Order, Track
from .turn import Turn

log = logging.getLogger(__name__)

# What stands where segments of a playlist have a hash of their address.
PATH = "ffmpeg"
# Segments of this much more than the time away are looked at again behind a break.
REACH_S = 60.0
# What the next session's timestamps may be further on than the clock says.
SLACK_S = 30.0
# So many complaints about the timestamps within one segment are no hiccup: the source has
# begun anew and does not say so. ("Non-monotonous" until FFmpeg 6, "Non-monotonic" since.)
BACKWARDS_MAX = 100
# What is lost with an FFmpeg that was killed, where the source is not asked for it again: what
# had come by the clock and was not yet out, within what FFmpeg ever keeps back.
TORN_MIN_S = 0.1
TORN_MAX_S = 2.0
_BACKWARDS = "Non-monoton"


@dataclass(frozen=True)
class Way:
    """How a capture wants its FFmpeg: the program, and where its media ends on the source's
    own timeline (None: nobody can tell)."""

    program: str
    end_s: float | None = None


class RemuxSession:
    """`on_end` is called in the session's thread once everything has come to its end."""

    def __init__(
        self, name: str, committer: Committer, start: Start, way: Way, timeouts: Timeouts,
        on_end: Callable[[], None], clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.closed = threading.Event()
        self.ended = threading.Event()
        self.judged = False
        self.target_duration_s = SEGMENT_S
        self._name = name
        self._committer = committer
        self._start = start
        self._way = way
        self._timeouts = timeouts
        self._on_end = on_end
        self._clock = clock
        self._now = now
        self._opened_s = self._watched_s = clock()
        self._num = start.position.expected if start.position else 0
        self._timed = False
        self._tracks: list[Track] = []
        self._inlets = Inlets(0)
        self._turn: Turn | None = None
        self._error: GapCause | None = None
        self._disk_failed = False
        self._backwards = 0
        self._turns = 0
        self._ends_s = 0.0
        self._cut_s = clock()
        self._pending_s = 0.0
        self._date = now()
        self._worker = Worker(f"remux-{name}", self._run)

    def open(self, stream: Any) -> None:
        sources = _sources(stream)
        self._inlets = Inlets(len(sources))
        self._timed = all(isinstance(one, (HLSStream, DASHStream)) for one, _ in sources)
        moment = streamlink_now()
        for number, (one, representation) in enumerate(sources):
            order = Order(f"{self._name}-{number}", self._inlets.all[number], self._reach_s(),
                          self._timeouts, self._track_ended)
            if isinstance(one, HLSStream):
                self._tracks.append(HlsTrack(order, one))
            elif isinstance(one, DASHStream):
                self._tracks.append(DashTrack(order, one, representation, moment))
            else:
                self._tracks.append(HttpTrack(order, one))
        for track in self._tracks:
            track.start()
        self._worker.start()

    def close(self) -> None:
        """Ask all threads to end; returns at once. Nothing is committed from now on."""
        turn = self._turn
        if turn is not None and not (self.closed.is_set() or self.ended.is_set()):
            self._pending_s = turn.cutter.open_s
        self.closed.set()
        self._inlets.close()
        for track in self._tracks:
            track.stop()
        # One that was made just now is either seen here or sees that we are closed.
        if (turn := self._turn) is not None:
            turn.kill()

    def write_off(self, cause: GapCause | None = None) -> None:
        """Closed and over: the segment that was not whole is missing. Raises OSError."""
        if self._pending_s > SEAM_S:
            self._miss(self._pending_s, cause or self.cause or GapCause.SOURCE,
                       threading.Event())
            self._pending_s = 0.0

    @property
    def end(self) -> SessionEnd | None:
        if self._disk_failed:
            return SessionEnd.DISK
        if not self.ended.is_set():
            return None
        told = all(track.end is SessionEnd.ENDLIST for track in self._tracks)
        return SessionEnd.ENDLIST if told and self._error is None else SessionEnd.BROKEN

    @property
    def cause(self) -> GapCause | None:
        found = (track.cause for track in self._tracks)
        return self._error or next((cause for cause in found if cause is not None), None)

    @property
    def busy(self) -> bool:
        return self.judged and not (self.closed.is_set() or self.ended.is_set()) and all(
            track.busy for track in self._tracks if track.end is None)

    @property
    def reload_begun_s(self) -> float:
        """When the source gave a sign: of its parts the one that is silent for longest."""
        return max(self._watched_s, min(
            (track.alive_s for track in self._tracks if track.end is None),
            default=self._clock()))

    @reload_begun_s.setter
    def reload_begun_s(self, moment_s: float) -> None:
        """Silence counts from here on."""
        self._watched_s = moment_s

    @property
    def edge(self) -> str | None:
        """The newest segment of the picture, where the source has numbers for them."""
        return self._tracks[0].edge if self._tracks else None

    def _reach_s(self) -> float | None:
        """How far back to begin: with everything, or with what the capture may not have."""
        if self._start.position is None:
            return None
        return 0.0 if self._start.at_edge else self._start.position.idle_s + REACH_S

    # The tracks' threads.

    def _track_ended(self) -> None:
        """One part of the stream without the others is no stream."""
        if any(track.end is SessionEnd.BROKEN for track in self._tracks):
            self._end_input()

    def _end_input(self) -> None:
        """Let FFmpeg finish with what it has. Not in the session's thread: that one reads."""
        self._inlets.close()
        for track in self._tracks:
            track.stop()
        for inlet in self._inlets.all:
            inlet.detach()

    def _said(self, line: str) -> None:
        """FFmpeg's log, in the pump's thread."""
        if self._timed and _BACKWARDS in line:
            self._backwards += 1
            if self._backwards == BACKWARDS_MAX:
                log.info("%s: the source's clock was set back", self._name)
                self._error = GapCause.SOURCE
                self._end_input()

    # The session's own thread.

    def _run(self) -> None:
        try:
            while not self.closed.is_set():
                inlets = self._inlets.wait_turn()
                if not inlets or not self._take_turn(inlets):
                    break
        except OSError as error:
            log.warning("%s: FFmpeg cannot be started (%s): %s", self._name,
                        self._way.program, error.strerror)
            self._error = GapCause.DAEMON_DOWN
        except Exception:
            log.exception("%s: the session met something unforeseen", self._name)
            self._error = GapCause.DAEMON_DOWN
        self._end_input()
        self.ended.set()
        self._on_end()

    def _take_turn(self, inlets: list[Inlet]) -> bool:
        """One FFmpeg, from its start to its end; whether another may follow."""
        self._turns += 1
        self._backwards = 0
        joint, self._inlets.rested = self._joint(), False
        turn = Turn(self._name, self._way.program, inlets, self._timed, joint,
                    self._now, self._said)
        self._turn = turn
        try:
            if self.closed.is_set():
                return False
            self.judged, kept_s = True, 0.0
            for cut in turn.cuts():
                if not self._kept(cut, None if kept_s else turn):
                    return False
                kept_s += cut.duration_s + cut.missing_s
            if not turn.clean and not self.closed.is_set():
                self._note_torn(turn, kept_s)
            return turn.clean and all(inlet.idle for inlet in inlets)
        finally:
            turn.close()

    def _note_torn(self, turn: Turn, kept_s: float) -> None:
        log.warning("%s: %s", self._name, turn.last_words())
        self._error = self._error or GapCause.DAEMON_DOWN
        if kept_s and not self._timed:
            held_s = self._clock() - turn.begun_s - kept_s
            self._miss(min(max(held_s, TORN_MIN_S), TORN_MAX_S), self._error, self.closed)

    def _joint(self) -> Joint | None:
        """Only what a session begins with can go on where the capture ends, and what comes
        after a rest, where the last turn did."""
        position = self._start.position
        if self._timed and self._turns > 1 and self._inlets.rested:
            return Joint(self._ends_s, SEAM_S, self._clock() - self._cut_s + SLACK_S)
        if not self._timed or self._turns > 1 or position is None or self._way.end_s is None:
            return None
        return Joint(self._way.end_s, position.idle_s + REACH_S + SLACK_S,
                     position.idle_s + SLACK_S)

    def _kept(self, cut: Cut, begun: Turn | None) -> bool:
        """Commit a segment; `begun` with the first of a turn. False: it takes no more."""
        num, taken = self._num, False
        try:
            seam = begun is not None and self._meet(begun)
            source = Source(num, self._start.epoch, cut.duration_s, PATH, self._date, seam)
            taken = self._committer.commit(source, cut.body, cut.init, self.closed)
            if taken:
                self._went_on(cut)
        except OSError as error:
            log.warning("%s: the capture cannot be written: %s", self._name, error)
            self._disk_failed = True
            self.close()
            # What failed may have come behind it.
            taken = self._committer.digest(num, self._start.epoch) is not None
        if not taken:
            self._pending_s += cut.duration_s
        return taken and not self._disk_failed

    def _went_on(self, cut: Cut) -> None:
        self._num += 1
        self._backwards = 0
        self._ends_s, self._cut_s = cut.start_s + cut.duration_s, self._clock()
        self._date += timedelta(seconds=cut.duration_s)
        self.target_duration_s = max(SEGMENT_S, cut.duration_s)
        self._miss(cut.missing_s, self.cause or GapCause.SOURCE, self.closed)

    def _meet(self, turn: Turn) -> bool:
        """What is missing between the capture and a turn's first segment; whether there is a
        seam at all.

        By the source's own timeline where it tells, else by the clock: from the last commit
        to the first byte.
        """
        position, joined_s = self._start.position, turn.cutter.joined_s
        cause = self.cause or GapCause.SOURCE
        if self._turns > 1:
            missing_s = turn.missing_s if joined_s is None else joined_s
        elif position is None:
            self._date = turn.begun_at
            return False
        elif joined_s is not None:
            missing_s, cause = joined_s, self._start.cause or GapCause.EXPIRED
            self._date = position.end_date or turn.begun_at
        else:
            missing_s = max(0.0, turn.begun_s - self._opened_s + position.idle_s)
            cause = self._start.cause or GapCause.SOURCE
            self._date = turn.begun_at - timedelta(seconds=missing_s)
        self._miss(missing_s, cause, self.closed)
        return joined_s is None or missing_s > SEAM_S

    def _miss(self, missing_s: float, cause: GapCause, closed: threading.Event) -> None:
        if missing_s > SEAM_S:
            self._committer.miss(
                Missed(0, missing_s, cause), self._num, self._start.epoch, closed)
            self._date += timedelta(seconds=missing_s)


def _sources(stream: Any) -> list[tuple[Any, Any]]:
    """The parts of a stream that are read each for itself, a representation with those of
    DASH, the picture first."""
    if isinstance(stream, MuxedStream):
        return [source for one in stream.substreams for source in _sources(one)]
    if isinstance(stream, DASHStream):
        found = (stream.video_representation, stream.audio_representation)
        return [(stream, one) for one in found if one is not None]
    return [(stream, None)]


def ends_at(data: bytes) -> float | None:
    """Where a segment (behind its init section) ends by its own timestamps."""
    cutter = Mp4Cutter() if looks_like_mp4(data) else TsCutter()
    cuts = cutter.take(data) + cutter.finish(whole=True, rejoin=False)
    return cuts[-1].start_s + cuts[-1].duration_s if cuts else None
