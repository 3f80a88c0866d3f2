"""What a channel's owner wants recorded: its schedule, its filters, and what ends by them.

Asked by `answers` for each live broadcast, by the supervisor's rounds for what is being
recorded, and by the API for a preview.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import filters, schedule
from ..config import Settings
from ..models import Broadcast, Channel, EndReason, SkipReason, iso
from ..schedule import EndBehavior, Schedule

# How far ahead the next window is looked for; none in that time is as good as none.
AHEAD = timedelta(days=31)


@dataclass(frozen=True)
class Unwanted:
    """Why a broadcast is not to be recorded now: for a program and for a person."""

    reason: SkipReason
    sentence: str


class Wishes:
    def __init__(self, settings: Callable[[], Settings], now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now

    def schedule(self, channel: Channel) -> Schedule:
        """A channel's own, else the configuration's, whose blackouts hold for all."""
        now = self._settings()
        common = schedule.of_options(
            now.schedule_days, now.schedule_start, now.schedule_end, now.blackouts or "",
            now.timezone, now.schedule_end_behavior)
        if channel.schedule is None:
            return common
        own = schedule.parse(channel.schedule, now.timezone, now.schedule_end_behavior)
        return own.under(common.blackouts)

    def open_now(self, channel: Channel) -> bool:
        return self.schedule(channel).open_at(self._now())

    def against(self, channel: Channel, broadcast: Broadcast) -> Unwanted | None:
        """Why not to begin recording a broadcast; None when it is wanted."""
        times = self.schedule(channel)
        if not times.open_at(self._now()):
            return Unwanted(SkipReason.SCHEDULE, self._closed(times))
        if channel.filters is not None:
            reason = filters.parse(channel.filters).against(
                broadcast.title, broadcast.category, broadcast.viewers)
            if reason is not None:
                return Unwanted(SkipReason.FILTER, f"Filtered out: {reason}")
        return None

    def _closed(self, times: Schedule) -> str:
        now = self._now()
        begin = next((begin for begin, _ in times.windows_between(now, now + AHEAD)), None)
        return "Outside the schedule" + (f"; recorded again from {iso(begin)}" if begin else "")

    def end_of(self, channel: Channel, broadcast: Broadcast | None) -> EndReason | None:
        """Why a recording of this channel is to end now, if it is: what was wanted at its
        beginning goes on, unless the rules say otherwise."""
        times = self.schedule(channel)
        if times.end_behavior is EndBehavior.STOP and not times.open_at(self._now()):
            return EndReason.SCHEDULE
        if channel.filters is None or broadcast is None:
            return None
        wanted = filters.parse(channel.filters)
        if wanted.strict and wanted.against(
                broadcast.title, broadcast.category, broadcast.viewers) is not None:
            return EndReason.FILTER
        return None
