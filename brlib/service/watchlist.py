"""The channels that are watched, as the web commands them: add, change, check, stop, import.

Made by `Service`. Between the store, which remembers channels, and the supervisor and
recorder, which must hear of what changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import channel_csv
from .. import quality as qualities
from ..config import Settings, processing_clash
from ..disks import Disks
from ..errors import Conflict, Invalid, Problem
from ..images import Images
from ..models import Channel, new_id, utc_now
from ..platforms import Platform
from ..processing import merged
from ..recorder import Recorder
from ..store import Store
from ..supervisor import Supervisor
from .base import STOP_MAX_S

CHECK_BEGINS_MAX_S = 5.0


@dataclass(frozen=True)
class Imported:
    """What became of one row of an import: `created`, `exists` or `invalid`."""

    line: int
    platform: str
    channel: str
    status: str
    channel_id: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Watchlist:
    settings: Callable[[], Settings]
    store: Store
    platforms: dict[str, Platform]
    supervisor: Supervisor
    recorder: Recorder
    images: Images
    hurry: Callable[[], None]
    disks: Disks

    def add(self, platform: str, name: str, quality: str | None, enabled: bool,
            **options: Any) -> Channel:
        """Watch a channel. Raises Invalid, Conflict."""
        channel = new_channel(
            self.settings(), self.platforms[platform], name, quality, enabled, **options)
        self._check_directory(channel.output_directory)
        self._check_processing(channel.processing)
        self._take_on(channel)
        self.hurry()
        return channel

    def _take_on(self, channel: Channel, durable: bool = True) -> None:
        self.store.channels.add(channel, durable)
        self.supervisor.announce(channel.id)
        self.images.fetch_soon(channel)

    def change(self, channel_id: str, changes: dict[str, Any]) -> Channel:
        """Raises ChannelNotFound, Invalid."""
        self._check_directory(changes.get("output_directory"))
        self._check_processing(changes.get("processing"))
        if changes.get("paused") is False:
            # Whoever resumes a channel wants the broadcast that is on now, too.
            changes["stopped_broadcast_id"] = None
        channel = self.store.channels.get(channel_id)
        if changes:
            channel = self.store.channels.change(channel_id, **changes)
        self.supervisor.soon(channel_id)
        self.supervisor.announce(channel_id)
        self.hurry()
        return channel

    def _check_directory(self, directory: str | None) -> None:
        """A channel's own output directory must be usable, absolute and not the captures'.
        Raises Invalid, NoAnswer."""
        if directory is None:
            return
        data = self.settings().data_directory
        try:
            problem = self.disks.ask(directory, lambda: _directory_problem(Path(directory), data))
        except (OSError, RuntimeError, ValueError) as error:
            problem = f"cannot be used: {getattr(error, 'strerror', None) or error}"
        if problem:
            raise Invalid([Problem("output_directory", problem)])

    def _check_processing(self, own: str | None) -> None:
        """A channel's own must go together with what the settings say now. Raises Invalid."""
        settings = self.settings()
        wanted = merged(settings.processing, own)
        if own is not None and (found := processing_clash(wanted, settings)):
            raise Invalid([Problem("processing", ": ".join(found))])

    def delete(self, channel_id: str) -> None:
        """Raises ChannelNotFound, and Conflict while it is being recorded."""
        channel = self.store.channels.get(channel_id)
        if self.recorder.find_by_channel(channel_id) is not None:
            raise Conflict("The channel is being recorded: stop the recording first")
        self.store.channels.delete(channel_id)
        self.supervisor.forget(channel)
        self.images.forget(channel_id)

    def check(self, channel_id: str) -> Channel:
        """Check now; where that starts a recording, wait a little for its first segment.

        Raises ChannelNotFound, PlatformError.
        """
        channel = self.supervisor.check(channel_id)
        active = self.recorder.find_by_channel(channel_id)
        if active is not None:
            active.settled.wait(CHECK_BEGINS_MAX_S)
        return channel

    def stop_recording(self, channel_id: str) -> Channel:
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

    def import_csv(self, data: bytes) -> list[Imported]:
        """Add what a list of channels names, row by row. Raises Invalid for what is no list."""
        results = import_rows(data, self.platforms, self._add_row)
        # One sync for all: a row each would take minutes on an SD card.
        self.store.database.flush()
        self.hurry()
        return results

    def _add_row(self, row: channel_csv.Row) -> Channel:
        channel = new_channel(self.settings(), self.platforms[row.platform], row.channel,
                              row.quality, row.enabled)
        self._take_on(channel, durable=False)
        return channel


def _directory_problem(path: Path, data: Path) -> str | None:
    """Raises OSError, RuntimeError for links in a circle, ValueError for a NUL."""
    if not path.is_absolute():
        return "must be an absolute path"
    if path.resolve().is_relative_to(data.resolve()):
        return "must not be inside the data directory"
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        return "must be a directory that exists and can be written"
    return None


def new_channel(settings: Settings, platform: Platform, name: str, quality: str | None,
                enabled: bool, **options: Any) -> Channel:
    """A channel as it is first stored. Raises Invalid for a name that is none."""
    address = platform.address(name)
    return Channel(
        id=new_id("ch"), platform=platform.name, name=address.name,
        display_name=options.pop("display_name", None) or address.display_name,
        url=address.url, quality=qualities.known(quality or settings.default_quality) or "source",
        enabled=enabled, created_at=utc_now(), **options)


def import_rows(
    data: bytes, platforms: Collection[str], add: Callable[[channel_csv.Row], Channel]
) -> list[Imported]:
    """What became of each row of a list. Raises Invalid for what is no list."""
    return [_imported(row, platforms, add) for row in channel_csv.parse(data)]


def _imported(
    row: channel_csv.Row, platforms: Collection[str], add: Callable[[channel_csv.Row], Channel]
) -> Imported:
    problem = row.problem
    if row.platform not in platforms:
        problem = problem or "platform: must be one of " + ", ".join(platforms)
    elif row.quality and qualities.known(row.quality) is None:
        problem = problem or "quality: must be one of " + ", ".join(qualities.QUALITIES)
    status, channel_id = "invalid", None
    if problem is None:
        try:
            status, channel_id = "created", add(row).id
        except Conflict as error:
            status, problem = "exists", str(error)
        except Invalid as error:
            problem = str(error)
    return Imported(row.line, row.platform, row.channel, status, channel_id, problem)
