"""The nouns of the domain as frozen dataclasses, and which status may follow which.

Imported by every layer above. Times are aware and UTC, durations are seconds,
sizes are bytes; how they look outside is `brlib.web.views`' business.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

PLATFORMS = ("twitch", "youtube", "kick", "url")
ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_id(prefix: str) -> str:
    """`ch_…` or `rec_…`: the prefix and 12 characters of a-z0-9."""
    return prefix + "_" + "".join(secrets.choice(ID_ALPHABET) for _ in range(12))


def utc_now() -> datetime:
    return datetime.now(UTC)


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with `Z` and whole seconds, as the API shows times."""
    if moment is None:
        return None
    # Without the "+00:00" at its end.
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:-6] + "Z"


class ChannelStatus(StrEnum):
    OFFLINE = "offline"
    STARTING = "starting"
    RECORDING = "recording"
    LIVE = "live"
    ERROR = "error"
    PAUSED = "paused"
    DISABLED = "disabled"


class SkipReason(StrEnum):
    """Why a live broadcast is not being recorded."""

    CONCURRENCY = "concurrency"
    DISK = "disk"
    FILTER = "filter"
    QUOTA = "quota"
    SCHEDULE = "schedule"
    STOPPED = "stopped"


class QuotaState(StrEnum):
    """How what recordings take stands to the quota for them."""

    UNLIMITED = "unlimited"
    OK = "ok"
    WARNING = "warning"
    EXCEEDED = "exceeded"


class RecordingStatus(StrEnum):
    RECORDING = "recording"
    PAUSED = "paused"
    PROCESSING = "processing"
    COMPLETE = "complete"
    FAILED = "failed"


ACTIVE = (RecordingStatus.RECORDING, RecordingStatus.PAUSED)

STATUS_MOVES: dict[RecordingStatus, tuple[RecordingStatus, ...]] = {
    RecordingStatus.RECORDING: (RecordingStatus.PAUSED, RecordingStatus.PROCESSING),
    RecordingStatus.PAUSED: (RecordingStatus.RECORDING, RecordingStatus.PROCESSING),
    RecordingStatus.PROCESSING: (RecordingStatus.COMPLETE, RecordingStatus.FAILED),
    RecordingStatus.COMPLETE: (RecordingStatus.PROCESSING,),
    RecordingStatus.FAILED: (RecordingStatus.PROCESSING,),
}


class Activity(StrEnum):
    """What an active recording does right now."""

    CAPTURING = "capturing"
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    PAUSED = "paused"
    BLOCKED = "blocked"


class GapCause(StrEnum):
    SOURCE = "source"
    NETWORK = "network"
    EXPIRED = "expired"
    DAEMON_DOWN = "daemon_down"
    PAUSED = "paused"
    AD = "ad"
    DISK = "disk"
    OFFLINE = "offline"


class EndReason(StrEnum):
    """Why a recording ended."""

    ENDED = "ended"
    OFFLINE = "offline"
    STALLED = "stalled"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    DISK = "disk"  # there was too little room
    SCHEDULE = "schedule"  # its window closed
    FILTER = "filter"  # it is not wanted any more
    PREEMPTED = "preempted"  # another needed its slot

    @property
    def by_request(self) -> bool:
        """Someone ended it; the broadcast itself may go on."""
        return self in (EndReason.STOPPED, EndReason.CANCELLED)

    @property
    def cut_short(self) -> bool:
        """We ended it, whoever asked for that; the broadcast itself may go on."""
        return self.by_request or self in (
            EndReason.DISK, EndReason.SCHEDULE, EndReason.FILTER, EndReason.PREEMPTED)


class SessionEnd(StrEnum):
    """Why one opened stream of a recording gives nothing more."""

    ENDLIST = "endlist"  # the playlist said so and everything listed is in
    BROKEN = "broken"    # a failed playlist, a lost key, a thread that died
    DISK = "disk"        # the capture could not be written


class Role(StrEnum):
    """What someone may do: everything, or read what is no secret."""

    ADMIN = "admin"
    VIEWER = "viewer"


@dataclass(frozen=True)
class User:
    id: str
    username: str
    role: Role
    created_at: datetime
    last_login_at: datetime | None = None


@dataclass(frozen=True)
class Caller:
    """Who sent a request. `credential` is whom its limits count for, of whatever kind;
    `session_id` is there for a login."""

    name: str
    role: Role
    credential: str
    session_id: str | None = None


@dataclass(frozen=True)
class Channel:
    """A live source that someone asked us to watch, and what is remembered of it.

    `schedule`, `filters`, `retention` and `processing` are the JSON that those modules make and
    read; `skips_told` is the broadcast whose skips were told of, and their reasons.
    """

    id: str
    platform: str
    name: str
    display_name: str
    url: str
    quality: str
    enabled: bool
    created_at: datetime
    paused: bool = False
    priority: int = 0
    filename_template: str | None = None
    output_directory: str | None = None
    broadcast_id: str | None = None
    live_since: datetime | None = None
    stopped_broadcast_id: str | None = None
    ended_edge: str | None = None
    last_checked_at: datetime | None = None
    last_error: str | None = None
    schedule: str | None = None
    filters: str | None = None
    skips_told: str | None = None
    quota_bytes: int | None = None
    retention: str | None = None
    processing: str | None = None


@dataclass(frozen=True)
class Broadcast:
    """A stream that a platform says is live now.

    `id` is None where the platform has no notion of one. `edge` names the newest
    segment on offer where a check sees it: an edge that never moves is a dead encoder.
    """

    id: str | None = None
    title: str | None = None
    category: str | None = None
    viewers: int | None = None
    started_at: datetime | None = None
    edge: str | None = None
    display_name: str | None = None
    thumbnail_url: str | None = None


@dataclass(frozen=True)
class Gap:
    """A stretch of the broadcast that is missing, as the ledger records it.

    `offset_s` is the captured media before it; `segments` is 0 when nobody can know.
    """

    started_at: datetime
    offset_s: float
    duration_s: float
    segments: int
    cause: GapCause

    @property
    def offered(self) -> bool:
        """Whether there was something to miss: not while the broadcast itself was away."""
        return self.cause is not GapCause.OFFLINE or self.segments > 0


@dataclass(frozen=True)
class Change:
    """A broadcast is called (`key` is "title") or about ("category") this from here on."""

    offset_s: float
    key: str
    value: str


@dataclass(frozen=True)
class Course:
    """What happened in a recording, in the order of the broadcast."""

    gaps: tuple[Gap, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Sums:
    """What a capture holds so far, exact at every commit. `gap_s` is what was offered and is
    missing."""

    segments: int = 0
    captured_bytes: int = 0
    captured_s: float = 0.0
    gaps: int = 0
    gap_s: float = 0.0
    parts: int = 0

    @property
    def completeness(self) -> float:
        """Captured seconds over offered seconds; 1.0 while nothing was offered."""
        offered_s = self.captured_s + self.gap_s
        return self.captured_s / offered_s if offered_s > 0 else 1.0


@dataclass(frozen=True)
class Recording:
    """One broadcast (or the part of it since someone stopped another recording). `protected`:
    no rule deletes it, and no person before that is taken back."""

    id: str
    channel_id: str
    channel_name: str
    platform: str
    title: str
    status: RecordingStatus
    started_at: datetime
    category: str | None = None
    quality: str = "source"
    broadcast_id: str | None = None
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    sums: Sums = Sums()
    files: tuple[str, ...] = ()
    file_size_bytes: int = 0
    error: str | None = None
    filename_template: str | None = None
    output_directory: str | None = None
    protected: bool = False

    @property
    def file_path(self) -> str | None:
        return self.files[0] if self.files else None

    @property
    def active(self) -> bool:
        return self.status in ACTIVE


@dataclass(frozen=True)
class Event:
    """A fact that someone may be listening for."""

    seq: int
    type: str
    timestamp: datetime
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def dotted(self) -> str:
        """`recording_started` → `recording.started`, the other spelling of the reference."""
        return self.type.replace("_", ".", 1)

    @property
    def channel_id(self) -> str | None:
        value = self.data.get("channel_id")
        return value if isinstance(value, str) else None
