"""A recording's capture directory: part files, `index.m3u8`, their order of writes, recovery.

`brlib.capture` appends through `Ledger`, `brlib.assembly` reads through `Follower`; the
two only meet in the directory. Media bytes go first, then the index line that names them,
so a line that is there always has its bytes. Both are synced together by `sync()`, which
then says so in the index: recovery trusts what stands above that line and verifies the
digests of what stands below it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from . import playlist
from .errors import CaptureDamaged
from .models import Gap, Sums
from .playlist import End, Entry, Hole, Note, Part, Segment, Synced

INDEX = "index.m3u8"
FIRST_LINE = b"#EXTM3U\n"
RECENT_SEGMENTS = 512


def digest_of(body: bytes) -> str:
    """16 hex digits that tell one segment from another (BLAKE2b, 64 bits)."""
    return blake2b(body, digest_size=8).hexdigest()


@dataclass
class Tally:
    """What the entries so far add up to. The same sums live, after a crash, and later."""

    sums: Sums = Sums()
    by_part: dict[str, Sums] = field(default_factory=dict)
    part: Part | None = None
    part_bytes: int = 0
    last: Segment | None = None
    expected: int = -1
    epoch: int = 0
    recent: OrderedDict[str, Segment] = field(default_factory=OrderedDict)
    gaps: list[Gap] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    first_taken_at: datetime | None = None
    max_duration_s: float = 0.0
    ended: bool = False

    def add(self, entry: Entry) -> None:
        match entry:
            case Segment():
                self._add_segment(entry)
            case Part():
                self.part, self.part_bytes = entry, entry.init_bytes
                self.by_part[entry.file] = Sums(captured_bytes=entry.init_bytes)
                self.sums = replace(
                    self.sums, parts=self.sums.parts + 1,
                    captured_bytes=self.sums.captured_bytes + entry.init_bytes,
                )
            case Hole():
                self._add_gap(entry.gap)
                self.expected, self.epoch = entry.next_num, entry.epoch
            case Note():
                self.notes[entry.key] = entry.value
            case End():
                self.ended = True

    def _add_segment(self, entry: Segment) -> None:
        self.sums = _plus(self.sums, entry)
        self.by_part[entry.file] = _plus(self.by_part[entry.file], entry)
        self.part_bytes = entry.offset + entry.size_bytes
        self.last = entry
        self.expected, self.epoch = entry.num + 1, entry.epoch
        self.first_taken_at = self.first_taken_at or entry.taken_at
        self.max_duration_s = max(self.max_duration_s, entry.duration_s)
        self.recent[entry.digest] = entry
        self.recent.move_to_end(entry.digest)
        if len(self.recent) > RECENT_SEGMENTS:
            self.recent.popitem(last=False)

    def _add_gap(self, gap: Gap) -> None:
        """One stretch of one cause is one gap, in however many lines it was noted."""
        if self.gaps and (before := self.gaps[-1]).cause == gap.cause and (
                before.offset_s == gap.offset_s):
            self.gaps[-1] = replace(
                before, duration_s=before.duration_s + gap.duration_s,
                segments=before.segments + gap.segments)
        else:
            self.gaps.append(gap)
        self.sums = replace(
            self.sums, gaps=len(self.gaps), gap_s=self.sums.gap_s + gap.duration_s)

    @property
    def mean_s(self) -> float:
        return self.sums.captured_s / self.sums.segments if self.sums.segments else 0.0

    @property
    def end_date(self) -> datetime | None:
        """Program date-time at which the newest segment ends, where the source gives one."""
        if self.last is None or self.last.date is None:
            return None
        return self.last.date + timedelta(seconds=self.last.duration_s)


def _plus(sums: Sums, entry: Segment) -> Sums:
    return replace(
        sums,
        segments=sums.segments + 1,
        captured_bytes=sums.captured_bytes + entry.size_bytes,
        captured_s=sums.captured_s + entry.duration_s,
    )


def read(directory: Path) -> Tally:
    """What a capture directory's index says, changing nothing.

    Raises CaptureDamaged when there is no index.
    """
    tally = Tally()
    for found in playlist.parse(_index_bytes(directory)):
        tally.add(found.entry)
    return tally


def _index_bytes(directory: Path) -> bytes:
    try:
        data = (directory / INDEX).read_bytes()
    except OSError as error:
        raise CaptureDamaged(f"The capture {directory} has no readable index: {error}") from error
    _check_begin(directory, data)
    return data


def _check_begin(directory: Path, data: bytes) -> None:
    # A reader may come while the very first line is being written.
    if not FIRST_LINE.startswith(data[:len(FIRST_LINE)]):
        raise CaptureDamaged(f"{directory / INDEX} does not begin like a playlist")


class Ledger:
    """The writing side. One thread at a time: the capture's lock sees to that."""

    def __init__(self, directory: Path, tally: Tally, index_fd: int) -> None:
        self.directory = directory
        self.tally = tally
        self._index_fd = index_fd
        self._index_bytes = os.fstat(index_fd).st_size
        self._media_fd: int | None = None
        self._unsynced = False
        if tally.part is not None:
            self._media_fd = _open_append(directory / tally.part.file)

    @classmethod
    def create(cls, directory: Path, target_duration_s: int) -> Ledger:
        """A new capture. Raises FileExistsError when the directory is there already."""
        directory.mkdir(parents=True)
        fd = _open_append(directory / INDEX)
        _write_all(fd, playlist.header(target_duration_s).encode())
        os.fsync(fd)
        _sync_directory(directory)
        _sync_directory(directory.parent)
        return cls(directory, Tally(), fd)

    @classmethod
    def recover(cls, directory: Path) -> Ledger:
        """An existing capture, cut back to its last whole entry. Raises CaptureDamaged."""
        tally, index_end = _trusted(directory)
        os.truncate(directory / INDEX, index_end)
        for path in sorted(directory.glob("[0-9]*.*")):
            if path.name not in tally.by_part:
                path.unlink()
        if tally.part is not None:
            os.truncate(directory / tally.part.file, tally.part_bytes)
        return cls(directory, tally, _open_append(directory / INDEX))

    def begin_part(self, shape: str, extension: str, init: bytes) -> None:
        """Start a new part file; `init` is its init section (empty for TS)."""
        name = f"{len(self.tally.by_part) + 1:04d}{extension}"
        fd = os.open(
            self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644
        )
        try:
            _write_all(fd, init)
            os.fdatasync(fd)
            _sync_directory(self.directory)
            self._append(Part(name, shape, len(init), digest_of(init) if init else ""))
        except OSError:
            os.close(fd)
            raise
        self._close_media()
        self._media_fd = fd

    def append_segment(self, body: bytes, facts: Segment) -> Segment:
        """Commit a segment: its bytes, then its line. `facts` lacks only its place.

        Raises OSError with everything cut back to the segment before.
        """
        part, fd = self.tally.part, self._media_fd
        if part is None or fd is None:
            raise ValueError("begin_part comes first")
        entry = replace(facts, file=part.file, offset=self.tally.part_bytes, size_bytes=len(body))
        _cut_to(fd, entry.offset)
        try:
            _write_all(fd, body)
            self._append(entry)
        except OSError:
            os.ftruncate(fd, entry.offset)
            raise
        return entry

    def append(self, entry: Hole | Note | End) -> None:
        """Record a fact that has no media. Raises OSError with the index unchanged."""
        self._append(entry)

    def _append(self, entry: Entry) -> None:
        text = playlist.lines(entry).encode()
        _cut_to(self._index_fd, self._index_bytes)
        try:
            _write_all(self._index_fd, text)
        except OSError:
            os.ftruncate(self._index_fd, self._index_bytes)
            raise
        self._index_bytes += len(text)
        # What a reader will find, rounded as it is written: the sums are the same everywhere.
        for found in playlist.parse(text):
            self.tally.add(found.entry)
        self._unsynced = True

    def sync(self) -> None:
        """Bring all that was appended to the disk (fdatasync of media, then of the index)."""
        if not self._unsynced:
            return
        if self._media_fd is not None:
            os.fdatasync(self._media_fd)
        os.fdatasync(self._index_fd)
        self._append(Synced())
        self._unsynced = False

    def close(self) -> None:
        """Sync and close; idempotent."""
        if self._index_fd < 0:
            return
        try:
            self.sync()
        finally:
            self._close_media()
            os.close(self._index_fd)
            self._index_fd = -1

    def read_segment(self, entry: Segment) -> bytes:
        with open(self.directory / entry.file, "rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size_bytes)

    def _close_media(self) -> None:
        """The next `sync()` vouches for this part, too, and no longer has its descriptor."""
        if self._media_fd is not None:
            fd, self._media_fd = self._media_fd, None
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)


def _trusted(directory: Path) -> tuple[Tally, int]:
    """The entries of an index that the disk bears out, and where the index is to be cut."""
    data = _index_bytes(directory)
    found = list(playlist.parse(data))
    synced = max((i for i, f in enumerate(found) if isinstance(f.entry, Synced)), default=-1)
    sizes = {p.name: p.stat().st_size for p in directory.glob("[0-9]*.*")}
    tally = Tally()
    index_end = _header_end(directory, data)
    for position, item in enumerate(found):
        if not _borne_out(directory, item.entry, sizes, verify=position > synced):
            break
        if isinstance(item.entry, End):
            break
        tally.add(item.entry)
        index_end = item.end
    return tally, index_end


def _header_end(directory: Path, data: bytes) -> int:
    last_line = b"#EXT-X-MEDIA-SEQUENCE:0\n"
    start = data.find(last_line)
    if start < 0:
        raise CaptureDamaged(f"{directory / INDEX} has only a part of its header")
    return start + len(last_line)


def _borne_out(directory: Path, entry: Entry, sizes: dict[str, int], verify: bool) -> bool:
    """Whether the bytes that an entry names are there (and, if asked, are those it named)."""
    if isinstance(entry, Part):
        place = (entry.file, 0, entry.init_bytes, entry.init_digest)
    elif isinstance(entry, Segment):
        place = (entry.file, entry.offset, entry.size_bytes, entry.digest)
    else:
        return True
    name, offset, size_bytes, digest = place
    if sizes.get(name, -1) < offset + size_bytes:
        return False
    if not verify or not size_bytes:
        return True
    with open(directory / name, "rb") as file:
        file.seek(offset)
        return digest_of(file.read(size_bytes)) == digest


class Follower:
    """The reading side: the entries of an index as they are committed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._offset = 0

    def news(self) -> list[Entry]:
        """The entries since the last call. Raises CaptureDamaged when the index is gone."""
        try:
            with open(self.directory / INDEX, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError as error:
            raise CaptureDamaged(f"The index of {self.directory} is gone: {error}") from error
        if not self._offset:
            _check_begin(self.directory, data)
        entries = []
        for found in playlist.parse(data, self._offset):
            entries.append(found.entry)
            self._offset = found.end
        return entries


def _open_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _cut_to(fd: int, size_bytes: int) -> None:
    """Cut off what a failed write left behind and could not cut itself."""
    if os.fstat(fd).st_size != size_bytes:
        os.ftruncate(fd, size_bytes)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
