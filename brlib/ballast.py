"""A file that takes up a little room, to be thrown off when the data disk is full to the last
byte: without any the database cannot even be opened.

Looked at by the service, at its start and when there is room again. On that disk are the
captures, too: they need nothing to stay as they are.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from .disk import sync

log = logging.getLogger(__name__)

FILE = "ballast"
SIZE_BYTES = 1024 ** 2
# With less the start may fail; with more a little of it is better kept.
FULL_BYTES = SIZE_BYTES
ROOM_BYTES = 64 * SIZE_BYTES
_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
_FULL_CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


@dataclass(frozen=True)
class Ballast:
    """In a directory of the data disk."""

    directory: Path

    def settle(self) -> None:
        """Throw it off where there is no room, make it where there is. Raises OSError."""
        path, free_bytes = self.directory / FILE, self._free_bytes()
        if free_bytes < FULL_BYTES and path.exists():
            path.unlink()
            log.error("The disk of %s is full (%d bytes are free): the ballast of %d bytes is "
                      "thrown off so that the daemon can start", self.directory, free_bytes,
                      SIZE_BYTES)
        elif free_bytes >= ROOM_BYTES and not path.exists():
            half = path.with_name(f".{FILE}.part")
            # Not zeros: some file systems keep those in no room at all.
            half.write_bytes(os.urandom(SIZE_BYTES))
            sync(half)
            os.replace(half, path)

    def _free_bytes(self) -> int:
        found = os.statvfs(self.directory)
        no_names = found.f_files > 0 and found.f_favail == 0
        return 0 if no_names else found.f_bavail * found.f_frsize

    def reason(self, error: Exception) -> str:
        """Why the start failed, in words that help: SQLite calls a full disk an I/O error."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xff
        full = isinstance(error, OSError) and error.errno in _FULL_ERRORS
        try:
            full = full or code in _FULL_CODES and self._free_bytes() < FULL_BYTES
        except OSError as trouble:
            return f"{error} ({self.directory}: {trouble})"
        return str(error) if not full else (
            f"the disk of {self.directory} is full ({error}). Free some MB on it, then start "
            "again. Captures and finished files are safe: nothing was changed")
