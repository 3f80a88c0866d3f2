"""One recording while its broadcast runs: open, watch, reopen, and know when it is over.

`step` is one look at things and returns the seconds until the next; `Recorder` runs it in
a thread of its pool. Commands come from any thread and only leave an order.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ..errors import CaptureDamaged, Conflict, PlatformError
from ..models import (
    Activity, Channel, EndReason, Gap, GapCause, Recording, RecordingStatus, SessionEnd, Sums,
    utc_now,
)
from ..rules import Verdict, reopen_after_s, stalled
from . import facts
from .base import Capture, Outside, Over, Session
from .doubt import Doubt

log = logging.getLogger(__name__)

TICK_S = 1.0
ROW_EVERY_S = 5.0
# A playlist request that takes so long is not waited for.
RELOAD_MAX_S = 20.0
DISK_RETRY_S = 5.0
# A recording that gets no first segment by then is given up for now.
OPEN_TRIES_AT_START = 3
FIRST_SEGMENT_MAX_S = 60.0


class ActiveRecording:
    def __init__(
        self, outside: Outside, channel: Channel, recording: Recording, *, begun: bool,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.channel = channel
        self.recording = recording
        self.begun = threading.Event()
        self.finished = threading.Event()
        self._outside = outside
        self._platform = outside.platforms[channel.platform]
        self._directory = outside.settings.captures_directory / recording.id
        self._clock = clock
        self._now = now
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._suspended = False
        self._end: EndReason | None = None
        self._paused = recording.status is RecordingStatus.PAUSED
        self._capture: Capture | None = None
        self._session: Session | None = None
        self._cause: GapCause | None = None
        self._blocked = False
        self._attempt = 0
        self._open_at_s = clock()
        self._made_s = self._opened_s = clock()
        self._row_s = clock()
        self._doubt = Doubt(
            self._platform, channel, outside.settings.reconnect_window, clock)
        self._announced_segments = 0
        self._last_error: str | None = None
        if begun:
            self.begun.set()

    # Commands, from any thread.

    def stop(self, reason: EndReason = EndReason.STOPPED) -> None:
        """End the recording; its file is finished. Returns at once, idempotent."""
        self._end = self._end or reason
        self._wake.set()

    def suspend(self) -> None:
        """Leave the recording as it is, to be continued. Returns at once, idempotent."""
        self._suspended = True
        self._wake.set()

    def pause(self) -> None:
        """Raises Conflict unless it is recording."""
        self._move(RecordingStatus.PAUSED)

    def resume(self) -> None:
        """Raises Conflict unless it is paused."""
        self._move(RecordingStatus.RECORDING)

    def _move(self, status: RecordingStatus) -> None:
        with self._lock:
            if self._end or self.recording.status is status or not self.begun.is_set():
                raise Conflict(f"The recording is {self.recording.status} already"
                               if self.begun.is_set() else "The recording has not begun yet")
            self.recording = self._outside.store.recordings.change(
                self.recording.id, status=status)
            self._paused = status is RecordingStatus.PAUSED
        self._wake.set()
        self._outside.on_changed(self.channel)

    # What it is doing.

    @property
    def sums(self) -> Sums:
        return self._capture.sums if self._capture is not None else self.recording.sums

    @property
    def activity(self) -> Activity:
        """`capturing` only while segments really arrive on the disk."""
        session, capture = self._session, self._capture
        if self._paused:
            return Activity.PAUSED
        if self._blocked:
            return Activity.BLOCKED
        if session is None or capture is None or not self.begun.is_set():
            return Activity.RECONNECTING
        if stalled(capture.idle_s, session.target_duration_s):
            return Activity.STALLED
        return Activity.CAPTURING

    def gaps(self) -> list[Gap]:
        return self._capture.gaps if self._capture is not None else []

    def now(self) -> Recording:
        """The recording with its sums as of this moment."""
        return replace(self.recording, sums=self.sums)

    # The recording's own thread.

    def run(self) -> None:
        """Until the end, or until suspended. Called once, in a thread of the pool."""
        try:
            while not (self._end or self._suspended):
                wait_s = self.step()
                self._wake.wait(wait_s)
                self._wake.clear()
            self._leave()
        finally:
            self.finished.set()

    def step(self) -> float:
        self._tell_news()
        if self._paused:
            return self._stay_paused()
        if self._session is None:
            return self._open()
        return self._watch(self._session)

    def _stay_paused(self) -> float:
        self._close_session(GapCause.PAUSED)
        self._judge(self._doubt.ask(self._edge, self._idle_s, self._idle_s))
        return TICK_S

    def _open(self) -> float:
        wait_s = self._open_at_s - self._clock()
        if wait_s > 0:
            return min(wait_s, TICK_S)
        try:
            opened = self._platform.open(self.channel)
            if opened is None:
                self._judge(self._doubt.heard(None, self._edge, self._idle_s))
                self._open_at_s = self._clock() + reopen_after_s(3)
                return 0.0
            self._ready_capture()
            assert self._capture is not None
            self._session = self._capture.open(
                opened.stream, self._cause, at_edge=self._cause is GapCause.PAUSED)
        except PlatformError as error:
            return self._failed(str(error))
        except CaptureDamaged as error:
            log.error("%s: %s", self.recording.id, error)
            self._end = EndReason.STALLED
            return 0.0
        except OSError as error:
            self._blocked = True
            return self._failed(f"The capture cannot be written: {error}", DISK_RETRY_S)
        self._blocked, self._cause, self._opened_s = False, None, self._clock()
        if not self.begun.is_set():
            self.recording = replace(self.recording, quality=opened.quality)
        return TICK_S

    def _ready_capture(self) -> None:
        if self._capture is None and self.begun.is_set():
            self._recover_capture()
        elif self._capture is None:
            self._capture = self._outside.captures.create(
                self.recording.id, self._directory, self._wake.set)

    def _recover_capture(self) -> None:
        self._capture = self._outside.captures.recover(
            self.recording.id, self._directory, self._wake.set)
        self._announced_segments = self._capture.sums.segments

    def _failed(self, message: str, wait_s: float | None = None) -> float:
        """The stream could not be opened: try again later, for ever once it has begun."""
        if message != self._last_error:
            log.warning("%s (%s): %s", self.recording.id, self.channel.display_name, message)
        self._last_error = message
        self._attempt += 1
        if not self.begun.is_set() and self._attempt >= OPEN_TRIES_AT_START:
            self._end = EndReason.STALLED
        self._open_at_s = self._clock() + (wait_s or reopen_after_s(self._attempt - 1))
        return 0.0

    def _watch(self, session: Session) -> float:
        match session.end:
            case SessionEnd.ENDLIST:
                self._end = EndReason.ENDED
                return 0.0
            case SessionEnd.BROKEN:
                self._close_session(None)
                return self._failed("The stream broke off")
            case SessionEnd.DISK:
                self._close_session(GapCause.DISK)
                self._blocked = True
                return self._failed("The capture cannot be written", DISK_RETRY_S)
        self._keep_row()
        if self._clock() - session.reload_begun_s > RELOAD_MAX_S:
            self._close_session(None)
        if not self.begun.is_set() and self._clock() - self._made_s > FIRST_SEGMENT_MAX_S:
            self._last_error = "No segment of the stream could be fetched"
            self._end = EndReason.STALLED
        quiet_s = min(self._idle_s, self._clock() - self._opened_s)
        self._judge(self._doubt.ask(self._edge, self._idle_s, quiet_s))
        return TICK_S

    def _judge(self, verdict: Verdict | None) -> None:
        if verdict is Verdict.OFFLINE or (verdict is Verdict.WAIT and not self.begun.is_set()):
            self._end = EndReason.OFFLINE
        elif verdict is Verdict.STALLED:
            self._end = EndReason.STALLED
        elif verdict is Verdict.REOPEN and not self._paused:
            self._close_session(None)

    @property
    def _edge(self) -> str | None:
        return self._capture.edge if self._capture is not None else None

    @property
    def _idle_s(self) -> float:
        """Since the last segment; also of a recording whose capture is not open yet."""
        return self._capture.idle_s if self._capture is not None else (
            self._clock() - self._made_s)

    def _close_session(self, cause: GapCause | None) -> None:
        self._cause = cause or self._cause
        if self._session is not None:
            self._session.close()
            self._session = None

    def _tell_news(self) -> None:
        """Tell of segments that were committed since the last look."""
        sums = self.sums
        fresh = sums.segments - self._announced_segments
        if fresh <= 0:
            return
        self._announced_segments = sums.segments
        self._attempt, self._last_error = 0, None
        self._doubt.clear()
        if not self.begun.is_set():
            self._begin(sums)
        self._outside.bus.publish(
            "segment_downloaded",
            facts.segment(replace(self.recording, sums=sums), self.activity, fresh))

    def _begin(self, sums: Sums) -> None:
        """The first segment is on disk: from now on there is a recording."""
        self.recording = replace(self.recording, started_at=self._now(), sums=sums)
        self._outside.store.recordings.add(self.recording)
        assert self._capture is not None
        for key in ("title", "category", "quality"):
            if value := getattr(self.recording, key):
                self._capture.note(key, value)
        self.begun.set()
        self._outside.bus.publish("recording_started", facts.recording(self.recording))
        self._outside.on_begun(self.recording)
        self._outside.on_changed(self.channel)

    def _keep_row(self) -> None:
        if self._capture is None or self._clock() - self._row_s < ROW_EVERY_S:
            return
        self._row_s = self._clock()
        try:
            self._capture.sync_if_due()
        except OSError as error:
            log.error("%s: the capture cannot be synced: %s", self.recording.id, error)
            self._blocked = True
        if self.begun.is_set():
            self.recording = self._outside.store.recordings.change(
                self.recording.id, durable=False, sums=self.sums)

    def _leave(self) -> None:
        self._close_session(None)
        self._tell_news()
        if self._end is None:
            self._suspend()
        elif self.begun.is_set():
            self._finish(self._end)
        else:
            self._abandon()

    def _suspend(self) -> None:
        if self._capture is not None:
            self._capture.suspend()
        if self.begun.is_set():
            self._outside.store.recordings.change(self.recording.id, sums=self.sums)
        else:
            self._drop_empty()

    def _finish(self, reason: EndReason) -> None:
        gaps = self._close_capture()
        with self._lock:
            self._paused = False
            self.recording = self._outside.store.recordings.change(
                self.recording.id, status=RecordingStatus.PROCESSING, ended_at=self._now(),
                end_reason=reason, sums=self.sums)
        log.info("%s ended (%s): %d segments, %.1f s, completeness %.4f", self.recording.id,
                 reason, self.sums.segments, self.sums.captured_s, self.sums.completeness)
        self._outside.bus.publish(
            "recording_ended", facts.ended(self.recording, gaps))
        self._outside.on_ended(self.recording)
        self._outside.on_over(Over(self.channel.id, reason, self._edge))

    def _close_capture(self) -> list[Gap]:
        """Close the ledger for good; the gaps it holds. One that cannot be read stays as it
        is: the assembly will say so."""
        try:
            if self._capture is None:
                self._recover_capture()
            assert self._capture is not None
            self._capture.finish()
        except (CaptureDamaged, OSError) as error:
            log.error("%s: its capture cannot be closed: %s", self.recording.id, error)
            return []
        gaps = self._capture.gaps
        self._outside.store.recordings.set_gaps(self.recording.id, gaps)
        return gaps

    def _abandon(self) -> None:
        """Nothing ever came: there is no recording."""
        self._drop_empty()
        self._outside.on_over(Over(self.channel.id, None, error=self._last_error))

    def _drop_empty(self) -> None:
        if self._capture is not None:
            self._capture.suspend()
            if not self._capture.sums.segments:
                shutil.rmtree(self._directory)
