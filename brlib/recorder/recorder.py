"""All active recordings, each in a thread of one pool.

Commanded by the supervisor (a broadcast is live), by the API (stop, pause, resume) and by
the service (continue what an earlier process left, suspend everything).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from datetime import datetime

from ..config import RECORDINGS_MAX
from ..errors import (
    CaptureDamaged, ChannelNotFound, Conflict, RecorderError, RecordingNotFound, Unavailable,
)
from ..models import (
    ACTIVE, Broadcast, Channel, EndReason, Recording, RecordingStatus, new_id, utc_now,
)
from ..workers import Pool
from .active import ActiveRecording
from .base import Outside

log = logging.getLogger(__name__)


class Recorder:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._lock = threading.Lock()
        self._active: dict[str, ActiveRecording] = {}
        self._stopping = False
        # Newest first: of several that a crash left for one channel the newest goes on.
        left = outside.store.recordings.find_with_status(ACTIVE)[::-1]
        self._left = {recording.id: recording for recording in left}
        # Room for as many as may ever be asked for; the present limit is kept in `_run`.
        self._pool = Pool("rec", RECORDINGS_MAX + len(left))

    def start(self) -> None:
        """Go on with the recordings that an earlier process left active."""
        for recording in self._left.values():
            try:
                self.go_on(recording)
            except (RecorderError, OSError, sqlite3.Error) as error:
                # One recording's trouble must not keep the others waiting.
                log.error("%s cannot go on: %s", recording.id, error)
        self._left = {}

    def go_on(self, recording: Recording) -> None:
        """Take up a recording that nobody works at: it is recorded on, or finished where it
        cannot be. Raises RecorderError, sqlite3.Error."""
        try:
            channel = self._outside.store.channels.get(recording.channel_id)
        except ChannelNotFound:
            log.warning("%s: its channel is gone; it is finished as it is", recording.id)
            self._finish_orphan(recording)
            return
        if self.find_by_channel(channel.id) is not None:
            log.warning("%s: its channel has a later recording; it is finished", recording.id)
            self._finish_orphan(recording)
            return
        log.info("%s goes on", recording.id)
        active = ActiveRecording(self._outside, channel, recording, begun=True)
        try:
            # Before anyone follows its index, which may end where a crash left it.
            active.recover()
        except (CaptureDamaged, OSError) as error:
            log.error("%s: %s", recording.id, error)
        if recording.end_reason is not None:
            # It was ended, and its disk kept it from being closed.
            active.stop(recording.end_reason)
        self._run(active, goes_on=True)
        self._outside.on_begun(recording)

    def _finish_orphan(self, recording: Recording) -> None:
        """Make the file of what was captured, although nobody watches its channel for it."""
        nobody = Channel(
            id=recording.channel_id, platform=recording.platform, name="", url="",
            display_name=recording.channel_name, quality=recording.quality, enabled=False,
            created_at=recording.started_at)
        active = ActiveRecording(self._outside, nobody, recording, begun=True)
        active.stop(EndReason.OFFLINE)
        self._run(active, exclusive=False, goes_on=True)

    @property
    def _limit(self) -> int:
        return self._outside.settings().max_concurrent_recordings

    @property
    def free(self) -> int:
        with self._lock:
            return 0 if self._stopping else self._limit - len(self._active)

    def record(self, channel: Channel, broadcast: Broadcast) -> ActiveRecording:
        """Record a live broadcast from now on. Where its files go and what they are called
        stays as it is now, whatever becomes of the settings.

        Raises Conflict when the channel is being recorded already, Unavailable without a free
        slot.
        """
        settings = self._outside.settings()
        recording = Recording(
            id=new_id("rec"),
            channel_id=channel.id,
            channel_name=channel.display_name,
            platform=channel.platform,
            title=broadcast.title or channel.display_name,
            category=broadcast.category,
            broadcast_id=broadcast.id,
            status=RecordingStatus.RECORDING,
            started_at=utc_now(),
            filename_template=channel.filename_template or settings.filename_template,
            output_directory=channel.output_directory or str(settings.output_directory),
        )
        active = ActiveRecording(self._outside, channel, recording, begun=False)
        if self.find_by_channel(channel.id) is not None:
            raise Conflict(f"{channel.display_name} is being recorded already")
        self._run(active)
        return active

    def _run(
        self, active: ActiveRecording, *, exclusive: bool = True, goes_on: bool = False
    ) -> None:
        """What an earlier process began goes on whatever the limit is now."""
        with self._lock:
            taken = exclusive and any(
                a.channel.id == active.channel.id for a in self._active.values())
            if self._stopping or taken:
                raise Unavailable("Nothing more is recorded now")
            if not goes_on and len(self._active) >= self._limit:
                raise Unavailable("Every recording slot is taken")
            self._active[active.recording.id] = active

        def task() -> None:
            try:
                active.run()
            finally:
                with self._lock:
                    self._active.pop(active.recording.id, None)
                self._outside.on_changed(active.channel)

        if not self._pool.submit(f"rec-{active.recording.id}", task):
            with self._lock:
                self._active.pop(active.recording.id, None)
            raise Unavailable("Every recording slot is taken")

    def find_by_channel(self, channel_id: str) -> ActiveRecording | None:
        with self._lock:
            return next((a for a in self._active.values() if a.channel.id == channel_id), None)

    def find_active(self) -> list[ActiveRecording]:
        """Those with something on disk, oldest first."""
        with self._lock:
            begun = [a for a in self._active.values() if a.begun.is_set()]
        return sorted(begun, key=lambda a: a.recording.started_at)

    def find_all(self) -> list[ActiveRecording]:
        """Those in the pool, begun or not."""
        with self._lock:
            return list(self._active.values())

    def running(self) -> list[tuple[str, str, datetime]]:
        """Who has a slot: ids of recording and channel, and since when."""
        return [(one.recording.id, one.channel.id, one.recording.started_at)
                for one in self.find_all()]

    def find(self, recording_id: str) -> ActiveRecording | None:
        with self._lock:
            return self._active.get(recording_id)

    def get(self, recording_id: str) -> ActiveRecording:
        """Raises Conflict for a recording that is over, RecordingNotFound for none."""
        active = self.find(recording_id)
        if active is not None and active.begun.is_set():
            return active
        status = self._outside.store.recordings.get(recording_id).status
        if active is not None:
            raise RecordingNotFound(recording_id)
        raise Conflict(f"The recording is not active: it is {status}")

    def note(self, channel_id: str, broadcast: Broadcast) -> None:
        """What a channel's broadcast is called and about, from here on."""
        active = self.find_by_channel(channel_id)
        if active is not None:
            active.note(broadcast)

    def end(self, channel_id: str, reason: EndReason) -> None:
        """End a channel's recording, if there is one; its file is finished."""
        active = self.find_by_channel(channel_id)
        if active is not None:
            active.stop(reason)

    def capturing(self, channel_id: str) -> bool | None:
        """None: not being recorded; False: not a segment yet; True: recording."""
        active = self.find_by_channel(channel_id)
        return None if active is None else active.begun.is_set()

    def stop(self) -> None:
        """Suspend every recording, to be continued by the next process. Idempotent."""
        with self._lock:
            self._stopping = True
            active = list(self._active.values())
        for one in active:
            one.suspend()

    def join(self, deadline_s: float) -> bool:
        return self._pool.join(deadline_s)
