"""What reaches the disk for good. Called by whoever gives a file its final name or begins one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# What a file system says that cannot sync a directory by itself: some network shares, FUSE.
_NOT_FOR_DIRECTORIES = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


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
