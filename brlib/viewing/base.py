"""The words that viewing's own modules share, and how they run FFmpeg's programs."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ..errors import Unavailable
from ..naming import inside
from ..workers import Child

TYPES = {
    ".ts": "video/mp2t", ".mp4": "video/mp4", ".m4s": "video/mp4", ".aac": "audio/aac",
    ".mp3": "audio/mpeg", ".ac3": "audio/ac3",
}
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Media:
    """What is to be sent: so many bytes of a file, from `start` on, and nothing else of it."""

    path: Path
    size_bytes: int
    content_type: str
    start: int = 0


@dataclass(frozen=True)
class FinishedFile:
    """A finished file as it was when somebody asked; `tag` is another one after any change."""

    path: Path
    size_bytes: int
    tag: str

    @classmethod
    def find(cls, path: Path, root: Path) -> FinishedFile | None:
        """None for what is no plain file inside `root`."""
        try:
            found = os.lstat(path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode) or not inside(path, root):
            return None
        facts = f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ino}".encode(
            errors="surrogatepass")
        return cls(path, found.st_size, blake2b(facts, digest_size=4).hexdigest())


def run(name: str, argv: Sequence[str], limit_s: float, stopping: threading.Event) -> list[str]:
    """The lines that a program wrote, once it has ended well.

    Raises Unavailable when it cannot be started, fails, takes too long or has to stop.
    """
    lines: list[str] = []
    try:
        child = Child(name, argv, on_line=lines.append)
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be started ({error.strerror}): install FFmpeg or "
                          "set ffmpeg_path") from error
    end_s = time.monotonic() + limit_s
    while (code := child.wait(LOOK_EVERY_S)) is None:
        if stopping.is_set() or time.monotonic() > end_s:
            child.kill()
            child.stop()
            raise Unavailable("The daemon is stopping" if stopping.is_set() else
                              f"FFmpeg took longer than {limit_s:.0f} s")
    if code != 0:
        raise Unavailable(f"FFmpeg failed ({code}): {' / '.join(lines[-3:])}")
    return lines
