"""Whose turn it is to be finished afterwards: a few at a time, as the settings say.

Asked by `Assembly` for every recording that is not finished while it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from .base import Suspended

LOOK_EVERY_S = 0.5


class Waiting(Protocol):
    """Who wants a turn. `busy`: whether it really works, and is neither waiting for its next
    try nor held up by a disk that does not answer."""

    stop: threading.Event

    @property
    def busy(self) -> bool: ...

    def moved(self) -> None: ...


class Turns:
    """`limit` is asked again and again: it may change. One that is not busy takes no place,
    so that a dead disk keeps nobody waiting whose files go elsewhere."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._working: list[Waiting] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, job: Waiting) -> Iterator[None]:
        """Raises Suspended."""
        with self._changed:
            while sum(one.busy for one in self._working) >= self._limit():
                if job.stop.is_set():
                    raise Suspended
                job.moved()
                self._changed.wait(LOOK_EVERY_S)
            self._working.append(job)
        try:
            yield
        finally:
            with self._changed:
                self._working.remove(job)
                self._changed.notify()
