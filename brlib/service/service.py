"""The composition root: builds the engine, wires it, starts it, stops it.

The only place where features meet. The web server starts one `Service` in its worker and
commands it through `watchlist` and `archive`; tests do the same without a server.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import log as logs
from .. import log_ring
from ..accounts import Accounts, FirstAdmin
from ..assembly import Assembly
from ..capture import Timeouts
from ..config import Configuration, Settings
from ..credentials import Credentials
from ..events import EventBus
from ..images import Images
from ..models import utc_now
from ..platforms import Platform, all_platforms
from ..recorder import Outside, Over, Recorder
from ..storage import Cleanup, Storage
from ..store import Store, open_store
from ..supervisor import Commands, Supervisor
from ..tools import Tools
from ..viewing import Viewing
from ..workers import Worker
from . import health
from .archive import Archive
from .base import STOP_MAX_S, CaptureMaker, DataLock
from .watchlist import Watchlist

log = logging.getLogger(__name__)


class Service:
    def __init__(self, configuration: Configuration, timeouts: Timeouts = Timeouts()) -> None:
        self.configuration = configuration
        self.stopping = threading.Event()
        self.bus = EventBus()
        # What the server does to end the process.
        self.on_shutdown: Callable[[], None] = self.stop
        self.first_admin: FirstAdmin | None = None
        self._timeouts = timeouts
        self._stop_by_s = 0.0
        self._started_s = time.monotonic()
        self._exits = ExitStack()
        # Asked to stop all at once, before anyone waits for any of them.
        self._running: list[Callable[[], None]] = []
        self._workers: list[Worker] = []
        self.store: Store
        self.accounts: Accounts
        self.storage: Storage
        self.images: Images
        self.tools: Tools
        self.credentials: Credentials
        self.viewing: Viewing
        self.recorder: Recorder
        self.assembly: Assembly
        self.supervisor: Supervisor
        self.watchlist: Watchlist
        self.archive: Archive
        self.platforms: dict[str, Platform]

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self.configuration.settings

    def _settings_now(self) -> Settings:
        return self.configuration.settings

    def start(self) -> None:
        """Everything, in order; what fails undoes what was started. Raises RecorderError,
        OSError, sqlite3.Error."""
        with ExitStack() as exits:
            exits.callback(DataLock(self.settings.data_directory).release)
            ring = log_ring.Ring(self._logs_directory)
            ring.attach()
            exits.callback(ring.close)
            exits.callback(log.info, "The engine has stopped")
            self.store = open_store(self.settings.database_path)
            exits.callback(self.store.close)
            self._open_accounts()
            self.storage = Storage(self._settings_now, self.store)
            self.storage.prepare()
            self._running.append(self.storage.stop)
            self._wire()
            exits.callback(self._close_platforms)
            self._start_features(exits)
            if not self.settings.local_only:
                # Last: a password that was made must not be lost by what fails behind it.
                self.first_admin = self.accounts.first_admin()
            self._exits = exits.pop_all()
        log.info("The engine runs: %d channels, data in %s",
                 len(self.store.channels.find_all()), self.settings.data_directory)

    def _open_accounts(self) -> None:
        self.accounts = Accounts(self.store, self._settings_now)
        if not self.settings.local_only:
            self.accounts.prepare()

    def _wire(self) -> None:
        now, store = self._settings_now, self.store
        self.tools = Tools(now)
        self.credentials = Credentials(
            now, store, self.bus, on_updated=lambda platform: self.supervisor.retry(platform))
        self.platforms = all_platforms(
            self.credentials, self.tools.runtimes, store.kick_ids)
        self.images = Images(now, self.platforms, store.channels.get)
        self.viewing = Viewing(now)
        self.assembly = Assembly(now, store, self.bus)
        self.recorder = Recorder(Outside(
            settings=now, store=store, bus=self.bus, platforms=self.platforms,
            captures=CaptureMaker(self._timeouts, lambda: now().ffmpeg_path),
            on_begun=self.assembly.begin,
            on_ended=lambda recording: self.archive.ended(recording),
            on_over=self._over,
            on_changed=lambda channel: self.supervisor.announce(channel.id),
        ))
        self.supervisor = Supervisor(
            now, store, self.bus, self.platforms,
            Commands(
                record=self.recorder.record, capturing=self.recorder.capturing,
                note=self.recorder.note, free_slots=lambda: self.recorder.free,
                disk_ok=self.storage.room_for_recording,
            ),
        )
        self.archive = Archive(
            now, store, self.recorder, self.assembly, self.storage, self.viewing)
        supervising = Worker("supervisor", self.supervisor.step)
        self._workers = [supervising, Worker("config", self.configuration.step)]
        self.watchlist = Watchlist(
            now, store, self.platforms, self.supervisor, self.recorder, self.images,
            supervising.wake)

    def _start_features(self, exits: ExitStack) -> None:
        self.archive.discard_left()
        for name, feature in (
            ("credentials", self.credentials), ("images", self.images),
            ("viewing", self.viewing), ("assembly", self.assembly), ("recorder", self.recorder),
        ):
            feature.start()
            self._started(exits, name, feature.stop, feature.join)
        exits.callback(self._end, "checks", self.supervisor.join)
        self.configuration.listen(self._reconfigured)
        exits.callback(self.configuration.ignore, self._reconfigured)
        for worker in self._workers:
            worker.start()
            self._started(exits, worker.name, worker.stop, worker.join)

    def _started(self, exits: ExitStack, name: str, stop: Callable[[], None],
                 join: Callable[[float], bool]) -> None:
        self._running.append(stop)
        exits.callback(self._end, name, join)
        exits.callback(stop)

    def _reconfigured(self, before: Settings, after: Settings, names: list[str]) -> None:
        """The configuration has changed, by the API or by hand."""
        if before.log_level != after.log_level:
            logs.set_level(after.log_level)
        self.bus.publish("config_reloaded", {
            "changed": names, "restart_required": self.configuration.restart_required})
        self.supervisor.reconsider()
        self.watchlist.hurry()

    def _over(self, over: Over) -> None:
        self.supervisor.over(
            over.channel_id, over.reason, over.edge, over.error, over.trouble)

    def _end(self, name: str, join: Callable[[float], bool]) -> None:
        if not join(max(0.2, self._stop_by_s - time.monotonic())):
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
        for stop in reversed(self._running):
            stop()

    def close(self) -> None:
        """Stop and wait, in reverse order of the start. Every wait has a deadline."""
        self.stop()
        self._exits.close()

    def shut_down(self) -> None:
        """End the whole daemon; returns at once."""
        log.info("Stopping, as the API was asked to")
        self.on_shutdown()

    # What the API asks of the whole.

    def uptime_s(self) -> float:
        return time.monotonic() - self._started_s

    def problems(self) -> tuple[list[str], bool]:
        """What is wrong, and whether recording is impossible because of it."""
        found, fatal = health.problems(
            self.storage, self.tools, [*self._workers, self.credentials.worker],
            self.stopping.is_set())
        return found + ([] if self.stopping.is_set() else self.supervisor.problems()), fatal

    def storage_info(self) -> dict[str, Any]:
        """The storage object of the API."""
        return self.storage.info([a.now() for a in self.recorder.find_active()])

    def cleanup(self) -> Cleanup:
        """Run the retention rules now."""
        done = self.storage.cleanup(utc_now())
        for recording_id in done.deleted:
            self.viewing.forget(recording_id)
        return done

    @property
    def _logs_directory(self) -> Path:
        return self.settings.data_directory / "logs"

    def logs(self, level: str | None, since: datetime | None, until: datetime | None,
             limit: int, offset: int) -> list[log_ring.LogLine]:
        """What was logged, newest first."""
        return log_ring.find(self._logs_directory, level, since, until, limit, offset)
