"""Work on a disk that may hang, for someone who cannot wait: done in a thread, for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from ..errors import Unavailable
from ..workers import Pool
from .base import NoAnswer

# Hung ones among them; further calls are refused.
CALLS_MAX = 16

T = TypeVar("T")


class Call(Generic[T]):
    """One piece of work, and what came of it."""

    def __init__(self, place: str, work: Callable[[], T], late_s: float) -> None:
        self.place = place
        self.late_s = late_s
        self.done = threading.Event()
        self._work = work
        self._result: T
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:
            self._error = error
        self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result


class Calls:
    """A call that is late keeps its thread until its disk answers; meanwhile nobody else is
    let in at the same place."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._out: list[Call[object]] = []
        self._pool = Pool("disk-call", CALLS_MAX)

    def run(self, place: str, work: Callable[[], T], max_s: float) -> T:
        """What `work` gives or raises. Raises NoAnswer when that takes longer than `max_s`;
        then it goes on, and nobody hears of its result. Raises Unavailable when too many do."""
        call = Call(place, work, self._clock() + max_s)
        with self._lock:
            if any(one.place == place and self._clock() > one.late_s for one in self._out):
                raise NoAnswer(place)
            self._out.append(call)  # type: ignore[arg-type]

        def task() -> None:
            call.run()
            self._forget(call)

        if not self._pool.submit("disk-call", task):
            self._forget(call)
            raise Unavailable("Too much waits for disks that do not answer")
        if not call.done.wait(max_s):
            raise NoAnswer(place)
        return call.result()

    def _forget(self, call: Call[T]) -> None:
        with self._lock:
            self._out.remove(call)  # type: ignore[arg-type]

    def join(self, deadline_s: float) -> bool:
        return self._pool.join(deadline_s)
