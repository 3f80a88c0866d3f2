"""What the check loop knows of a channel and asks of others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import Trouble
from ..models import Broadcast, Channel, ChannelStatus

# What the supervisor shows besides a status: a SkipReason, a Trouble, or UPCOMING.
Reason = str
UPCOMING = "upcoming"


@dataclass
class Watch:
    """What is known of one channel right now."""

    due_s: float = 0.0
    failures: int = 0
    checking: bool = False
    live: Broadcast | None = None
    upcoming: bool = False
    trouble: Trouble | None = None
    skip: Reason | None = None
    told: tuple[ChannelStatus, Reason | None, str | None, str | None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Commands:
    """What the supervisor asks of the recorder."""

    record: Callable[[Channel, Broadcast], object]
    capturing: Callable[[str], bool | None]
    note: Callable[[str, Broadcast], None]
    free_slots: Callable[[], int]
    disk_ok: Callable[[], bool]
