"""One recording while its broadcast runs: open, watch, reopen, and know when it is over.

`step` is one look at things and returns the seconds until the next; `Recorder` runs it in
a thread of its pool. Commands come from any thread and only leave an order.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ..errors import CaptureDamaged, Conflict, PlatformError, Trouble
from ..models import (
    Activity, Broadcast, Channel, EndReason, Gap, GapCause, Recording, RecordingStatus,
    SessionEnd, Sums, utc_now,
)
from ..rules import Verdict, reopen_after_s, stalled
from . import facts
from .base import Outside, Over
from .doubt import Doubt
from .reception import Reception

log = logging.getLogger(__name__)

TICK_S = 1.0
ROW_EVERY_S = 5.0
DISK_RETRY_S = 5.0
TROUBLE_RETRY_S = 5.0
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
        self.settled = threading.Event()  # one of the two
        self._outside = outside
        self._platform = outside.platforms[channel.platform]
        self._clock = clock
        self._now = now
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._suspended = False
        self._end: EndReason | None = None
        self._paused = recording.status is RecordingStatus.PAUSED
        self._reception = Reception(
            outside.captures, recording.id, outside.settings().captures_directory / recording.id,
            self._wake.set, _first_cause(begun, self._paused), clock)
        self._doubt = Doubt(
            self._platform, channel, lambda: outside.settings().reconnect_window, clock)
        self._blocked = False
        self._attempt = 0
        self._made_s = self._open_at_s = self._row_s = clock()
        self._announced_segments = recording.sums.segments
        self._last_error: str | None = None
        self._trouble = Trouble.ERROR
        if begun:
            self.begun.set()
            self.settled.set()

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
            self._change(status=status)
            self._paused = status is RecordingStatus.PAUSED
        self._wake.set()
        self._outside.on_changed(self.channel)

    def note(self, broadcast: Broadcast) -> None:
        """Keep in the ledger what the broadcast is called and about, from here on."""
        capture = self._reception.capture
        if capture is None or not self.begun.is_set():
            return
        try:
            for key, value in (("title", broadcast.title), ("category", broadcast.category)):
                if value:
                    capture.note(key, value)
        except OSError as error:
            # The disk's trouble is the capture's own to notice: a note is asked for again.
            log.warning("%s: a note could not be written: %s", self.recording.id, error)

    def recover(self) -> None:
        """Open the capture on disk before anyone reads it. Raises CaptureDamaged, OSError."""
        self._reception.recover()
        self._announced_segments = self._reception.sums.segments

    # What it is doing.

    @property
    def sums(self) -> Sums:
        return self._reception.sums if self._reception.capture else self.recording.sums

    @property
    def activity(self) -> Activity:
        """`capturing` only while segments really arrive on the disk."""
        session = self._reception.session
        if self._paused:
            return Activity.PAUSED
        if self._blocked:
            return Activity.BLOCKED
        if session is None or not self.begun.is_set():
            return Activity.RECONNECTING
        if stalled(self._reception.idle_s, session.target_duration_s):
            return Activity.STALLED
        return Activity.CAPTURING

    def gaps(self) -> list[Gap]:
        return self._reception.gaps

    def now(self) -> Recording:
        """The recording with its sums as of this moment."""
        return replace(self.recording, sums=self.sums)

    # The recording's own thread.

    def run(self) -> None:
        """Until the end, or until suspended. Called once, in a thread of the pool."""
        try:
            while not (self._end or self._suspended):
                self._rest(self._step_safely())
            self._reception.close()
            while not self._left():
                self._rest(TROUBLE_RETRY_S)
        finally:
            self._reception.close()
            self.finished.set()
            self.settled.set()

    def _rest(self, wait_s: float) -> None:
        self._wake.wait(wait_s)
        self._wake.clear()

    def _step_safely(self) -> float:
        """Whatever goes wrong in a step (the store is full, a platform surprises us) must not
        end the recording: it is tried again."""
        try:
            return self.step()
        except Exception as error:
            self._note_trouble(f"{type(error).__name__}: {error}", exc_info=True)
            return TROUBLE_RETRY_S

    def _note_trouble(self, message: str, exc_info: bool = False) -> None:
        if message != self._last_error:
            log.warning("%s (%s): %s", self.recording.id, self.channel.display_name, message,
                        exc_info=exc_info)
        self._last_error = message

    def step(self) -> float:
        self._tell_news()
        self._keep_row()
        if self._paused:
            self._reception.close(GapCause.PAUSED)
            self._judge(self._doubt.ask(self._reception.edge, self._reception.idle_s,
                                        self._reception.idle_s))
        elif self._reception.session is None:
            return self._open()
        else:
            return self._watch()
        return TICK_S

    def _open(self) -> float:
        wait_s = self._open_at_s - self._clock()
        if wait_s > 0:
            return min(wait_s, TICK_S)
        try:
            opened = self._platform.open(self.channel)
            if opened is None:
                # What is missing until the streamer is back nobody could have had.
                self._reception.close(GapCause.OFFLINE)
                self._judge(self._doubt.heard(
                    None, self._reception.edge, self._reception.idle_s))
                self._open_at_s = self._clock() + reopen_after_s(3)
                return 0.0
            self._reception.open(opened.stream, anew=not self.begun.is_set())
        except PlatformError as error:
            return self._failed(str(error), trouble=error.trouble)
        except CaptureDamaged as error:
            log.error("%s: %s", self.recording.id, error)
            self._end = EndReason.STALLED
            return 0.0
        except OSError as error:
            self._blocked = True
            return self._failed(f"The capture cannot be written: {error}", DISK_RETRY_S)
        if not self.begun.is_set():
            self.recording = replace(self.recording, quality=opened.quality)
        return TICK_S

    def _failed(
        self, message: str, wait_s: float | None = None, trouble: Trouble = Trouble.ERROR
    ) -> float:
        """The stream could not be opened: try again later, for ever once it has begun."""
        self._note_trouble(message)
        self._trouble = trouble
        self._attempt += 1
        if not self.begun.is_set() and self._attempt >= OPEN_TRIES_AT_START:
            self._end = EndReason.STALLED
        self._open_at_s = self._clock() + (wait_s or reopen_after_s(self._attempt - 1))
        return 0.0

    def _watch(self) -> float:
        match self._reception.end:
            case SessionEnd.ENDLIST:
                self._end = EndReason.ENDED
                return 0.0
            case SessionEnd.BROKEN:
                self._reception.close()
                return self._failed("The stream broke off")
            case SessionEnd.DISK:
                self._reception.close(GapCause.DISK)
                self._blocked = True
                return self._failed("The capture cannot be written", DISK_RETRY_S)
        if self._reception.hung:
            self._reception.close()
        if not self.begun.is_set() and self._clock() - self._made_s > FIRST_SEGMENT_MAX_S:
            self._last_error = "No segment of the stream could be fetched"
            self._end = EndReason.STALLED
        self._judge(self._doubt.ask(
            self._reception.edge, self._reception.idle_s, self._reception.quiet_s))
        return TICK_S

    def _judge(self, verdict: Verdict | None) -> None:
        if verdict is Verdict.OFFLINE or (verdict is Verdict.WAIT and not self.begun.is_set()):
            self._end = EndReason.OFFLINE
        elif verdict is Verdict.STALLED:
            self._end = EndReason.STALLED
        elif verdict is Verdict.REOPEN and not self._paused:
            self._reception.close()

    def _tell_news(self) -> None:
        """Tell of segments that were committed since the last look."""
        sums = self.sums
        fresh = sums.segments - self._announced_segments
        if fresh <= 0:
            return
        self._attempt, self._last_error, self._blocked = 0, None, False
        self._doubt.clear()
        if not self.begun.is_set():
            self._begin(sums)
        self._announced_segments = sums.segments
        self._outside.bus.publish(
            "segment_downloaded",
            facts.segment(replace(self.recording, sums=sums), self.activity, fresh))

    def _begin(self, sums: Sums) -> None:
        """The first segment is on disk: from now on there is a recording."""
        self.recording = replace(self.recording, started_at=self._now(), sums=sums)
        self._outside.store.recordings.add(self.recording)
        self.begun.set()
        self.settled.set()
        if self._reception.capture is not None:
            for key in ("title", "category", "quality"):
                if value := getattr(self.recording, key):
                    self._reception.capture.note(key, value)
        self._outside.bus.publish("recording_started", facts.recording(self.recording))
        self._outside.on_begun(self.recording)
        self._outside.on_changed(self.channel)

    def _keep_row(self) -> None:
        """Bring a standing stream's last segments to the disk, and the sums to the store."""
        if self._reception.capture is None or self._clock() - self._row_s < ROW_EVERY_S:
            return
        self._row_s = self._clock()
        try:
            self._reception.capture.sync_if_due()
        except OSError as error:
            self._note_trouble(f"The capture cannot be synced: {error}")
            self._blocked = True
        if self.begun.is_set():
            with self._lock:
                self._change(durable=False, sums=self.sums)

    def _change(self, durable: bool = True, **changes: object) -> None:
        self.recording = self._outside.store.recordings.change(
            self.recording.id, durable=durable, **changes)

    def _left(self) -> bool:
        """Leave it in order; False when that has to be tried again."""
        try:
            self._tell_news()
            if self._end is None or not self.begun.is_set():
                self._leave_unfinished()
            else:
                self._finish(self._end)
        except (OSError, sqlite3.Error) as error:
            self._note_trouble(f"It cannot be closed: {error}")
            return self._suspended
        return True

    def _leave_unfinished(self) -> None:
        """To be continued; or nothing ever came, and there is no recording."""
        self._reception.suspend()
        if self.begun.is_set():
            with self._lock:
                self._change(sums=self.sums)
        elif self._end is not None:
            self._outside.on_over(Over(
                self.channel.id, None, error=self._last_error, trouble=self._trouble))

    def _finish(self, reason: EndReason) -> None:
        try:
            gaps = self._reception.finish(over=not reason.by_request)
            self._outside.store.recordings.set_gaps(self.recording.id, gaps)
        except (CaptureDamaged, OSError) as error:
            # It stays as it is; the assembly says what can be made of it.
            log.error("%s: its capture cannot be closed: %s", self.recording.id, error)
            gaps = []
        with self._lock:
            self._paused = False
            self._change(status=RecordingStatus.PROCESSING, ended_at=self._now(),
                         end_reason=reason, sums=self.sums)
        log.info("%s ended (%s): %d segments, %.1f s, completeness %.4f", self.recording.id,
                 reason, self.sums.segments, self.sums.captured_s, self.sums.completeness)
        self._outside.bus.publish("recording_ended", facts.ended(self.recording, gaps))
        self._outside.on_ended(self.recording)
        self._outside.on_over(Over(self.channel.id, reason, self._reception.edge))


def _first_cause(begun: bool, paused: bool) -> GapCause | None:
    """Why something may be missing before the first session of this process."""
    if paused:
        return GapCause.PAUSED
    return GapCause.DAEMON_DOWN if begun else None
