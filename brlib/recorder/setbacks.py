"""What went wrong with a recording lately, and when its stream is opened again.

Used by `ActiveRecording` in its own thread; what it says is read from any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..errors import Trouble
from ..rules import reopen_after_s

log = logging.getLogger(__name__)


class Setbacks:
    """`in_a_row`: how often the stream could not be opened or broke off since something came
    last; `error` and `trouble` say why. `blocked`: its disk keeps it from going on."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.error: str | None = None
        self.trouble = Trouble.ERROR
        self.in_a_row = 0
        self.blocked = False
        self._name = name
        self._clock = clock
        self._again_s = clock()

    def note(self, message: str, exc_info: bool = False) -> None:
        """Say it, unless it was said last."""
        if message != self.error:
            log.warning("%s: %s", self._name, message, exc_info=exc_info)
        self.error = message

    def add(self, message: str, trouble: Trouble = Trouble.ERROR,
            wait_s: float | None = None) -> None:
        """It is tried again, each time later; or after `wait_s`."""
        self.note(message)
        self.trouble = trouble
        self.in_a_row += 1
        self.wait(reopen_after_s(self.in_a_row - 1) if wait_s is None else wait_s)

    def wait(self, wait_s: float) -> None:
        self._again_s = self._clock() + wait_s

    @property
    def left_s(self) -> float:
        """Until the stream is to be opened."""
        return max(0.0, self._again_s - self._clock())

    def clear(self) -> None:
        """Something came."""
        self.in_a_row, self.error, self.blocked = 0, None, False
