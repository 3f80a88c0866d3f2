"""Pure decisions: when to look, whether to record, when a broadcast is over, what is kept.

Called by the supervisor, the recording itself and storage. Nothing here reads a clock,
a file or a socket: what is needed is handed in, so every rule is a table of cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from .errors import Trouble
from .models import Channel, ChannelStatus, QuotaState, SkipReason

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


def why_not_record(
    channel: Channel, broadcast_id: str | None, slots: Slots,
    unwanted: SkipReason | None = None,
) -> SkipReason | None:
    """None when a live broadcast of this (enabled, unpaused) channel is to be recorded now.
    `unwanted` is what its owner's rules say."""
    if broadcast_id is not None and broadcast_id == channel.stopped_broadcast_id:
        return SkipReason.STOPPED
    if unwanted is not None:
        return unwanted
    if not slots.disk_ok:
        return SkipReason.DISK
    if slots.free <= 0:
        return SkipReason.CONCURRENCY
    return None


@dataclass(frozen=True)
class Waiting:
    """A channel whose broadcast waits for a slot, since when by a monotonic clock."""

    channel_id: str
    priority: int
    since_s: float

    @property
    def rank(self) -> tuple[int, float, str]:
        """Whose is less is first: the higher priority, then who waits longer."""
        return -self.priority, self.since_s, self.channel_id


@dataclass(frozen=True)
class Running:
    """A recording that has a slot. `ending`: it was told to give it up."""

    recording_id: str
    channel_id: str
    priority: int
    started_at: datetime
    ending: bool = False


def to_preempt(running: Sequence[Running], priority: int) -> Running | None:
    """Who gives up its slot for a channel of this priority: the lowest, among equals the
    youngest, which has the least to lose. Only a lower one, so that nobody preempts back."""
    lower = [one for one in running if one.priority < priority and not one.ending]
    lower.sort(key=lambda one: (one.started_at, one.recording_id), reverse=True)
    return min(lower, key=lambda one: one.priority, default=None)


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


def quota_percent(used_bytes: int, quota_bytes: int | None) -> int | None:
    """How much of a quota is used, rounded; None without one. A quota of nothing is full."""
    if quota_bytes is None:
        return None
    return round(100 * used_bytes / quota_bytes) if quota_bytes > 0 else 100


def quota_state(used_bytes: int, quota_bytes: int | None, warning_percent: int) -> QuotaState:
    if quota_bytes is None:
        return QuotaState.UNLIMITED
    if used_bytes >= quota_bytes:
        return QuotaState.EXCEEDED
    near = 100 * used_bytes >= warning_percent * quota_bytes
    return QuotaState.WARNING if near else QuotaState.OK


def over_quotas(
    used_bytes: Mapping[str, int], quotas: Mapping[str, int], quota_bytes: int | None
) -> list[str | None]:
    """Whose quotas are used up: channels by id, then None where the common one is. In this
    order room is made: what a channel gives up the common quota gets, too."""
    over: list[str | None] = [
        channel_id for channel_id, limit in quotas.items()
        if used_bytes.get(channel_id, 0) >= limit]
    if quota_bytes is not None and sum(used_bytes.values()) >= quota_bytes:
        over.append(None)
    return over


# How much room there has to be again before a disk that was short is recorded to.
ROOM_AGAIN_S = 600.0
ROOM_AGAIN_SHARE = 0.1
# A warning is told anew only after the disk was so much emptier.
WARNING_SLACK_PERCENT = 2


def used_percent(used_bytes: int, free_bytes: int) -> int:
    """How full a disk is for us, as `df` says it: rounded up, what is kept back for root not
    counted. A disk of nothing is full."""
    total_bytes = used_bytes + free_bytes
    return -(-100 * used_bytes // total_bytes) if total_bytes > 0 else 100


def nearly_full(before: bool, percent: int, threshold_percent: int) -> bool:
    """Whether a disk is to be warned of; `before`: whether it was already."""
    return percent >= threshold_percent - (WARNING_SLACK_PERCENT if before else 0)


def short_of_room(before: bool, spare_bytes: int, min_free_bytes: int, rate: float) -> bool:
    """Whether recordings on a disk end and none begins.

    Once it was short (`before`) it has to have ten minutes of what was written then (`rate`,
    bytes a second) or a tenth of the limit more, whichever is more: a recording that begins
    is not to be ended at once. Without a limit nobody ends: who finds the disk full waits.
    """
    if not min_free_bytes:
        return False
    more = max(rate * ROOM_AGAIN_S, min_free_bytes * ROOM_AGAIN_SHARE) if before else 0.0
    return spare_bytes < min_free_bytes + more


@dataclass(frozen=True)
class Claim:
    """What a recording takes of one disk. `owed_bytes` finishing its file still writes there:
    nearly nothing where the file grows with the recording, all of the capture where it is
    made afterwards or begun again. `active`: it can be stopped. `gives_back`: its capture goes
    once its file is there."""

    recording_id: str
    priority: int
    captured_bytes: int
    owed_bytes: int
    active: bool
    gives_back: bool = True


def reserve_bytes(claims: Sequence[Claim], at_once: int | None) -> int:
    """What must stay free so that the files of all these can be finished.

    `at_once`: so many are finished at a time, and one that gives back does as much as its file
    took; None where nothing is given back. So first comes what is owed to those that are being
    finished, and then, with what these give back, the rest. What gives nothing back needs all.
    """
    if at_once is None:
        return sum(claim.owed_bytes for claim in claims)
    kept = sum(claim.owed_bytes for claim in claims if not claim.gives_back)
    claims = [claim for claim in claims if claim.gives_back]
    ending = [claim for claim in claims if not claim.active]
    back = sum(claim.captured_bytes - claim.owed_bytes for claim in ending)
    later = [claim for claim in claims if claim.active]
    return kept + max(_largest_owed(ending, at_once), _largest_owed(later, at_once) - back)


def _largest_owed(claims: Sequence[Claim], count: int) -> int:
    return sum(sorted((claim.owed_bytes for claim in claims), reverse=True)[:count])


def first_to_stop(claims: Sequence[Claim]) -> str | None:
    """Who is stopped when a disk is short of room: the lowest priority. Among equals the
    largest capture: it gives back the most once its file is finished, so that the others can
    go on, and most of its broadcast is in."""
    active = [claim for claim in claims if claim.active]
    first = min(active, key=lambda claim: (
        claim.priority, -claim.captured_bytes, claim.recording_id), default=None)
    return first.recording_id if first is not None else None


def next_may_stop(finishing: bool, lost_bytes: int, min_free_bytes: int) -> bool:
    """Whether another recording is stopped while the one stopped last may be `finishing`.

    Finishing gives room back, so it is waited for. Not for ever: when a quarter of the limit
    has been written since (`lost_bytes`, what finishing itself takes not counted), waiting
    would cost those that can still be finished.
    """
    return not finishing or lost_bytes > min_free_bytes // 4


def hours_left(spare_bytes: int, min_free_bytes: int, rate: float) -> float | None:
    """How long recordings can go on at `rate` bytes a second; None while nothing is written."""
    if rate <= 0:
        return None
    return round(max(0, spare_bytes - min_free_bytes) / rate / 3600, 2)
