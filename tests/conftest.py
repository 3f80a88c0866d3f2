"""Fixtures for all tests: an engine in this process, a daemon as a process, and no leaks."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .daemon import Daemon
from .engine import Engine

LEAK_DEADLINE_S = 15.0

# A shell starts what it runs in the background with SIGINT ignored, and a child inherits that:
# the tools that the tests interrupt would not notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def children() -> set[int]:
    """Pids of this process's children, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(int(pid) for pid in (task / "children").read_text().split())
        except FileNotFoundError:
            continue
    return found


def descriptors() -> set[str]:
    """What this process has open, without what the interpreter opens at will."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue
        if not target.startswith(("/proc/", "/dev/", "anon_inode:")):
            found.add(f"{link.name} {target}")
    return found


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """A test that leaves a thread, a child or a descriptor behind fails."""
    threads, kids, open_now = set(threading.enumerate()), children(), descriptors()
    yield
    deadline_s = time.monotonic() + LEAK_DEADLINE_S
    pause = threading.Event()
    while True:
        left: dict[str, object] = {
            "threads": [t.name for t in set(threading.enumerate()) - threads],
            "children": children() - kids,
            "descriptors": descriptors() - open_now,
        }
        if not any(left.values()):
            return
        if time.monotonic() > deadline_s:
            pytest.fail(f"left behind: {left}")
        gc.collect()  # slow, and only cycles of objects need it
        pause.wait(0.05)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Makes engines (`engine(option=value, …)`), all below one temporary directory; a
    second call goes on with the data of the first, once that is closed."""
    made: list[Engine] = []

    def make(**options: Any) -> Engine:
        made.append(Engine(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons (`daemon(option=value, …)`), started and with an API key."""
    made: list[Daemon] = []

    def make(**options: Any) -> Daemon:
        made.append(Daemon(tmp_path, **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()
