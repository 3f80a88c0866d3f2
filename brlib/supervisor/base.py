"""What the check loop knows of channels and asks of others."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ..errors import Trouble
from ..models import Broadcast, Channel, ChannelStatus, EndReason, utc_now

# What the supervisor shows besides a status: a SkipReason, a Trouble, or UPCOMING.
Reason = str
UPCOMING = "upcoming"
# Due before everything that is due by the clock, which may have begun a moment ago.
AT_ONCE_S = -math.inf


@dataclass(frozen=True)
class Refused:
    """A broadcast that is live and could not be opened: how often, when it is tried again
    (by the supervisor's clock), and why not."""

    broadcast_id: str | None
    times: int
    again_s: float
    trouble: Trouble
    message: str


@dataclass
class Watch:
    """What is known of one channel right now.

    `failures` are its own in a row, not its platform's. `out`: it is being asked for.
    `heard_s` is when that was asked for which is known, `checked_at` when it was told.
    `quiet`: another "offline" would change nothing, here or in the store. `tail`: the newest
    segments of the broadcast that ended last, by spaces.
    """

    due_s: float = AT_ONCE_S
    failures: int = 0
    out: bool = False
    heard_s: float = -math.inf
    checked_at: datetime | None = None
    kept_s: float = -math.inf
    quiet: bool = False
    live: Broadcast | None = None
    upcoming: bool = False
    trouble: Trouble | None = None
    refused: Refused | None = None
    skip: Reason | None = None
    tail: str = ""
    tail_until_s: float = -math.inf
    told: tuple[ChannelStatus, Reason | None, str | None, str | None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def last_edge(self) -> str | None:
        return self.tail.split()[-1] if self.tail else None

    def shows_again(self, edge: str, now_s: float) -> bool:
        """Whether an answer's newest segment is one of a broadcast that has just ended."""
        return now_s < self.tail_until_s and edge in self.tail.split()


class Watches:
    """A `Watch` for each channel, by its id; safe from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[str, Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def find(self, channel_id: str) -> Watch | None:
        return self._watches.get(channel_id)

    def get(self, channel_id: str) -> Watch:
        """Made where there is none."""
        watch = self._watches.get(channel_id)
        if watch is None:
            with self._lock:
                watch = self._watches.setdefault(channel_id, Watch())
        return watch

    def drop(self, channel_ids: Iterable[str]) -> None:
        with self._lock:
            for channel_id in channel_ids:
                self._watches.pop(channel_id, None)

    def ids(self) -> set[str]:
        with self._lock:
            return set(self._watches)

    def due_s(self) -> float:
        """When the next turn comes of a channel that is not being asked for."""
        with self._lock:
            return min((watch.due_s for watch in self._watches.values() if not watch.out),
                       default=math.inf)


@dataclass(frozen=True)
class Heard:
    """When a platform was asked for what it answers, and by whom.

    `own`: a failure is the channel's and not its platform's. `pressed`: a person asked.
    """

    platform: str
    asked_s: float
    at: datetime
    jitter: float
    own: bool = True
    pressed: bool = False


@dataclass(frozen=True)
class Commands:
    """What the supervisor asks of the recorder. `capturing`: None without a recording, False
    before its first segment. `disk_ok`: whether the disks have room for a channel's
    recording. `running`: who has a slot, as ids of recording and channel, and since when.
    `over_quota`: which quota a channel's recording would pass, as a sentence. `end`
    ends a channel's recording, if there is one."""

    record: Callable[[Channel, Broadcast], object]
    capturing: Callable[[str], bool | None]
    note: Callable[[str, Broadcast], None]
    free_slots: Callable[[], int]
    running: Callable[[], list[tuple[str, str, datetime]]]
    disk_ok: Callable[[Channel], bool]
    over_quota: Callable[[Channel], str | None]
    end: Callable[[str, EndReason], None]


@dataclass(frozen=True)
class Clocks:
    """`clock` is monotonic seconds, `now` the wall clock, `jitter` from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = utc_now
    jitter: Callable[[], float] = random.random


class CheckPool(Protocol):
    """Where checks run: threads, or whoever calls, as `workers.Pool` has it."""

    @property
    def free(self) -> int: ...

    def submit(self, name: str, task: Callable[[], None]) -> bool: ...

    def join(self, deadline_s: float) -> bool: ...
