"""Tells systemd that the engine moves, and says where it stands when it does not.

Made and started by the service. The web server has no part in it: a busy one is no reason for
a restart, an idle one no proof of life.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .notify import Notifier
from .pulse import stack_of
from .workers import Worker

log = logging.getLogger(__name__)

# How often to look where systemd does not wait for us.
LOOK_EVERY_S = 20.0


@dataclass(frozen=True)
class Standstill:
    """A thread that is dead or has been at one step for too long. `vital`: without it there is
    no engine; a restart is the cure."""

    thread: str
    sentence: str
    vital: bool


class Watchdog:
    """`find_still` looks at the engine without waiting for it, `status` is a line for
    `systemctl status`."""

    def __init__(
        self, notifier: Notifier, find_still: Callable[[], Sequence[Standstill]],
        status: Callable[[], str],
    ) -> None:
        self._notifier = notifier
        self._find_still = find_still
        self._status = status
        self._told: set[str] = set()
        self.worker = Worker("watchdog", self.step)

    def step(self) -> float:
        """One look; seconds until the next, a third of systemd's patience: one that comes
        late, on a machine that is busy, costs nothing."""
        still = self._find_still()
        for one in still:
            if one.thread not in self._told:
                log.error("%s\n%s", one.sentence, stack_of(one.thread))
        for name in sorted(self._told - {one.thread for one in still}):
            log.warning("%s moves again", name)
        self._told = {one.thread for one in still}
        if not any(one.vital for one in still):
            self._notifier.alive(self._status())
        return (self._notifier.watchdog_s or 3 * LOOK_EVERY_S) / 3
