"""A recording's capture directory: part files, `index.m3u8`, their order of writes, recovery.

`brlib.capture` appends through `Ledger`, `brlib.assembly` reads through `Follower`; the
two only meet in the directory. Media bytes go first, then the index line that names them,
so a line that is there always has its bytes. Both are synced together by `sync()`, which
then says so in the index: recovery trusts what stands above that line and verifies the
digests of what stands below it.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

from . import disk, playlist
from .errors import CaptureDamaged
from .playlist import End, Entry, Hole, Note, Part, Segment, Synced
from .tally import Tally, digest_of

INDEX = "index.m3u8"
# Behind a directory's name once the file is proven: on its way out, or to the archive.
DONE, ARCHIVE = ".done", ".archive"
FIRST_LINE = b"#EXTM3U\n"
SYNCED_LINE = b"\n" + playlist.SYNCED.encode() + b"\n"


def read(directory: Path) -> Tally:
    """What a capture directory's index says, changing nothing.

    Raises CaptureDamaged when there is no index.
    """
    tally = Tally()
    for found in playlist.parse(_index_bytes(directory)):
        tally.add(found.entry)
    return tally


def check(directory: Path) -> Tally:
    """What `Ledger.recover` would keep of a capture, changing nothing.

    Raises CaptureDamaged, OSError.
    """
    return _trusted(directory)[0]


def settle(directory: Path) -> Tally:
    """What a capture that was closed holds for good: where the disk has lost some of it, it is
    cut back to the rest and closed again.

    Raises CaptureDamaged, OSError.
    """
    said, held = read(directory), check(directory)
    if said.ended and said.sums == held.sums:
        return said
    one = Ledger.recover(directory)
    try:
        one.append(End())
    finally:
        one.close()
    return one.tally


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
    """The writing side. One thread at a time: the capture's lock sees to that.

    `doubtful` once a sync has failed, or something else that leaves open what is on the disk:
    nothing is synced from then on, and who goes on begins with `again`.
    """

    def __init__(self, directory: Path, tally: Tally, index_fd: int) -> None:
        self.directory = directory
        self.tally = tally
        self._index_fd = index_fd
        self._index_bytes = os.fstat(index_fd).st_size
        self._media_fd: int | None = None
        self._unsynced = False
        self.doubtful = False
        if tally.part is not None:
            self._media_fd = _open_append(directory / tally.part.file)

    @classmethod
    def create(cls, directory: Path, target_duration_s: int) -> Ledger:
        """A new capture. Raises FileExistsError when the directory is there already."""
        directory.mkdir(parents=True)
        fd = -1
        try:
            # Its owner's alone: the address of a stream can stand in its notes.
            fd = _open_append(directory / INDEX, 0o600)
            _write_all(fd, playlist.header(target_duration_s).encode())
            os.fsync(fd)
            disk.sync_names(directory)
            disk.sync_names(directory.parent)
        except OSError:
            # Nothing was captured: the next try begins with nothing, too.
            if fd >= 0:
                os.close(fd)
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(directory, Tally(), fd)

    @classmethod
    def recover(cls, directory: Path) -> Ledger:
        """An existing capture, cut back to its last whole entry.

        Raises CaptureDamaged, with nothing changed, when something is wrong above the last
        sync: that is no crash's doing, and what follows it is not ours to cut. Raises OSError
        where the disk does not let us see.
        """
        try:
            tally, index_end, unsynced = _trusted(directory)
        except CaptureDamaged as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
                raise cause from error
            raise
        os.truncate(directory / INDEX, index_end)
        for path in sorted(directory.glob("[0-9]*.*")):
            if path.name not in tally.by_part:
                path.unlink()
        for name, sums in tally.by_part.items():
            os.truncate(directory / name, sums.captured_bytes)
        one = cls(directory, tally, _open_append(directory / INDEX))
        # What was written by a process that is no more may be on its way to the disk yet.
        one._unsynced = unsynced
        return one

    def again(self) -> Ledger:
        """The same capture as it is on the disk now, in place of this one, which is closed.
        What no sync vouches for is written once more: after a failed sync the system takes
        for written what may not be.

        Raises OSError, with this one as it was, while the disk cannot be had, CaptureDamaged.
        """
        # A capture that was there cannot have lost its index: its disk is away.
        os.close(os.open(self.directory / INDEX, os.O_RDWR))
        try:
            fresh = Ledger.recover(self.directory)
        except CaptureDamaged as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise
        try:
            _write_again(self.directory)
        except OSError:
            fresh.abandon()
            raise
        self.abandon()
        return fresh

    def begin_part(self, shape: str, extension: str, init: bytes) -> None:
        """Start a new part file; `init` is its init section (empty for TS)."""
        name = f"{len(self.tally.by_part) + 1:04d}{extension}"
        fd = os.open(
            self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644
        )
        try:
            _write_all(fd, init)
            os.fdatasync(fd)
            disk.sync_names(self.directory)
            if self._media_fd is not None:
                # The next `sync()` vouches for the old part, too, and cannot reach it then.
                self._flush(self._media_fd)
            self._append(Part(name, shape, len(init), digest_of(init) if init else ""))
        except OSError:
            os.close(fd)
            raise
        old, self._media_fd = self._media_fd, fd
        if old is not None:
            os.close(old)

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
        """Bring all that was appended to the disk (fdatasync of media, then of the index).
        Raises OSError, also for what an earlier one could not."""
        if not self._unsynced:
            return
        if self.doubtful:
            raise OSError(errno.EIO, "An earlier write to the disk failed")
        if self._media_fd is not None:
            self._flush(self._media_fd)
        self._flush(self._index_fd)
        self._append(Synced())
        self._unsynced = False

    def _flush(self, fd: int) -> None:
        try:
            os.fdatasync(fd)
        except OSError:
            self.doubtful = True
            raise

    def close(self) -> None:
        """Sync and close; idempotent."""
        if self._index_fd < 0:
            return
        try:
            self.sync()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close without a sync; idempotent."""
        self._close_media()
        fd, self._index_fd = self._index_fd, -1
        if fd >= 0:
            os.close(fd)

    def read_segment(self, entry: Segment) -> bytes:
        with open(self.directory / entry.file, "rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size_bytes)

    def _close_media(self) -> None:
        fd, self._media_fd = self._media_fd, None
        if fd is not None:
            os.close(fd)


def _write_again(directory: Path) -> None:
    """Write what stands below the last sync over itself, and bring it to the disk."""
    data = _index_bytes(directory)
    found = list(playlist.parse(data))
    synced_end = max((f.end for f in found if isinstance(f.entry, Synced)), default=0)
    places = [(INDEX, synced_end, len(data) - synced_end)]
    for item in found:
        if item.end > synced_end and isinstance(item.entry, Part):
            places.append((item.entry.file, 0, item.entry.init_bytes))
        elif item.end > synced_end and isinstance(item.entry, Segment):
            places.append((item.entry.file, item.entry.offset, item.entry.size_bytes))
    for name, offset, size_bytes in places:
        # Not for appending: Linux would append what is written at an offset, too.
        fd = os.open(directory / name, os.O_RDWR)
        try:
            view = memoryview(os.pread(fd, size_bytes, offset))
            while view:
                written = os.pwrite(fd, view, offset)
                view, offset = view[written:], offset + written
            os.fdatasync(fd)
        finally:
            os.close(fd)


def _trusted(directory: Path) -> tuple[Tally, int, bool]:
    """The entries of an index that the disk bears out, where the index is to be cut, and
    whether entries are left that no sync vouches for."""
    data = _index_bytes(directory)
    found = list(playlist.parse(data))
    synced = max((i for i, f in enumerate(found) if isinstance(f.entry, Synced)), default=-1)
    sizes = {p.name: p.stat().st_size for p in directory.glob("[0-9]*.*")}
    tally, unsynced = Tally(), False
    index_end = _header_end(directory, data)
    readable_end = found[-1].end if found else index_end
    if data.find(SYNCED_LINE, readable_end - 1) >= 0:
        raise CaptureDamaged(
            f"{directory / INDEX} cannot be read at byte {readable_end}, and more follows")
    for position, item in enumerate(found):
        if not _borne_out(directory, item.entry, sizes, verify=position > synced):
            if position < synced:
                raise CaptureDamaged(
                    f"{directory} no longer holds all that was synced (entry {position + 1})")
            break
        if isinstance(item.entry, End):
            break
        tally.add(item.entry)
        index_end, unsynced = item.end, not isinstance(item.entry, Synced)
    return tally, index_end, unsynced


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
        self._index = str(directory / INDEX)
        self._offset = 0

    def rest_bytes(self) -> int:
        """Bytes of the index that are no whole entries (yet)."""
        return (self.directory / INDEX).stat().st_size - self._offset

    def news(self) -> list[Entry]:
        """The entries since the last call. Raises CaptureDamaged when the index is gone."""
        try:
            # Most looks find nothing.
            if self._offset and os.stat(self._index).st_size == self._offset:
                return []
            with open(self._index, "rb") as file:
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


def _open_append(path: Path, mode: int = 0o644) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, mode)


def _cut_to(fd: int, size_bytes: int) -> None:
    """Cut off what a failed write left behind and could not cut itself."""
    if os.fstat(fd).st_size != size_bytes:
        os.ftruncate(fd, size_bytes)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
