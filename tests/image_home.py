"""Images of one channel with everything around them made up, for the tests of images."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from brlib.config import Settings
from brlib.errors import ChannelNotFound
from brlib.images import Image, ImageKind, Images
from brlib.models import Channel, new_id, utc_now
from brlib.picture import Limits
from brlib.platforms import Platform

WAIT_S = 10.0


class Home:
    """A data directory with images, and the channels that are known: one at first."""

    def __init__(self, settings: Settings, platforms: Mapping[str, Platform]) -> None:
        self.settings = settings
        self.platforms = platforms
        self.known: dict[str, Channel] = {}
        self.channel = self.add()
        self.images = self.make()

    @classmethod
    def below(cls, directory: Path, platforms: Mapping[str, Platform] = {}) -> Home:
        """In a directory whose name has what a shell, or FFmpeg, could take for its own."""
        data = directory / "data 'n $more 100%d"
        data.mkdir()
        return cls(Settings(data_directory=data), platforms)

    def add(self) -> Channel:
        name = "http://127.0.0.1:9/"
        channel = Channel(new_id("ch"), "url", name, "x", name, "source", True, utc_now())
        self.known[channel.id] = channel
        return channel

    def make(self, limits: Limits = Limits()) -> Images:
        return Images(lambda: self.settings, self.platforms, self.get, limits)

    def get(self, channel_id: str) -> Channel:
        if channel_id not in self.known:
            raise ChannelNotFound(channel_id)
        return self.known[channel_id]

    def put(self, data: bytes, kind: ImageKind = ImageKind.PROFILE) -> Image:
        self.images.put(self.channel.id, kind, io.BytesIO(data))
        return self.kept(kind)

    def kept(self, kind: ImageKind = ImageKind.PROFILE) -> Image:
        found = self.images.find(self.channel.id, kind)
        assert found is not None
        return found

    def program(self, script: str) -> None:
        """A script in the place of FFmpeg from now on."""
        path = self.settings.data_directory.parent / "ffmpeg"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        self.settings = replace(self.settings, ffmpeg_path=str(path))

    def on_disk(self) -> set[str]:
        """Every file below the data directory, and every directory with nothing in it."""
        root = self.settings.data_directory
        return {str(path.relative_to(root)) for path in root.rglob("*")
                if not path.is_dir() or not any(path.iterdir())} - {"images/work"}


def until(condition: Callable[[], bool]) -> None:
    pause, tries = threading.Event(), 0
    while not condition():
        tries += 1
        assert tries < WAIT_S / 0.01
        pause.wait(0.01)
