"""What happens to a daemon in the chaos test: troubles at random moments, singly and two at once.

`World` has the daemon, the stations and the disk, does things to them, and writes down what it
did and when (`Trouble`), for the reckoning.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from brlib.models import GapCause

from ..daemon import Daemon
from .acts import KINDS, LINGER_S, RESUME_MAX_S, Act, Trouble
from .small_disk import SmallDisk
from .station import Station


class World:
    def __init__(
        self, daemon: Daemon, stations: list[Station], disk: SmallDisk, seed: int,
        tell: Callable[[str], None], kinds: Sequence[type[Act]] = KINDS,
    ) -> None:
        self.daemon = daemon
        self.stations = stations
        self.disk = disk
        self.dice = random.Random(seed)
        self.troubles: list[Trouble] = []
        self.acts = 0
        self._tell = tell
        self._pause = threading.Event()
        self._kinds = kinds
        self._left: list[type[Act]] = []
        self._refused_s: float | None = None
        # A daemon that begins on a full disk may give up.
        self._may_end = False
        disk.pids = self.processes

    def wait(self, at_most_s: float, at_least_s: float | None = None) -> None:
        """Some time passes; exactly so much with one number."""
        least_s = at_most_s if at_least_s is None else at_least_s
        self._pause.wait(self.dice.uniform(least_s, at_most_s))

    def round(self, quiet_s: float = 4.0) -> None:
        """One trouble, now and then a second one into it, then a time of peace."""
        self._keep_on_air()
        self._may_end = False
        under_way = [self._begin()]
        self.wait(4.0, 0.2)
        if self.dice.random() < 0.4:
            under_way.append(self._begin())
            self.wait(2.0, 0.1)
        self.look()
        self.dice.shuffle(under_way)
        for act, begin_s in under_way:
            self._end(act, begin_s)
            if self.dice.random() < 0.5:
                self.wait(1.0, 0.0)
        self.start()
        self._may_end, worker_pid = False, self.daemon.worker_pid
        self.wait(quiet_s, 0.3)
        self.look()
        assert self.daemon.worker_pid == worker_pid, "the worker died by itself"

    def _kind(self) -> type[Act]:
        """Each kind once, in any order, before one comes again."""
        if not self._left:
            self._left = self.dice.sample(self._kinds, len(self._kinds))
        return self._left.pop()

    def _begin(self) -> tuple[Act, float]:
        act = self._kind()(self)
        while not act.possible():
            act = self._kind()(self)
        self.acts += 1
        name = f" {act.station.name}" if act.station else ""
        self._say(f"{type(act).__name__}{name} begins")
        begin_s = time.monotonic()
        act.begin()
        self._may_end = self._may_end or self.disk.full
        return act, begin_s

    def _say(self, what: str) -> None:
        self._tell(f"{datetime.now(UTC):%H:%M:%S.%f} {what}")

    def _end(self, act: Act, begin_s: float) -> None:
        act.end()
        self._say(f"{type(act).__name__} is over")
        if act.causes:
            self.troubles.append(Trouble(
                type(act).__name__, act.causes, act.where, act.from_s or begin_s,
                act.until_s or time.monotonic()))

    def _keep_on_air(self) -> None:
        """A broadcast that ran out of media is followed by another."""
        for station in self.stations:
            if not station.on_air:
                self.wait(LINGER_S)
                station.go_live()

    def recover(self) -> None:
        """Nothing happens any more: every station is on the air, and fetched from."""
        self._keep_on_air()
        until_s = time.monotonic() + RESUME_MAX_S
        for station in self.stations:
            while not any(s > until_s - RESUME_MAX_S for s in station.now.fetched_s()):
                assert time.monotonic() < until_s, f"{station.name} is not recorded any more"
                self.wait(0.1)

    def start(self) -> None:
        """Start the daemon unless it runs. On a full disk it may refuse to: then it is tried
        again when the round is over, as systemd would."""
        if self.daemon.running():
            return
        try:
            self.daemon.start()
        except AssertionError:
            if not self.disk.full:
                raise
            self._say("it does not start on the full disk")
            self._refused_s = self._refused_s or time.monotonic()
            return
        self.disk.apply()
        if self._refused_s is not None:
            causes = frozenset({GapCause.DAEMON_DOWN, GapCause.DISK})
            self.troubles.append(
                Trouble("NoStart", causes, None, self._refused_s, time.monotonic()))
            self._refused_s = None

    def look(self) -> None:
        """It answers, whatever it is going through, or has ended."""
        if not self.daemon.running():
            return
        try:
            status, body, _ = self.daemon.call("GET", "/api/health")
        except OSError:
            # A worker that cannot begin takes its master along.
            assert self._may_end, "it does not answer"
            self.daemon.wait_exit()
            self._say("it has ended")
        else:
            assert status in (200, 503), body

    def processes(self) -> list[int]:
        """All of the daemon's, while it runs."""
        if not self.daemon.running():
            return []
        return [self.daemon.pid, self.daemon.worker_pid, *self.ffmpegs()]

    def ffmpegs(self) -> list[int]:
        """Those that the worker has started."""
        found = []
        for task in Path(f"/proc/{self.daemon.worker_pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                if _name_of(pid) == "ffmpeg":
                    found.append(int(pid))
        return found


def _name_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
