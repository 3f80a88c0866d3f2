"""The words that the capture's own modules share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Protocol

from ..models import GapCause


@dataclass(frozen=True)
class Timeouts:
    """How patient a capture is with one segment.

    A try ends after `read_s` of silence or, trickling, after `attempt_s` (doubled each
    time). A segment is given up only after `give_up_s` and `give_up_tries`, and only when
    the origin answers otherwise: while it is away altogether nothing is given up.
    """

    connect_s: float = 5.0
    read_s: float = 6.0
    attempt_s: float = 10.0
    give_up_s: float = 30.0
    give_up_tries: int = 4
    retry_s: float = 0.3
    retry_max_s: float = 2.0


@dataclass(frozen=True)
class Missed:
    """Segments that are known to be missing before the next one (0: nobody can count)."""

    segments: int
    duration_s: float
    cause: GapCause


@dataclass(frozen=True)
class Source:
    """What a segment was at its source."""

    num: int
    epoch: int
    duration_s: float
    path: str
    date: datetime | None
    discontinuity: bool


class Committer(Protocol):
    """Where whole segments go, in order: the capture, as its session sees it.

    Once `closed` is set nothing more is taken; set under way, the entry is whole. Both say
    whether it was taken.
    """

    def commit(
        self, source: Source, body: bytes, init: bytes | None, closed: Event) -> bool: ...

    def miss(self, missed: Missed, next_num: int, epoch: int, closed: Event) -> bool: ...

    def has(self, body: bytes) -> bool: ...

    def ends_with(self, body: bytes) -> bool: ...

    def digest(self, num: int, epoch: int) -> str | None: ...
