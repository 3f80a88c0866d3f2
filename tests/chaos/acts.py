"""What can be done to a daemon, its network, its origins and its disk: begun, and undone later.

`tests.chaos.world` picks from `KINDS`; `Act.causes` says why a segment may be missing then, and
an act without any excuses nothing.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brlib.models import GapCause

from ..faults import (
    Cut, Fault, Hang, Html, Missing, OldPlaylist, PlaylistError, ServerError, every,
)
from .line import Weather
from .station import Station

if TYPE_CHECKING:
    from .world import World

FOREVER_S = 1e9
# An end is to be seen for so long at least: a poll, and the last segments fetched.
LINGER_S = 4.0
# After a trouble: 5 s until a disk is tried again, up to 10 s until a stream is, a check.
RESUME_MAX_S = 20.0


@dataclass(frozen=True)
class Trouble:
    """Something that may keep segments of a station (None: of all) from being recorded."""

    kind: str
    causes: frozenset[GapCause]
    station: str | None
    begin_s: float
    end_s: float


class Act:
    """One thing that is done: begun, and undone later."""

    causes: frozenset[GapCause] = frozenset()

    def __init__(self, world: World) -> None:
        self.world = world
        self.station: Station | None = None
        # From when until when it hurts, where that is not from its begin to its end.
        self.from_s: float | None = None
        self.until_s: float | None = None

    @property
    def where(self) -> str | None:
        """The station whose segments may be missing because of it; None: all."""
        return self.station.name if self.station else None

    def possible(self) -> bool:
        return True

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Nothing to undo, unless it says so."""


class Kill(Act):
    """kill -9 of both processes; started again later."""

    causes = frozenset({GapCause.DAEMON_DOWN})

    def possible(self) -> bool:
        return self.world.daemon.running()

    def begin(self) -> None:
        self.world.daemon.kill()

    def end(self) -> None:
        self.world.start()


class Terminate(Kill):
    """SIGTERM, as an upgrade does it."""

    def begin(self) -> None:
        assert self.world.daemon.terminate() == 0


class KillWorker(Kill):
    """kill -9 of the process that records alone, as the OOM killer would: its master makes
    another one."""

    def begin(self) -> None:
        os.kill(self.world.daemon.worker_pid, signal.SIGKILL)

    def end(self) -> None:
        self.world.look()
        self.world.start()


class KillFFmpeg(Act):
    """kill -9 of every FFmpeg of the daemon: nothing may be missing because of it."""

    def possible(self) -> bool:
        return self.world.daemon.running()

    def begin(self) -> None:
        for pid in self.world.ffmpegs():
            os.kill(pid, signal.SIGKILL)


class OfStation(Act):
    """Something that happens to one channel."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.station = world.dice.choice(world.stations)


class Network(OfStation):
    """The network is away: refused, or silent and then there again, or silent and then reset.

    When a request merely took long, all that the recorder can see is that the window moved on.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.weather = world.dice.choice([Weather.REFUSE, Weather.STALL])
        self.causes = frozenset({GapCause.NETWORK} | (
            {GapCause.EXPIRED} if self.weather is Weather.STALL else set()))

    def begin(self) -> None:
        assert self.station is not None
        self.station.line.turn(self.weather)

    def end(self) -> None:
        assert self.station is not None
        if self.weather is Weather.STALL and self.world.dice.random() < 0.5:
            self.station.line.turn(Weather.RESET)
        self.station.line.turn(Weather.FINE)


class Faulty(OfStation):
    """The origin misbehaves."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        assert self.station is not None
        self.faults = self.station.now.faults
        self.chosen: list[Fault] = []

    def choose(self) -> list[Fault]:
        raise NotImplementedError

    def begin(self) -> None:
        self.chosen = self.choose()
        self.faults.extend(self.chosen)

    def end(self) -> None:
        for fault in self.chosen:
            self.faults.remove(fault)


class NoPlaylist(Faulty):
    causes = frozenset({GapCause.SOURCE})

    def choose(self) -> list[Fault]:
        return [PlaylistError(0.0, FOREVER_S, status=self.world.dice.choice([500, 503, 403]))]


class StalePlaylist(Faulty):
    """A cache that answers with what was; the window moves on behind it."""

    causes = frozenset({GapCause.EXPIRED, GapCause.SOURCE})

    def choose(self) -> list[Fault]:
        return [OldPlaylist(0.0, FOREVER_S, age=self.world.dice.randint(2, 6))]


class BadSegments(Faulty):
    """Each segment comes at the second or third try: nothing may be missing."""

    def choose(self) -> list[Fault]:
        kind = self.world.dice.randrange(5)
        return [[Missing(every(2), 2), ServerError(every(1), 1, status=503), Cut(every(1), 2),
                 Hang(every(5), 1, seconds=2.0), Html(every(2), 1)][kind]]


class FullDisk(Act):
    causes = frozenset({GapCause.DISK})

    def possible(self) -> bool:
        return not self.world.disk.full

    def begin(self) -> None:
        self.world.disk.fill()

    def end(self) -> None:
        self.world.disk.free()


class Next(OfStation):
    """The broadcast ends, and after a while there is another at the same address."""

    def possible(self) -> bool:
        assert self.station is not None
        return self.station.on_air

    def begin(self) -> None:
        assert self.station is not None
        self.station.now.finish()

    def end(self) -> None:
        assert self.station is not None
        self.world.wait(LINGER_S)
        self.station.go_live()


class KillAtEnd(Next):
    """kill -9 while the recording is closed, its file made, proven, named."""

    causes = frozenset({GapCause.DAEMON_DOWN})
    where = None

    def possible(self) -> bool:
        return super().possible() and self.world.daemon.running()

    def begin(self) -> None:
        super().begin()
        self.world.wait(2.5, 0.3)
        self.from_s = time.monotonic()
        self.world.daemon.kill()

    def end(self) -> None:
        self.world.start()
        self.until_s = time.monotonic()
        super().end()


KINDS: list[type[Act]] = [
    Kill, Terminate, KillWorker, KillFFmpeg, Network, NoPlaylist, StalePlaylist, BadSegments,
    FullDisk, Next, KillAtEnd]
