"""The images of channels: a profile picture and a banner each, uploaded or the platform's.

Commanded by the API (find, upload, remove, fetch again) and by the service (fetch those of a
new channel, forget those of a deleted one). Every image that is kept was made by our own
FFmpeg; what came from outside is gone when a call returns.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from ..config import Settings
from ..errors import (
    ChannelNotFound, ImageNotFound, Invalid, PlatformError, RecorderError, TooLarge,
)
from ..models import Channel
from ..picture import Limits
from ..platforms import Platform
from ..workers import Worker
from .base import MEGABYTE, Image, ImageKind
from .converter import Converter
from .download import download
from .files import ImageFiles

log = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
FETCHERS = 2
# An import may add many channels at once; their images are fetched one behind the other.
WAITING_MAX = 500
IDLE_S = 3600.0
# Both images of one channel; the platform's own answer has its own limit.
DOWNLOADS_MAX_S = 30.0
# A fetch with all the deadlines in it.
STEP_MAX_S = 300.0


class Images:
    """`get_channel` gives a channel that is still known or raises ChannelNotFound."""

    def __init__(
        self, settings: Callable[[], Settings], platforms: Mapping[str, Platform],
        get_channel: Callable[[str], Channel], limits: Limits = Limits(),
    ) -> None:
        self._platforms = platforms
        self._get_channel = get_channel
        self._files = ImageFiles(lambda: settings().data_directory / "images")
        self._converter = Converter(settings, limits)
        self._stopping = threading.Event()
        self._waiting: queue.Queue[Channel] = queue.Queue(WAITING_MAX)
        self.fetchers = [Worker(f"images-{n}", self._fetch_next, STEP_MAX_S)
                         for n in range(FETCHERS)]

    def start(self) -> None:
        """Remove what a crash left half done, and begin to fetch. Raises OSError."""
        self._files.clear_work()
        for fetcher in self.fetchers:
            fetcher.start()

    def stop(self) -> None:
        """Ask to stop; conversions are killed. Returns at once, idempotent."""
        self._stopping.set()
        for fetcher in self.fetchers:
            fetcher.stop()
        self._converter.stop()

    def join(self, deadline_s: float) -> bool:
        """False when a fetch still runs after `deadline_s`."""
        end_s = time.monotonic() + deadline_s
        return all([fetcher.join(max(0.0, end_s - time.monotonic()))
                    for fetcher in self.fetchers])

    def find(self, channel_id: str, kind: ImageKind) -> Image | None:
        """The custom image, else the platform's, else None."""
        return self._files.find(channel_id, kind)

    def put(self, channel_id: str, kind: ImageKind, source: IO[bytes]) -> None:
        """Make an upload the channel's custom image; of two at once the later to finish
        stays. Raises ChannelNotFound, TooLarge, Invalid, Unavailable."""
        self._get_channel(channel_id)
        with self._files.workplace() as place:
            _receive(source, place / "source", kind.max_bytes)
            self._keep_converted(place, channel_id, kind, custom=True)

    def remove(self, channel_id: str, kind: ImageKind) -> None:
        """Remove the custom image, so that the platform's is shown. Raises ImageNotFound."""
        if not self._files.remove(channel_id, kind, custom=True):
            raise ImageNotFound(f"The channel has no custom {kind} image")

    def forget(self, channel_id: str) -> None:
        """Remove everything of a channel that `get_channel` does not give any more."""
        self._files.forget(channel_id)

    def fetch_soon(self, channel: Channel) -> None:
        """`fetch` in the background; what goes wrong is one line of the log."""
        try:
            self._waiting.put_nowait(channel)
        except queue.Full:
            log.info("%s: its images are not fetched, too many others wait", channel.display_name)
            return
        for fetcher in self.fetchers:
            fetcher.wake()

    def fetch(self, channel: Channel) -> None:
        """Get the images that the platform has of a channel now. One that it has not (any
        more) is removed, one that cannot be had stays as it was.

        Raises PlatformError, Unavailable, ChannelNotFound when it was deleted meanwhile.
        """
        profile = self._platforms[channel.platform].profile(channel)
        until_s = time.monotonic() + DOWNLOADS_MAX_S
        failures = []
        for kind, url in ((ImageKind.PROFILE, profile.profile_image_url),
                          (ImageKind.BANNER, profile.banner_image_url)):
            try:
                if url is None:
                    self._files.remove(channel.id, kind, custom=False)
                else:
                    self._fetch_one(channel.id, kind, url, until_s)
            except PlatformError as error:
                failures.append(f"{kind}: {error}")
        if failures:
            raise PlatformError("; ".join(failures))

    def _fetch_one(self, channel_id: str, kind: ImageKind, url: str, until_s: float) -> None:
        data = download(url, kind.max_bytes, until_s, self._stopping)
        with self._files.workplace() as place:
            (place / "source").write_bytes(data)
            try:
                self._keep_converted(place, channel_id, kind, custom=False)
            except Invalid as error:
                raise PlatformError(f"What the platform gives {error.problems[0].message}") \
                    from error

    def _keep_converted(
        self, place: Path, channel_id: str, kind: ImageKind, *, custom: bool
    ) -> None:
        self._converter.convert(place / "source", place / "image.jpg", kind)
        self._files.keep(
            place / "image.jpg", channel_id, kind, custom=custom,
            still_wanted=lambda: self._get_channel(channel_id))

    def _fetch_next(self) -> float:
        try:
            channel = self._waiting.get_nowait()
        except queue.Empty:
            return IDLE_S
        try:
            self.fetch(channel)
        except ChannelNotFound:
            log.debug("%s was deleted before its images came", channel.id)
        except RecorderError as error:
            log.warning("%s: its images could not be fetched: %s", channel.display_name, error)
        return 0.0


def _receive(source: IO[bytes], target: Path, size_max_bytes: int) -> None:
    left_bytes = size_max_bytes + 1
    with open(target, "wb") as file:
        while left_bytes and (chunk := source.read(min(CHUNK_BYTES, left_bytes))):
            file.write(chunk)
            left_bytes -= len(chunk)
    if not left_bytes:
        raise TooLarge(f"The image may have at most {size_max_bytes // MEGABYTE} MB")
