"""What reaches the disk for good, and under a name of its own. Called by whoever gives a file its
final name or begins one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# What a file system says that cannot sync a directory by itself: some network shares, FUSE.
_NOT_FOR_DIRECTORIES = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
# And one that has no second names for a file: FAT, exFAT, some shares.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)


def sync(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_names(directory: Path) -> None:
    """Bring the names in a directory to the disk, as far as its file system can do that.
    Raises OSError."""
    try:
        sync(directory)
    except OSError as error:
        if error.errno not in _NOT_FOR_DIRECTORIES:
            raise


def is_there(path: Path) -> bool:
    """Whether anything has that name, be it a link that leads nowhere. Raises OSError."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def name_new(path: Path, name: Path) -> None:
    """Give a file a name that nothing has, whatever another program does at this moment; where
    the file system has no links, as far as a look can tell. Raises FileExistsError, OSError."""
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if is_there(name):
            raise FileExistsError(errno.EEXIST, "There is a file already", str(name)) from error
        os.replace(path, name)
    else:
        os.unlink(path)
