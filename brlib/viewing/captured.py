"""One capture as players see it: its list read on from where it was left, its parts.

While somebody watches, the capture's files also have a second name (a hard link) in a
directory of `Viewing`'s. So whoever began while it was recorded goes on, with the same list,
when the capture itself has been dropped for the finished file. A link takes no space until
then; where the file system has none, those players are told that the media are gone.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
from pathlib import Path

from ..errors import CaptureDamaged, NotFound
from ..hls import CaptureList
from ..ledger import FIRST_LINE, INDEX
from ..naming import inside
from ..playlist import parse
from .base import TYPES, Media

log = logging.getLogger(__name__)

# As hls.piece_name makes them of a capture's parts.
PIECE_NAME = re.compile(
    r"(?P<part>\d{4,})-(?P<start>0|[1-9]\d{0,14})-(?P<size>[1-9]\d{0,14})"
    r"(?P<suffix>\.(?:ts|mp4|aac|mp3|ac3))", re.ASCII)
_TARGET = re.compile(rb"#EXT-X-TARGETDURATION:(\d{1,6})\n")
# Enough of the index to see that it is the one that was read before: a digest stands in it.
_TAIL_BYTES = 400
_HEAD_BYTES = 400


class Captured:
    """Thread-safe. `asked_s` is when somebody last wanted something of it, its owner's
    clock."""

    def __init__(self, directory: Path, held_in: Path) -> None:
        self.asked_s = 0.0
        self._directory = directory
        # Its own: another one for the same capture may follow before this one has let go.
        self._held = held_in / f"{directory.name}-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._released = False
        self._forget()

    def _forget(self) -> None:
        self._list: CaptureList | None = None
        self._offset = 0
        self._tail = b""
        self._linked: set[str] = set()
        self._no_links = False
        shutil.rmtree(self._held, ignore_errors=True)

    @property
    def dropped(self) -> bool:
        """Whether the capture is gone, and only what is held of it may be left."""
        return not (self._directory / INDEX).exists()

    def playlist(self, closed: bool) -> str | None:
        """The list as of now, None while it has no segment.

        Raises NotFound when neither the capture nor the whole of it is here any more,
        CaptureDamaged when its index is none.
        """
        with self._lock:
            found, dropped = self._read()
            return found.text(closed or found.ended or dropped) if found.segments else None

    def media(self, name: str) -> Media:
        """A piece of a part. Raises NotFound, also for what the list does not name."""
        match = PIECE_NAME.fullmatch(name)
        if match is None:
            raise NotFound(f"The recording has no media called {name}")
        file, start, size_bytes = (
            match["part"] + match["suffix"], int(match["start"]), int(match["size"]))
        with self._lock:
            found, _ = self._read()
            spans = found.parts.get(file)
            named = spans is not None and spans.names(start, size_bytes)
            path = (self._held if file in self._linked else self._directory) / file
        if not named or path.is_symlink() or not inside(path, path.parent):
            raise NotFound(f"The recording has no media called {name}")
        return Media(path, size_bytes, TYPES[path.suffix], start)

    def release(self) -> None:
        """Let go of what is held, for good: whoever is still at it holds nothing anew."""
        with self._lock:
            self._released = True
            self._forget()

    def _read(self) -> tuple[CaptureList, bool]:
        """The list as of now, and whether its capture has been dropped."""
        try:
            found = self._read_on(self._directory)
        except FileNotFoundError:
            return self._read_held(), True
        self._hold([INDEX, *found.parts])
        return found, False

    def _read_held(self) -> CaptureList:
        try:
            found = self._read_on(self._held)
        except FileNotFoundError as error:
            raise NotFound("The recording has neither a capture nor a file") from error
        if not set(found.parts) <= self._linked:
            raise NotFound("The capture has been replaced by the finished file")
        return found

    def _read_on(self, directory: Path) -> CaptureList:
        """Raises FileNotFoundError, CaptureDamaged."""
        with open(directory / INDEX, "rb") as file:
            if not self._goes_on(file.fileno()):
                self._forget()
            file.seek(self._offset)
            data = file.read()
        if self._list is None:
            target_s = _target_s(directory, data)
            if target_s is None:
                return CaptureList(1)
            self._list = CaptureList(target_s)
        begun = self._offset
        for item in parse(data, begun):
            self._list.add(item.entry)
            self._offset = item.end
        self._tail = (self._tail + data[:self._offset - begun])[-_TAIL_BYTES:]
        return self._list

    def _goes_on(self, fd: int) -> bool:
        """Whether the index still holds what was read of it. After a crash recovery cuts
        what the disk does not bear out, and other entries follow."""
        place = self._offset - len(self._tail)
        return os.pread(fd, len(self._tail), place) == self._tail

    def _hold(self, names: list[str]) -> None:
        missing = [name for name in names if name not in self._linked]
        if not missing or self._no_links or self._released:
            return
        try:
            self._held.mkdir(parents=True, exist_ok=True)
            for name in missing:
                os.link(self._directory / name, self._held / name)
                self._linked.add(name)
        except OSError as error:
            self._no_links = True
            log.info("%s cannot be held for those who watch it: %s", self._directory.name, error)


def _target_s(directory: Path, data: bytes) -> int | None:
    """The target duration that the index begins with, None while it is being begun."""
    if not FIRST_LINE.startswith(data[:len(FIRST_LINE)]):
        raise CaptureDamaged(f"{directory / INDEX} does not begin like a playlist")
    match = _TARGET.search(data[:_HEAD_BYTES])
    return int(match[1]) if match else None
