"""A disk that a test can fill: a tmpfs of its own where this process may mount one.

Elsewhere (no root, a container) the daemon gets a limit to the size of files instead, set
from outside and lifted again: every write of it and of the FFmpegs it starts then fails for
real (EFBIG in the place of ENOSPC).
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self

SIZE = "256m"
MOUNT_MAX_S = 10.0


class SmallDisk:
    def __init__(self, place: Path) -> None:
        self.place = place
        self.full = False
        self.mounted = False
        # The processes that the limit is for, where there is no mount.
        self.pids: Callable[[], list[int]] = lambda: []
        self._filler = place / "filler"

    def __enter__(self) -> Self:
        self.place.mkdir()
        if mount := shutil.which("mount"):
            made = subprocess.run(
                [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.place)],
                capture_output=True, check=False, timeout=MOUNT_MAX_S)
            self.mounted = made.returncode == 0
        return self

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=True, timeout=MOUNT_MAX_S)

    @property
    def kind(self) -> str:
        return f"a tmpfs of {SIZE}" if self.mounted else "a limit to the size of files"

    def fill(self) -> None:
        self.full = True
        if not self.mounted:
            self.apply()
            return
        with open(self._filler, "ab", buffering=0) as file:
            for size_bytes in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(bytes(size_bytes)) == size_bytes:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self.full = False
        if self.mounted:
            self._filler.unlink()
        else:
            self.apply()

    def apply(self) -> None:
        """The limit as it is to be now; also for processes that have begun since."""
        if self.mounted:
            return
        limit = 1 if self.full else resource.RLIM_INFINITY
        for pid in self.pids():
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))
