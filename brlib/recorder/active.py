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
from functools import partial
from typing import Any

from .. import identity
from ..errors import CaptureDamaged, Conflict, DiskHangs, PlatformError, Trouble
from ..models import (
    Activity, Broadcast, Channel, EndReason, Gap, GapCause, Recording, RecordingStatus,
    SessionEnd, Sums, utc_now,
)
from ..pulse import Pulse
from ..rules import Verdict, reopen_after_s, stalled
from . import facts
from .base import Outside, Over
from .doubt import Doubt, find_stream
from .reception import Reception, first_cause
from .row import Row

log = logging.getLogger(__name__)

TICK_S = 1.0
ROW_EVERY_S = DISK_RETRY_S = TROUBLE_RETRY_S = 5.0
# A session whose write hangs for longer is closed: the next asks the origin anew.
HANGING_MAX_S = 30.0
# A recording that gets no first segment by then is given up for now.
OPEN_TRIES_AT_START = 3
FIRST_SEGMENT_MAX_S = 60.0
# Platforms bound their requests; a step that is not over by then hangs on its disk.
STEP_MAX_S = 300.0


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
        self.pulse = Pulse(STEP_MAX_S, clock)
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
            self._wake.set, first_cause(begun, self._paused), clock,
            identity.notes_of(recording, channel))
        self._row = Row(outside.store.recordings, begun)
        # What is left to be told of its end: each once, however often one has to be tried.
        self._to_tell: list[Callable[[], object]] = []
        self._doubt = Doubt(
            self._platform, channel, lambda: outside.settings().reconnect_window, clock)
        self._blocked = False
        self._attempt = 0
        self._made_s = self._open_at_s = self._row_s = clock()
        self._announced_segments = recording.sums.segments
        self._broadcast_id = recording.broadcast_id
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
        """Leave the recording as it is, to be continued, or to be ended where it was about to
        be and its disk may not let it. Returns at once, idempotent."""
        self._suspended = True
        self._wake.set()
        if self._end is not None and self.begun.is_set():
            with self._lock:
                self.recording = self._row.keep(self.recording, end_reason=self._end)

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
        if self._reception.idle_s <= self._outside.settings().reconnect_window:
            self._broadcast_id = broadcast.id or self._broadcast_id
        for key, value in (("title", broadcast.title), ("category", broadcast.category)):
            if value and self.begun.is_set():
                self._reception.note(key, value)

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
        if self._blocked or self.pulse.stuck or self._reception.hanging_s:
            return Activity.BLOCKED
        if session is None or not self.begun.is_set():
            return Activity.RECONNECTING
        if stalled(self._reception.idle_s, session.target_duration_s):
            return Activity.STALLED
        return Activity.CAPTURING

    @property
    def trouble(self) -> str | None:
        """Why its capture cannot be written now."""
        blocked = self._blocked or self._reception.hanging_s
        return self._reception.trouble or self._last_error if blocked else None

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
            while not self._leave():
                self._rest(TROUBLE_RETRY_S)
        finally:
            self._reception.leave()
            self.finished.set()
            self.settled.set()

    def _rest(self, wait_s: float) -> None:
        self._wake.wait(wait_s)
        self._wake.clear()

    def _step_safely(self) -> float:
        """Whatever goes wrong in a step (the store is full, a platform surprises us) must not
        end the recording: it is tried again."""
        try:
            with self.pulse:
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
            self._judge(self._doubt.ask(self._reception.edge, self._reception.absent_s,
                                        self._reception.idle_s))
        elif self._reception.session is None:
            return self._open()
        else:
            return self._watch()
        return TICK_S

    def _open(self) -> float:
        wait_s = self._open_at_s - self._clock()
        if wait_s > 0 or self._reception.hanging_s:
            return min(max(wait_s, 0.1), TICK_S)
        try:
            if self.begun.is_set() and self._doubt.is_another(
                    self._broadcast_id, self._reception.idle_s):
                self._end = EndReason.OFFLINE
                return 0.0
            opened = (self._platform.open(self.channel) if self.begun.is_set() else find_stream(
                self._platform, self.channel, self._outside.store.recordings,
                self.recording.broadcast_id))
            if opened is None:
                # What is missing until the streamer is back nobody could have had.
                self._reception.close(GapCause.OFFLINE)
                self._judge(self._doubt.heard(
                    None, self._reception.edge, self._reception.absent_s))
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
            return self._disk_failed(error)
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

    def _disk_failed(self, why: object) -> float:
        self._reception.close(GapCause.DISK)
        self._blocked = True
        return self._failed(f"The capture cannot be written: {why}", DISK_RETRY_S)

    def _watch(self) -> float:
        if hanging_s := self._reception.hanging_s:
            # What is on its way waits in memory for a disk that may only be slow.
            gone = hanging_s > HANGING_MAX_S
            return self._disk_failed("the disk does not answer") if gone else TICK_S
        match self._reception.end:
            case SessionEnd.ENDLIST:
                self._end = EndReason.ENDED
                return 0.0
            case SessionEnd.BROKEN:
                self._reception.close()
                return self._failed("The stream broke off")
            case SessionEnd.DISK:
                return self._disk_failed(self._reception.trouble)
        if self._reception.hung:
            self._reception.close()
        if not self.begun.is_set() and self._clock() - self._made_s > FIRST_SEGMENT_MAX_S:
            self._last_error = "No segment of the stream could be fetched"
            self._end = EndReason.STALLED
        self._judge(self._doubt.ask(
            self._reception.edge, self._reception.absent_s, self._reception.quiet_s))
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
            # Fewer where a disk came back without the last ones.
            self._announced_segments = sums.segments
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
        self.recording = replace(self.recording, started_at=self._now())
        self.recording = self._row.keep(self.recording, sums=sums)
        self.begun.set()
        self.settled.set()
        self._reception.note("started_at", identity.begun_note(self.recording))
        for key in ("title", "category", "quality"):
            if value := getattr(self.recording, key):
                self._reception.note(key, value)
        self._outside.bus.publish("recording_started", facts.recording(self.recording))
        self._outside.on_begun(self.recording)
        self._outside.on_changed(self.channel)

    def _keep_row(self) -> None:
        """Bring notes and a standing stream's last segments to the disk, and now and then the
        sums to the store."""
        try:
            self._reception.tend()
        except OSError as error:
            if self._reception.session is not None:
                self._disk_failed(error)
        if self.begun.is_set() and self._clock() - self._row_s >= ROW_EVERY_S:
            self._row_s = self._clock()
            with self._lock:
                self.recording = self._row.keep(
                    self.recording, durable=False, sums=self.sums,
                    broadcast_id=self._broadcast_id)

    def _change(self, **changes: Any) -> None:
        self.recording = self._row.change(self.recording, **changes)

    def _leave(self) -> bool:
        with self.pulse:
            return self._left()

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
        if self.recording.status is not RecordingStatus.PROCESSING:
            self._close(reason)
        while self._to_tell:
            self._to_tell[0]()
            del self._to_tell[0]

    def _close(self, reason: EndReason) -> None:
        try:
            gaps = self._reception.finish(over=not reason.cut_short)
        except DiskHangs:
            raise
        except (CaptureDamaged, OSError) as error:
            # It stays as it is; the assembly says what can be made of it.
            log.error("%s: its capture cannot be closed: %s", self.recording.id, error)
            gaps = self._reception.gaps
        with self._lock:
            self._row.set_gaps(self.recording, gaps)
            self._paused = False
            # Under another id, if that changed: whoever asks whether it is over, asks for that.
            self._change(status=RecordingStatus.PROCESSING, ended_at=self._now(),
                         end_reason=reason, sums=self.sums, broadcast_id=self._broadcast_id)
        log.info("%s ended (%s): %d segments, %.1f s, completeness %.4f", self.recording.id,
                 reason, self.sums.segments, self.sums.captured_s, self.sums.completeness)
        self._to_tell = [
            partial(self._outside.bus.publish, "recording_ended",
                    facts.ended(self.recording, gaps)),
            partial(self._outside.on_ended, self.recording),
            partial(self._outside.on_over, Over(
                self.channel.id, reason, self._reception.edge)),
        ]
