"""The composition root: builds the engine, wires it, starts it, stops it, takes commands.

The only place where features meet. The web server starts one `Service` in its worker and
calls nothing else; tests do the same without a server.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import quality as qualities
from .assembly import Assembly
from .capture import Capture, Timeouts
from .config import Settings
from .errors import Conflict, Invalid, Problem, RecorderError, Unavailable
from .events import EventBus
from .models import Channel, Gap, Recording, RecordingStatus, new_id, utc_now
from .platforms import Platform, all_platforms
from .recorder import ActiveRecording, Outside, Over, Recorder
from .storage import Storage
from .store import Store, open_store
from .supervisor import Commands, Supervisor
from .workers import Worker

log = logging.getLogger(__name__)

CHECK_BEGINS_MAX_S = 5.0
# All joins together; what a request waits for a recording to end is bounded alike.
STOP_MAX_S = 3.0


class DataLock:
    """An exclusive lock on the data directory, so that one daemon alone works in it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise Unavailable(
                f"Another Battles Record works in {directory} already: stop it first or give "
                "this one a data_directory of its own") from error

    def release(self) -> None:
        os.close(self._fd)


@dataclass(frozen=True)
class CaptureMaker:
    """Gives the recorder its captures, with this daemon's patience."""

    timeouts: Timeouts

    def create(self, name: str, directory: Path, on_news: Callable[[], None]) -> Capture:
        return Capture.create(name, directory, on_news=on_news, timeouts=self.timeouts)

    def recover(self, name: str, directory: Path, on_news: Callable[[], None]) -> Capture:
        return Capture.recover(name, directory, on_news=on_news, timeouts=self.timeouts)


class Service:
    def __init__(self, settings: Settings, timeouts: Timeouts = Timeouts()) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self.bus = EventBus()
        self._timeouts = timeouts
        self._stop_by_s = 0.0
        self._started_s = time.monotonic()
        self._exits = ExitStack()
        self.store: Store
        self.storage: Storage
        self.recorder: Recorder
        self.assembly: Assembly
        self.supervisor: Supervisor
        self.platforms: dict[str, Platform]
        self._supervising: Worker | None = None

    def start(self) -> None:
        """Everything, in order; what fails undoes what was started. Raises RecorderError,
        OSError, sqlite3.Error."""
        with ExitStack() as exits:
            exits.callback(DataLock(self.settings.data_directory).release)
            self.store = open_store(self.settings.database_path)
            exits.callback(self.store.close)
            self.storage = Storage(self.settings, self.store)
            self.storage.prepare()
            self.platforms = all_platforms()
            exits.callback(self._close_platforms)
            self._wire()
            self.assembly.start()
            exits.callback(self._end, "assembly", self.assembly.join, self.assembly.stop)
            self.recorder.start()
            exits.callback(self._end, "recorder", self.recorder.join, self.recorder.stop)
            self._supervising = Worker("supervisor", self.supervisor.step)
            self._supervising.start()
            exits.callback(self._end, "checks", self.supervisor.join, self._supervising.stop)
            self._exits = exits.pop_all()
        log.info("The engine runs: %d channels, data in %s",
                 len(self.store.channels.find_all()), self.settings.data_directory)

    def _wire(self) -> None:
        self.assembly = Assembly(self.settings, self.store, self.bus)
        outside = Outside(
            settings=self.settings, store=self.store, bus=self.bus, platforms=self.platforms,
            captures=CaptureMaker(self._timeouts),
            on_begun=lambda recording: self.assembly.begin(recording),
            on_ended=lambda recording: self.assembly.finish(recording),
            on_over=self._over,
            on_changed=lambda channel: self.supervisor.announce(channel.id),
        )
        self.recorder = Recorder(outside)
        self.supervisor = Supervisor(
            self.settings, self.store, self.bus, self.platforms,
            Commands(
                record=self.recorder.record, capturing=self.recorder.capturing,
                free_slots=lambda: self.recorder.free, disk_ok=self.storage.room_for_recording,
            ),
        )

    def _over(self, over: Over) -> None:
        self.supervisor.over(over.channel_id, over.reason, over.edge, over.error)

    def _end(self, name: str, join: Callable[[float], bool], stop: Callable[[], None]) -> None:
        stop()
        left_s = max(0.2, self._stop_by_s - time.monotonic())
        if not join(left_s):
            log.warning("%s: something still runs; it holds nothing that is not on disk", name)

    def _close_platforms(self) -> None:
        for platform in self.platforms.values():
            platform.close()

    def stop(self) -> None:
        """Ask everything to stop; returns at once, idempotent."""
        if self.stopping.is_set():
            return
        self._stop_by_s = time.monotonic() + STOP_MAX_S
        self.stopping.set()
        if self._supervising is not None:
            self._supervising.stop()
            self.recorder.stop()
            self.assembly.stop()

    def close(self) -> None:
        """Stop and wait, in reverse order of the start. Every wait has a deadline."""
        self.stop()
        self._exits.close()
        log.info("The engine has stopped")

    # Channels.

    def add_channel(self, platform: str, name: str, quality: str | None, enabled: bool,
                    **options: Any) -> Channel:
        """Watch a channel. Raises Invalid, Conflict."""
        address = self.platforms[platform].address(name)
        channel = Channel(
            id=new_id("ch"), platform=platform, name=address.name,
            display_name=options.pop("display_name", None) or address.display_name,
            url=address.url,
            quality=qualities.known(quality or self.settings.default_quality) or "source",
            enabled=enabled, created_at=utc_now(), **options)
        self._check_directory(channel.output_directory)
        self.store.channels.add(channel)
        self.supervisor.announce(channel.id)
        self._hurry()
        return channel

    def change_channel(self, channel_id: str, changes: dict[str, Any]) -> Channel:
        """Raises ChannelNotFound, Invalid."""
        if changes.get("quality"):
            changes["quality"] = qualities.known(changes["quality"])
        self._check_directory(changes.get("output_directory"))
        channel = self.store.channels.get(channel_id)
        if changes.get("paused") is False:
            # Whoever resumes a channel wants the broadcast that is on now, too.
            changes["stopped_broadcast_id"] = None
        if changes:
            channel = self.store.channels.change(channel_id, **changes)
        self.supervisor.soon(channel_id)
        self.supervisor.announce(channel_id)
        self._hurry()
        return channel

    def _check_directory(self, directory: str | None) -> None:
        """A channel's own output directory must be usable, absolute and not the captures'."""
        if directory is None:
            return
        path = Path(directory)
        problem = None
        if not path.is_absolute():
            problem = "must be an absolute path"
        elif path.resolve().is_relative_to(self.settings.data_directory.resolve()):
            problem = "must not be inside the data directory"
        elif not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
            problem = "must be a directory that exists and can be written"
        if problem:
            raise Invalid([Problem("output_directory", problem)])

    def _hurry(self) -> None:
        if self._supervising is not None:
            self._supervising.wake()

    def delete_channel(self, channel_id: str) -> None:
        """Raises ChannelNotFound, and Conflict while it is being recorded."""
        channel = self.store.channels.get(channel_id)
        if self.recorder.find_by_channel(channel_id) is not None:
            raise Conflict("The channel is being recorded: stop the recording first")
        self.store.channels.delete(channel_id)
        self.supervisor.forget(channel)

    def check_channel(self, channel_id: str) -> Channel:
        """Check now; where that starts a recording, wait a little for its first segment.

        Raises ChannelNotFound, PlatformError.
        """
        channel = self.supervisor.check(channel_id)
        active = self.recorder.find_by_channel(channel_id)
        if active is not None:
            active.begun.wait(CHECK_BEGINS_MAX_S)
        return channel

    def stop_channel(self, channel_id: str) -> Channel:
        """End the channel's recording and pause it. Raises ChannelNotFound, Conflict."""
        self.store.channels.get(channel_id)
        active = self.recorder.find_by_channel(channel_id)
        if active is None:
            raise Conflict("The channel is not being recorded")
        channel = self.store.channels.change(channel_id, paused=True)
        active.stop()
        active.finished.wait(STOP_MAX_S)
        self.supervisor.announce(channel_id)
        return channel

    # Recordings.

    def recording(self, recording_id: str) -> Recording:
        """As of this moment. Raises RecordingNotFound."""
        active = self._find_running(recording_id)
        return active.now() if active is not None else self.store.recordings.get(recording_id)

    def _find_running(self, recording_id: str) -> ActiveRecording | None:
        """The active recording behind an id, while it knows more than the store."""
        active = self.recorder.find(recording_id)
        if active is not None and active.begun.is_set() and active.recording.active:
            return active
        return None

    def gaps(self, recording_id: str) -> list[Gap]:
        """Raises RecordingNotFound."""
        active = self._find_running(recording_id)
        if active is not None:
            return active.gaps()
        self.store.recordings.get(recording_id)
        return self.store.recordings.find_gaps(recording_id)

    def stop_recording(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound, Conflict."""
        active = self.recorder.get(recording_id)
        active.stop()
        active.finished.wait(STOP_MAX_S)
        return self.recording(recording_id)

    def reprocess(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound, Conflict."""
        return self.assembly.reprocess(self.store.recordings.get(recording_id))

    def delete_recording(self, recording_id: str, with_file: bool) -> None:
        """Raises RecordingNotFound, Conflict while it is active or being processed."""
        recording = self.recording(recording_id)
        if recording.active or recording.status is RecordingStatus.PROCESSING:
            raise Conflict(f"The recording is {recording.status}: stop it first"
                           if recording.active else "The recording is being processed")
        try:
            self.storage.delete(recording, with_file)
        except OSError as error:
            raise RecorderError(f"Its files could not be deleted: {error}") from error
        self.store.recordings.delete(recording_id)

    # Health.

    def uptime_s(self) -> float:
        return time.monotonic() - self._started_s

    def problems(self) -> tuple[list[str], bool]:
        """What is wrong, and whether recording is impossible because of it."""
        found, fatal = [], False
        if self.stopping.is_set():
            found.append("the daemon is stopping")
            fatal = True
        elif self._supervising is None or self._supervising.died:
            found.append("the supervisor thread is dead: restart the daemon")
            fatal = True
        elif self._supervising.last_error:
            found.append(f"the check loop fails: {self._supervising.last_error}")
        if shutil.which(self.settings.ffmpeg_path) is None:
            found.append(f"FFmpeg is missing ({self.settings.ffmpeg_path}): streams are captured, "
                         "but no file can be finished")
        try:
            if not self.storage.room_for_recording():
                found.append("the disk has less than min_free_space: no recording starts")
                fatal = True
        except OSError as error:
            found.append(f"the disk cannot be read: {error}")
            fatal = True
        return found, fatal
