"""What the engine's start needs: the lock on its data, and how captures are made."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..capture import Capture, Timeouts
from ..errors import Unavailable

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
    ffmpeg: Callable[[], str]

    def create(self, name: str, directory: Path, on_news: Callable[[], None]) -> Capture:
        return Capture.create(
            name, directory, on_news=on_news, timeouts=self.timeouts, ffmpeg=self.ffmpeg)

    def recover(self, name: str, directory: Path, on_news: Callable[[], None]) -> Capture:
        return Capture.recover(
            name, directory, on_news=on_news, timeouts=self.timeouts, ffmpeg=self.ffmpeg)
