"""The composition root: builds the engine, wires it, starts it, stops it.

The only place where features meet. The web server starts one `Service` in its worker and
commands it through `watchlist` and `archive`; tests do the same without a server.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import log as logs
from .. import log_ring
from ..accounts import Accounts, FirstAdmin
from ..adoption import Adoption, Hands, has_captures
from ..assembly import Assembly
from ..ballast import Ballast
from ..capture import Timeouts
from ..clocks import WallClock
from ..config import Configuration, Settings
from ..credentials import Credentials
from ..disks import Disks, Room, RoomCommands
from ..errors import Unavailable
from ..events import EventBus
from ..images import Images
from ..models import Channel
from ..notify import Notifier
from ..platforms import Platform, YtDlp, all_platforms
from ..presence import Presence
from ..quotas import QuotaCommands, Quotas
from ..recorder import Outside, Over, Recorder
from ..storage import Storage
from ..store import Store, open_or_rebuild
from ..supervisor import Commands, Supervisor
from ..tools import Tools
from ..viewing import Viewing
from ..watchdog import Standstill, Watchdog
from ..workers import Worker
from . import health
from .archive import Archive
from .base import STOP_MAX_S, CaptureMaker, DataLock
from .upkeep import Upkeep
from .usage import Usage
from .watchlist import Watchlist

log = logging.getLogger(__name__)

# One round of the check loop: the database may take its time, a dead one takes for ever.
STEP_MAX_S = 60.0
CLOCK_EVERY_S = 2.0


class Service:
    def __init__(
        self, configuration: Configuration, timeouts: Timeouts = Timeouts(),
        notifier: Notifier = Notifier(),
    ) -> None:
        """`notifier` tells systemd how we are."""
        self.configuration = configuration
        self.stopping = threading.Event()
        self.bus = EventBus()
        # What the server does to end the process.
        self.on_shutdown: Callable[[], None] = self.stop
        self.first_admin: FirstAdmin | None = None
        self.notifier = notifier
        self.wall_clock = WallClock()
        self._timeouts = timeouts
        self._stop_by_s = 0.0
        self._started_s = time.monotonic()
        self._exits = ExitStack()
        # Asked to stop all at once, before anyone waits for any of them.
        self._running: list[Callable[[], None]] = []
        self._workers: list[Worker] = []
        self.store: Store
        self.accounts: Accounts
        self.disks: Disks
        self.storage: Storage
        self.upkeep: Upkeep
        self.adoption: Adoption
        self.room: Room
        self.quotas: Quotas
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
            self._settle_ballast()
            ring = log_ring.Ring(self._logs_directory)
            ring.attach()
            exits.callback(ring.close)
            exits.callback(log.info, "The engine has stopped")
            self.notifier.starting("opening the database")
            self.store, rebuilt = open_or_rebuild(
                self.settings.database_path, has_captures(self.settings.captures_directory))
            exits.callback(self.store.close)
            self._open_accounts()
            self.wall_clock = WallClock(self._last_noted())
            self.disks = Disks(self._settings_now)
            self._started(exits, "disks", self.disks.stop, self.disks.join)
            self.storage = Storage(self._settings_now, self.store, self.disks)
            self.storage.prepare()
            self.disks.start()
            self._running.append(self.storage.stop)
            self.adoption = Adoption(self._settings_now, self.store, rebuilt, Hands(
                busy=lambda recording_id: self.recorder.find(recording_id) is not None,
                go_on=lambda recording: self.recorder.go_on(recording),
                finish=lambda recording: self.assembly.finish(recording)))
            self.adoption.prepare()
            self._wire()
            exits.callback(self._close_platforms)
            self._start_features(exits)
            if not self.settings.local_only:
                # Last: a password that was made must not be lost by what fails behind it.
                self.first_admin = self.accounts.first_admin()
            self._exits = exits.pop_all()
        log.info("The engine runs: %d channels, data in %s",
                 len(self.store.channels.find_all()), self.settings.data_directory)

    def _settle_ballast(self) -> None:
        try:
            Ballast(self.settings.data_directory).settle()
        except OSError as error:
            log.warning("There is no ballast in %s: %s", self.settings.data_directory, error)

    def _last_noted(self) -> datetime | None:
        """A time of the process before, less than an hour older than its end."""
        return max((channel.last_checked_at or channel.created_at
                    for channel in self.store.channels.find_all()), default=None)

    def _open_accounts(self) -> None:
        self.accounts = Accounts(self.store, self._settings_now)
        if not self.settings.local_only:
            self.accounts.prepare()

    def _wire(self) -> None:
        now, store = self._settings_now, self.store
        self.tools = Tools(now)
        self.credentials = Credentials(
            now, store, self.bus, on_updated=lambda platform: self.supervisor.retry(platform))
        ytdlp = YtDlp(self.tools.runtimes)
        self._running.append(ytdlp.stop)
        self.platforms = all_platforms(self.credentials, ytdlp, store.kick_ids)
        self.images = Images(now, self.platforms, store.channels.get)
        self.viewing = Viewing(now)
        self.assembly = Assembly(now, store, self.bus)
        self.recorder = Recorder(Outside(
            settings=now, store=store, bus=self.bus, platforms=self.platforms,
            captures=CaptureMaker(self._timeouts, lambda: now().ffmpeg_path),
            on_begun=self.assembly.begin,
            on_ended=lambda recording: self.archive.ended(recording),
            on_over=self._over,
            on_changed=self._recording_changed,
        ))
        usage = Usage(store, self.recorder, self.assembly, now)
        self.room = Room(now, self.disks, self.bus, RoomCommands(
            uses=usage.uses, directories=usage.directories, stop=usage.stop,
            on_room=self._room_again))
        self.upkeep = Upkeep(
            self.storage, Presence(now, store, self.disks), self.viewing.forget,
            lambda: self.wall_clock.doubted_for_s)
        self._running.append(self.upkeep.stop)
        self.quotas = Quotas(now, store, self.bus, QuotaCommands(
            captured=self._captured, remove=self.upkeep.remove, on_room=self._room_again))
        self.supervisor = Supervisor(
            now, store, self.bus, self.platforms,
            Commands(
                record=self.recorder.record, capturing=self.recorder.capturing,
                note=self.recorder.note, free_slots=lambda: self.recorder.free,
                running=self.recorder.running,
                disk_ok=lambda channel: self.room.allows(channel.output_directory),
                over_quota=lambda channel: self.quotas.against(channel), end=self.recorder.end,
            ),
        )
        self.archive = Archive(
            now, store, self.recorder, self.assembly, self.storage, self.viewing)
        supervising = Worker("supervisor", self.supervisor.step, STEP_MAX_S)
        watchdog = Watchdog(self.notifier, self.find_still, self.status_line)
        self._workers = [
            supervising, Worker("config", self.configuration.step, STEP_MAX_S),
            Worker("clock", self._look_at_clock, STEP_MAX_S),
            self.upkeep.worker, watchdog.worker]
        self.watchlist = Watchlist(
            now, store, self.platforms, self.supervisor, self.recorder, self.images,
            supervising.wake, self.disks)

    def _start_features(self, exits: ExitStack) -> None:
        self.archive.discard_left()
        for name, feature in (
            ("credentials", self.credentials), ("images", self.images),
            ("viewing", self.viewing), ("assembly", self.assembly), ("recorder", self.recorder),
            ("room", self.room), ("quotas", self.quotas), ("adoption", self.adoption),
        ):
            self.notifier.starting(name)
            feature.start()
            self._started(exits, name, feature.stop, feature.join)
        self._started(exits, "checks", self.supervisor.stop, self.supervisor.join)
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
        self.quotas.worker.wake()
        self.supervisor.reconsider()
        self.watchlist.hurry()

    def _recording_changed(self, channel: Channel) -> None:
        """One has begun, paused or ended: a slot may be free for who waits."""
        self.supervisor.announce(channel.id)
        self.watchlist.hurry()

    def _room_again(self) -> None:
        """What was not recorded for want of room is looked at at once."""
        try:
            self.disks.ask(self.settings.data_directory, self._settle_ballast)
        except Unavailable as error:
            log.info("The ballast is looked at later: %s", error)
        self.supervisor.reconsider()
        self.watchlist.hurry()

    def _look_at_clock(self) -> float:
        slept_s = self.wall_clock.look()
        if slept_s:
            log.info("The machine has slept for %.0f s: every channel is checked now", slept_s)
            self.supervisor.awoke()
            self.watchlist.hurry()
        return CLOCK_EVERY_S

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
        self.notifier.stopping()
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
        if self.stopping.is_set():
            return ["the daemon is stopping"], True
        found, fatal = health.problems(
            self.room, self.tools, self._watched_workers(), self.find_still())
        for feature in (self.supervisor, self.credentials, self.assembly, self.adoption):
            found += feature.problems()
        return found, fatal

    def _watched_workers(self) -> list[Worker]:
        return [*self._workers, self.disks.worker, self.room.worker, self.quotas.worker,
                self.credentials.worker, self.viewing.worker, self.adoption.worker,
                self.assembly.archiving,
                *self.images.fetchers]

    def find_still(self) -> list[Standstill]:
        """What ought to move and does not. Waits for no disk and no request."""
        return health.find_still(self._watched_workers(), self.recorder.find_all(), self.bus)

    def status_line(self) -> str:
        """For `systemctl status`."""
        return (f"Recording {len(self.recorder.find_active())}, "
                f"watching {self.supervisor.channels} channels")

    def change_settings(self, values: Mapping[str, Any]) -> list[str]:
        """As `Configuration.change`. Raises NoAnswer, too: where files are to go is looked at
        before anything waits for it."""
        for name in ("archive_directory", "data_directory", "output_directory"):
            if isinstance(place := values.get(name), str):
                self.disks.ask(place, functools.partial(os.path.isdir, place))
        return self.configuration.change(values)

    def storage_info(self) -> dict[str, Any]:
        """The storage object of the API."""
        return {**self.storage.info([a.now() for a in self.recorder.find_active()]),
                **self.quotas.info(), **self.room.info()}

    def _captured(self) -> dict[str, int]:
        """What active recordings have captured by now, by their ids."""
        return {active.recording.id: active.sums.captured_bytes
                for active in self.recorder.find_active()}

    @property
    def _logs_directory(self) -> Path:
        return self.settings.data_directory / "logs"

    def logs(self, level: str | None, since: datetime | None, until: datetime | None,
             limit: int, offset: int) -> list[log_ring.LogLine]:
        """What was logged, newest first."""
        return log_ring.find(self._logs_directory, level, since, until, limit, offset)
