"""What goes wrong, and when: one schedule is one case of the table `complete`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.faults import (
    Asked, Cut, Fault, Hang, Missing, PlaylistError, Reply, ServerError, every,
)


@dataclass(frozen=True)
class SlowLine(Fault):
    """Segments asked for in this time come at so many bytes a second, to their end."""

    from_s: float
    until_s: float
    bytes_per_s: float

    def act(self, asked: Asked) -> Reply | None:
        hit = asked.item and self.from_s <= asked.clock_s < self.until_s
        return replace(asked.normal, bytes_per_s=self.bytes_per_s) if hit else None


@dataclass(frozen=True)
class Schedule:
    """Seconds count from the moment at which the broadcast goes on (see `Broadcast`).

    `stalls`: before segment i the encoder stands still so long. `outage`: from when, how
    long nothing can be connected to. `valid_s`: how long an address is good for after it
    was handed out by the master playlist.
    """

    case: str
    segments: int
    faults: tuple[Fault, ...] = ()
    stalls: Mapping[int, float] = field(default_factory=dict)
    outage: tuple[float, float] | None = None
    kill_every_s: float | None = None
    valid_s: float | None = None
    segment_s: float = 2.0
    window: int = 10


FULL = (
    Schedule("mixed faults", 55, (
        Missing(every(7), tries=2), ServerError(every(11)), Cut(every(9)),
        Hang(every(13), seconds=12.0), PlaylistError(30.0, 37.0)), stalls={35: 20.0}),
    Schedule("15 s outage", 30, outage=(20.0, 15.0)),
    Schedule("address expires every 30 s", 50, valid_s=30.0),
    Schedule("kill -9 every 20 s", 50, kill_every_s=20.0),
    Schedule("trickling line", 40, (SlowLine(20.0, 35.0, bytes_per_s=5000.0),)),
)
QUICK = (
    Schedule("mixed faults, short", 16, (
        Missing(every(5), tries=2), Cut(every(4)), PlaylistError(3.0, 4.0)), segment_s=0.5),
)
