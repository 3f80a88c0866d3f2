"""Pure decisions: when to look, whether to record, when a broadcast is over, what is kept.

Called by the supervisor, the recording itself and storage. Nothing here reads a clock,
a file or a socket: what is needed is handed in, so every rule is a table of cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from .errors import Trouble
from .models import Channel, ChannelStatus, SkipReason

CHECK_BACKOFF_MAX_S = 600.0
NOT_FOUND_MAX_S = 3600.0
OFFLINE_ANSWERS_APART_S = 30.0
REOPEN_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
STALL_FLOOR_S = 10.0
STALL_CEILING_S = 60.0


def next_check_s(
    interval_s: float, failures: int, jitter: float, trouble: Trouble | None = None
) -> float:
    """Seconds until the next live check.

    `jitter` is a number from 0 to 1 and spreads checks by a tenth either way;
    each failed check in a row doubles the wait, up to ten minutes. What passes only with
    the broadcast or by a person's doing waits those at once, and a name that nobody has
    up to an hour.
    """
    limit_s = CHECK_BACKOFF_MAX_S
    if failures and trouble in (Trouble.NOT_FOUND, Trouble.RESTRICTED):
        interval_s, failures = max(interval_s, CHECK_BACKOFF_MAX_S), failures - 1
        limit_s = NOT_FOUND_MAX_S if trouble is Trouble.NOT_FOUND else limit_s
    backed_off_s = interval_s * 2.0 ** min(failures, 10)
    return min(backed_off_s, max(interval_s, limit_s)) * (0.9 + 0.2 * jitter)


def reopen_after_s(attempt: int) -> float:
    """Seconds before the stream is opened again for the `attempt`th time (from 0)."""
    return REOPEN_BACKOFF_S[min(attempt, len(REOPEN_BACKOFF_S) - 1)]


@dataclass(frozen=True)
class Slots:
    """How much room there is for another recording."""

    free: int
    disk_ok: bool


def why_not_record(channel: Channel, broadcast_id: str | None, slots: Slots) -> SkipReason | None:
    """None when a live broadcast of this (enabled, unpaused) channel is to be recorded now."""
    if broadcast_id is not None and broadcast_id == channel.stopped_broadcast_id:
        return SkipReason.STOPPED
    if not slots.disk_ok:
        return SkipReason.DISK
    if slots.free <= 0:
        return SkipReason.CONCURRENCY
    return None


def channel_status(
    channel: Channel, *, live: bool, capturing: bool | None, failed: bool
) -> ChannelStatus:
    """What a channel shows. `capturing`: None without a recording, False until its
    first segment is on disk."""
    if capturing is not None:
        return ChannelStatus.RECORDING if capturing else ChannelStatus.STARTING
    if not channel.enabled:
        return ChannelStatus.DISABLED
    if channel.paused:
        return ChannelStatus.PAUSED
    if failed:
        return ChannelStatus.ERROR
    return ChannelStatus.LIVE if live else ChannelStatus.OFFLINE


class Verdict(Enum):
    """What to do with a recording whose stream broke off or stands still."""

    REOPEN = "reopen"
    WAIT = "wait"
    OFFLINE = "offline"
    STALLED = "stalled"


@dataclass(frozen=True)
class Absence:
    """What the checks said since the last segment was committed.

    `offline_for_s`: since the first of an unbroken row of healthy offline answers,
    None when the last healthy answer was live. `frozen`: the platform still calls it
    live, but the newest segment on offer is the last one we have.
    """

    idle_s: float
    offline_answers: int
    offline_for_s: float | None
    frozen: bool


def end_of_broadcast(absence: Absence, reconnect_window_s: float) -> Verdict:
    """Whether a broadcast that gives nothing is over.

    Two healthy answers at least 30 s apart must say offline, and the streamer gets
    `reconnect_window_s` to come back. Failed checks count for nothing: they are
    neither in `offline_answers` nor in `offline_for_s`.
    """
    patience_s = max(OFFLINE_ANSWERS_APART_S, reconnect_window_s)
    if absence.offline_for_s is not None:
        over = absence.offline_answers >= 2 and absence.offline_for_s >= OFFLINE_ANSWERS_APART_S
        return Verdict.OFFLINE if over and absence.idle_s >= patience_s else Verdict.WAIT
    if absence.frozen:
        return Verdict.STALLED if absence.idle_s >= patience_s else Verdict.WAIT
    return Verdict.REOPEN


def stalled(idle_s: float, target_duration_s: float) -> bool:
    """Whether a capture that committed nothing for `idle_s` no longer counts as capturing."""
    return idle_s > min(STALL_CEILING_S, max(STALL_FLOOR_S, 3 * target_duration_s))


@dataclass(frozen=True)
class Retention:
    """What is kept of a channel's finished recordings: those that ended within so many days,
    the latest so many. With both, whichever keeps more; with neither, everything."""

    days: int | None = None
    keep_latest: int | None = None


def expired(
    finished: Sequence[tuple[str, datetime]], retention: Retention, now: datetime
) -> list[str]:
    """Which of a channel's finished recordings are to be deleted, oldest first.

    `finished` are their ids and ends, the latest first.
    """
    if retention.days is None and retention.keep_latest is None:
        return []
    found = [
        recording_id for recording_id, ended_at in finished[retention.keep_latest or 0:]
        if retention.days is None or now - ended_at > timedelta(days=retention.days)
    ]
    return found[::-1]


def quota_percent(used_bytes: int, quota_bytes: int | None) -> int | None:
    """How much of a quota is used, rounded; None without one. A quota of nothing is full."""
    if quota_bytes is None:
        return None
    return round(100 * used_bytes / quota_bytes) if quota_bytes > 0 else 100
