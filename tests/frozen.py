"""A file system that hangs, played within this process: calls below a directory wait.

What the product calls in `os` is replaced by what waits for `thaw` while the path, or the
file behind a descriptor, is below the directory. So a dead share or a dying disk looks to
the code as in life, for one directory and at a moment that the test chooses.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BY_PATH = ("stat", "lstat", "statvfs", "mkdir", "access", "open", "unlink", "scandir", "listdir",
           "rmdir", "replace", "rename", "truncate")
WRITES = ("write", "fsync", "fdatasync", "ftruncate", "pwrite")
THAWED_MAX_S = 60.0


class Frozen:
    """Not frozen at first. `calls`: only these of `os` hang."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, root: Path,
        calls: tuple[str, ...] = BY_PATH + WRITES + ("pread",),
    ) -> None:
        self._root = os.path.abspath(root)
        self._thawed = threading.Event()
        self._thawed.set()
        self.waiting = threading.Semaphore(0)
        for name in calls:
            monkeypatch.setattr(os, name, self._hanging(getattr(os, name), name in BY_PATH))

    def _hanging(self, real: Callable[..., Any], by_path: bool) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if not self._thawed.is_set() and self._is_ours(args[0] if args else ".", by_path):
                self.waiting.release()
                assert self._thawed.wait(THAWED_MAX_S), f"{real.__name__} hangs for ever"
            return real(*args, **options)
        return call

    def _is_ours(self, what: Any, by_path: bool) -> bool:
        if isinstance(what, int):
            what = os.readlink(f"/proc/self/fd/{what}")
        path = os.fsdecode(what)
        return path == self._root or path.startswith(self._root + "/")

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def wait_caught(self, timeout_s: float = 15.0) -> None:
        """Until another call hangs."""
        assert self.waiting.acquire(timeout=timeout_s), "nobody has called"
