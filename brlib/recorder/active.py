"""One recording while its broadcast runs: open, watch, reopen, and know when it is over.

`step` is one look at things and returns the seconds until the next; `Recorder` runs it in
a thread of its pool. Commands come from any thread and only leave an order.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from .. import identity
from ..errors import CaptureDamaged, Conflict, PlatformError, Trouble, Unavailable
from ..models import (
    Activity, Broadcast, Channel, Course, EndReason, GapCause, Recording, RecordingStatus,
    SessionEnd, Sums, utc_now,
)
from ..pulse import Pulse
from ..rules import Verdict, reopen_after_s
from .base import Outside
from .doubt import Doubt, find_stream
from .ending import Ending
from .news import News
from .reception import Reception, first_cause
from .row import Row
from .setbacks import Setbacks

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
        self.begun = threading.Event()
        self.finished = threading.Event()
        self.settled = threading.Event()  # one of the two
        self.pulse = Pulse(STEP_MAX_S, clock)
        self._outside = outside
        self._platform = outside.platforms[channel.platform]
        self._clock = clock
        self._now = now
        self._wake = threading.Event()
        self._suspended = False
        self._end: EndReason | None = None
        self._row = Row(outside.store.recordings, recording, begun)
        self._reception = Reception(
            outside.captures, recording.id, outside.settings().captures_directory / recording.id,
            self._wake.set, first_cause(begun, self._paused), clock,
            identity.notes_of(recording, channel), recording.sums)
        self._news = News(outside, self._row, self._reception)
        self._ending = Ending(outside, self._row, self._reception, now)
        self._doubt = Doubt(
            self._platform, channel, lambda: outside.settings().reconnect_window, clock)
        self._setbacks = Setbacks(f"{recording.id} ({channel.display_name})", clock)
        self._made_s = self._row_s = clock()
        self._broadcast_id = recording.broadcast_id
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
            self._ending.keep(self._end)

    def pause(self) -> None:
        """Raises Conflict unless it is recording."""
        self._move(RecordingStatus.PAUSED)

    def resume(self) -> None:
        """Raises Conflict unless it is paused."""
        self._move(RecordingStatus.RECORDING)

    def _move(self, status: RecordingStatus) -> None:
        with self._row.lock:
            if self._end or self.recording.status is status or not self.begun.is_set():
                raise Conflict(f"The recording is {self.recording.status} already"
                               if self.begun.is_set() else "The recording has not begun yet")
            self._row.change(status=status)
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
        self._news.recovered()

    # What it is doing.

    @property
    def recording(self) -> Recording:
        """As it was noted last."""
        return self._row.recording

    @property
    def sums(self) -> Sums:
        return self._reception.sums

    @property
    def _paused(self) -> bool:
        return self.recording.status is RecordingStatus.PAUSED

    @property
    def _blocked(self) -> bool:
        return self._setbacks.blocked or self._reception.hanging_s > 0

    @property
    def activity(self) -> Activity:
        if self._paused:
            return Activity.PAUSED
        if self._blocked or self.pulse.stuck:
            return Activity.BLOCKED
        return self._reception.activity if self.begun.is_set() else Activity.RECONNECTING

    @property
    def trouble(self) -> str | None:
        """Why its capture cannot be written now."""
        return self._reception.trouble or self._setbacks.error if self._blocked else None

    def course(self) -> Course:
        return self._reception.course

    def now(self) -> Recording:
        """The recording with its sums as of this moment."""
        return replace(self.recording, sums=self.sums)

    # The recording's own thread.

    def run(self) -> None:
        """Until the end, or until suspended. Called once, in a thread of the pool."""
        try:
            while not (self._end or self._suspended):
                self._rest(self._step_safely())
            while not self._left():
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
            self._setbacks.note(f"{type(error).__name__}: {error}", exc_info=True)
            return TROUBLE_RETRY_S

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
        if self._setbacks.left_s or self._reception.hanging_s:
            return min(max(self._setbacks.left_s, 0.1), TICK_S)
        try:
            if self.begun.is_set() and self._doubt.is_another(
                    self._broadcast_id, self._reception.idle_s):
                return self._over(EndReason.OFFLINE)
            opened = (self._platform.open(self.channel) if self.begun.is_set() else find_stream(
                self._platform, self.channel, self._outside.store.recordings,
                self.recording.broadcast_id))
            if opened is None:
                # What is missing until the streamer is back nobody could have had.
                self._reception.close(GapCause.OFFLINE)
                self._judge(self._doubt.heard(
                    None, self._reception.edge, self._reception.absent_s))
                self._setbacks.wait(reopen_after_s(3))
                return 0.0
            self._reception.open(opened.stream, anew=not self.begun.is_set())
        except PlatformError as error:
            return self._failed(str(error), error.trouble)
        except CaptureDamaged as error:
            self._setbacks.note(str(error))
            return self._over(EndReason.STALLED)
        except OSError as error:
            return self._disk_failed(error)
        if not self.begun.is_set():
            self._row.recording = replace(self.recording, quality=opened.quality)
        return TICK_S

    def _over(self, reason: EndReason) -> float:
        """What somebody asked for before counts."""
        self._end = self._end or reason
        return 0.0

    def _failed(
        self, message: str, trouble: Trouble = Trouble.ERROR, wait_s: float | None = None
    ) -> float:
        """The stream could not be opened: try again later, for ever once it has begun."""
        self._setbacks.add(message, trouble, wait_s)
        if not self.begun.is_set() and self._setbacks.in_a_row >= OPEN_TRIES_AT_START:
            return self._over(EndReason.STALLED)
        return 0.0

    def _disk_failed(self, why: object) -> float:
        self._reception.close(GapCause.DISK)
        self._setbacks.blocked = True
        return self._failed(f"The capture cannot be written: {why}", wait_s=DISK_RETRY_S)

    def _watch(self) -> float:
        if hanging_s := self._reception.hanging_s:
            # What is on its way waits in memory for a disk that may only be slow.
            gone = hanging_s > HANGING_MAX_S
            return self._disk_failed("the disk does not answer") if gone else TICK_S
        match self._reception.end:
            case SessionEnd.ENDLIST:
                return self._over(EndReason.ENDED)
            case SessionEnd.BROKEN:
                self._reception.close()
                return self._failed("The stream broke off")
            case SessionEnd.DISK:
                return self._disk_failed(self._reception.trouble)
        if self._reception.hung:
            self._reception.close(GapCause.NETWORK)
        if not self.begun.is_set() and self._clock() - self._made_s > FIRST_SEGMENT_MAX_S:
            self._setbacks.error = "No segment of the stream could be fetched"
            return self._over(EndReason.STALLED)
        self._judge(self._doubt.ask(
            self._reception.edge, self._reception.absent_s, self._reception.quiet_s))
        return TICK_S

    def _judge(self, verdict: Verdict | None) -> None:
        if verdict is Verdict.OFFLINE or (verdict is Verdict.WAIT and not self.begun.is_set()):
            self._over(EndReason.OFFLINE)
        elif verdict is Verdict.STALLED:
            self._over(EndReason.STALLED)
        elif verdict is Verdict.REOPEN and not self._paused:
            self._reception.close()

    def _tell_news(self) -> None:
        """Tell of segments that were committed since the last look."""
        fresh = self._news.fresh()
        if not fresh:
            return
        self._setbacks.clear()
        self._doubt.clear()
        if not self.begun.is_set():
            # From now on there is a recording.
            self._row.keep(started_at=self._now(), sums=self.sums)
            self.begun.set()
            self.settled.set()
            self._news.begun()
            self._outside.on_changed(self.channel)
        self._news.came(fresh, self.activity)

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
            self._row.keep(durable=False, sums=self.sums, broadcast_id=self._broadcast_id)

    def _left(self) -> bool:
        """Leave it in order; False when that has to be tried again."""
        try:
            with self.pulse:
                self._leave()
        except Exception as error:
            # Whatever it is: who is never told that it is over goes on waiting for it.
            expected = isinstance(error, (OSError, sqlite3.Error, Unavailable))
            self._setbacks.note(f"It cannot be closed: {error}", exc_info=not expected)
            if self._end is not None and self.begun.is_set():
                self._ending.keep(self._end)
            return self._suspended
        return True

    def _leave(self) -> None:
        self._reception.close()
        self._tell_news()
        if not self.begun.is_set():
            self._ending.drop(self._setbacks if self._end else None)
        elif self._end is None:
            self._ending.suspend()
        else:
            self._ending.finish(self._end, self._broadcast_id)
