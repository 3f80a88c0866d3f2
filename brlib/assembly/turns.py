"""Whose turn it is to be finished afterwards: a few at a time, as the settings say, the highest
priority first.

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
    """Who wants a turn, to write to `place`. `busy`: whether it really works, and is not held
    up by a disk that does not answer. Whose `rank` is less goes first."""

    stop: threading.Event

    @property
    def rank(self) -> tuple[int, float, str]: ...

    @property
    def place(self) -> str | None: ...

    @property
    def busy(self) -> bool: ...

    def moved(self) -> None: ...


class Turns:
    """`limit` is asked again and again: it may change. One that is not busy takes no place,
    so that a dead disk keeps nobody waiting whose files go elsewhere. Those whose files go there,
    too, do: all of them would begin at once when it is back."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._working: list[Waiting] = []
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, job: Waiting) -> Iterator[None]:
        """Raises Suspended."""
        with self._changed:
            self._waiting.append(job)
            try:
                while self._wait(job.place) or self._first() is not job:
                    if job.stop.is_set():
                        raise Suspended
                    job.moved()
                    self._changed.wait(LOOK_EVERY_S)
            finally:
                self._waiting.remove(job)
                self._changed.notify_all()
            self._working.append(job)
        try:
            yield
        finally:
            with self._changed:
                self._working.remove(job)
                self._changed.notify_all()

    def _first(self) -> Waiting | None:
        """Of those who could begin now."""
        # Everyone who waits asks this, when a turn ends.
        held = {place: self._wait(place) for place in {one.place for one in self._waiting}}
        able = [one for one in self._waiting if not held[one.place]]
        return min(able, key=lambda one: one.rank, default=None)

    def _wait(self, place: str | None) -> bool:
        busy = sum(one.busy for one in self._working)
        return busy >= self._limit() or any(
            one.place == place and not one.busy for one in self._working)
