"""Memory for bodies, used again and again. Taken by `download`, given back by `segments`.

A large block that is fresh from the system is zeroed page by page as it is first touched: of
1.5 MB that takes 0.6 ms, more than receiving them into memory that was had before, and in a
virtual machine several times as much.
"""

from __future__ import annotations

import io
import threading

# From here on the C library asks the system for each block (see `brlib.heap`).
LARGE_BYTES = 128 * 1024
KEPT_BYTES = 8 * 1024 * 1024


class Rooms:
    """Safe from every thread."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        # With the size of each; the last one is most likely in the processor's cache.
        self._free: list[tuple[io.BytesIO, int]] = []

    def take(self, size_bytes: int) -> io.BytesIO:
        """A room of this size, with anything in it."""
        with self._lock:
            found = self._free.pop() if self._free and size_bytes >= LARGE_BYTES else None
        if found is None:
            return io.BytesIO(bytes(size_bytes))
        room, had_bytes = found
        if size_bytes < had_bytes:
            room.truncate(size_bytes)
        elif size_bytes > had_bytes:
            room.seek(size_bytes - 1)
            room.write(b"\0")
        return room

    def give(self, room: io.BytesIO) -> None:
        """Others may write in it from now on. What was got out of it stays as it is: BytesIO
        makes a copy of what somebody else still holds."""
        size_bytes = room.seek(0, io.SEEK_END)
        with self._lock:
            if LARGE_BYTES <= size_bytes <= self._kept_bytes - sum(n for _, n in self._free):
                self._free.append((room, size_bytes))

    @property
    def free_bytes(self) -> int:
        with self._lock:
            return sum(size_bytes for _, size_bytes in self._free)


# One set for all recordings: few of them receive at the same moment.
ROOMS = Rooms()
