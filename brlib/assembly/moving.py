"""Moving a capture to another place, which may be another disk: whole, or not at all.

On one disk a rename. To another it is copied under a hidden name, read back, compared with the
digests in its own index, and only then named; what was moved then goes, index first. Run by
`CaptureArchive`. After a crash at any moment the same again leads to the same end.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .. import naming
from ..disk import is_there, sync_names
from ..errors import CaptureDamaged
from ..ledger import INDEX, Follower
from ..playlist import Part, Segment
from ..tally import digest_of

log = logging.getLogger(__name__)

CHUNK_BYTES = 1024 ** 2
# So much is on its way to a disk at most: recordings sync there, too, and would wait for it.
UNSYNCED_BYTES = 64 * 1024 ** 2


class CopyDiffers(OSError):
    """A copy that is not what was copied; the original is."""


def move(
    capture: Path, target: Path, gone: Path, min_free_bytes: int, step: Callable[[], None]
) -> Path | None:
    """Give a whole capture its place. Where it had to be copied what is left of it has the name
    `gone` by then, to be removed by the caller, and is returned.

    A copy leaves `min_free_bytes` free. `step` is called between pieces of work that take a
    moment, and may end it. Another capture that stands in the place gets a number.

    Raises CaptureDamaged when the capture itself is not whole, CopyDiffers, OSError.
    """
    if is_there(target):
        if _is_copy(capture, target, step):
            return _leave(capture, gone)
        _set_by(target)
    try:
        os.rename(capture, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        sync_names(target.parent)
        sync_names(capture.parent)
        return None
    _copy(capture, target, min_free_bytes, step)
    return _leave(capture, gone)


def _leave(capture: Path, gone: Path) -> Path:
    """From here on the copy is the capture."""
    if is_there(gone):
        shutil.rmtree(gone)
    os.rename(capture, gone)
    sync_names(capture.parent)
    return gone


def _set_by(target: Path) -> None:
    number = 2
    while is_there(other := naming.numbered(target, number)):
        number += 1
    log.warning("%s is another capture, or damaged: it is called %s now", target, other.name)
    os.rename(target, other)


def _copy(
    capture: Path, target: Path, min_free_bytes: int, step: Callable[[], None]
) -> None:
    half = target.with_name(f".{target.name}.part")
    if is_there(half):
        shutil.rmtree(half)
    files = sorted((path for path in capture.iterdir() if path.is_file()),
                   key=lambda path: (path.name == INDEX, path.name))
    needed = sum(path.stat().st_size for path in files) + min_free_bytes
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"Too little room: {free} bytes are free, {needed} are needed "
                      "with min_free_space", str(target.parent))
    half.mkdir()
    try:
        for path in files:
            _copy_file(path, half / path.name, step)
        sync_names(half)
        _compare(capture, half, step)
        os.rename(half, target)
    except (CaptureDamaged, OSError):
        _discard(half)
        raise
    sync_names(target.parent)


def _discard(half: Path) -> None:
    try:
        shutil.rmtree(half)
    except OSError as error:
        log.warning("%s is removed with the next try: %s", half, error)


def _copy_file(path: Path, copy: Path, step: Callable[[], None]) -> None:
    """Its bytes on the disk for good, and no longer in memory: who compares them is to see what
    the disk has."""
    source = os.open(path, os.O_RDONLY)
    try:
        into = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.fstat(source).st_mode & 0o777)
        try:
            unsynced = 0
            step()
            while data := os.read(source, CHUNK_BYTES):
                view = memoryview(data)
                while view:
                    view = view[os.write(into, view):]
                unsynced += len(data)
                if unsynced >= UNSYNCED_BYTES:
                    os.fdatasync(into)
                    unsynced = 0
                step()
            os.fsync(into)
            for fd in (source, into):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(into)
    finally:
        os.close(source)


def _compare(capture: Path, copy: Path, step: Callable[[], None]) -> None:
    """The capture is only read where the copy is not what the index says: to know which of the
    two it is."""
    if (copy / INDEX).read_bytes() == (capture / INDEX).read_bytes():
        try:
            verify(copy, step)
            return
        except CaptureDamaged as error:
            log.warning("%s", error)
    verify(capture, step)
    raise CopyDiffers(errno.EIO, "The copy is not what was copied", str(copy))


def _is_copy(capture: Path, target: Path, step: Callable[[], None]) -> bool:
    try:
        if (target / INDEX).read_bytes() != (capture / INDEX).read_bytes():
            return False
        verify(target, step)
    except (CaptureDamaged, FileNotFoundError, NotADirectoryError) as error:
        log.warning("%s: %s", target, error)
        return False
    return True


def verify(directory: Path, step: Callable[[], None]) -> None:
    """Compare every byte that an index names with its digest, also above the last sync. Raises
    CaptureDamaged, OSError."""
    file, name = -1, ""
    try:
        for entry in Follower(directory).news():
            if not isinstance(entry, (Part, Segment)):
                continue
            if entry.file != name:
                if file >= 0:
                    os.close(file)
                file, name = os.open(directory / entry.file, os.O_RDONLY), entry.file
            step()
            place = (0, entry.init_bytes, entry.init_digest) if isinstance(entry, Part) else (
                entry.offset, entry.size_bytes, entry.digest)
            if not _holds(file, *place):
                raise CaptureDamaged(
                    f"{directory / name} does not hold what its index names at byte {place[0]}")
    except FileNotFoundError as error:
        raise CaptureDamaged(f"{directory} has lost a file: {error}") from error
    finally:
        if file >= 0:
            os.close(file)


def _holds(file: int, offset: int, size_bytes: int, digest: str) -> bool:
    return not size_bytes or digest_of(os.pread(file, size_bytes, offset)) == digest
