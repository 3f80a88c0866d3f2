"""What a platform's answer for a channel changes: here, in the store, and whether it is recorded.

A failed check never means offline; what a channel shows changes only by healthy answers.
Given answers by the checks, ends by the recorder; tells of `channel_error`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..config import Settings
from ..errors import ChannelNotFound, PlatformError, RecorderError, Trouble
from ..events import EventBus, about_channel
from ..models import Broadcast, Channel, EndReason, SkipReason
from ..pacing import ASKED_MAX_S
from ..platforms import Checked, Offline, Platform
from ..rules import Slots, next_check_s, why_not_record
from ..store import Store
from .base import Clocks, Commands, Heard, Refused, Watch, Watches
from .line import Line
from .wishes import Unwanted, Wishes

log = logging.getLogger(__name__)

# What is being recorded is asked for only because its title may change. Where a request asks
# for many it rides along with the others.
RECORDED_EVERY_S = 60.0
# When a channel was checked last is known here; the store, often on an SD card, hears of it
# with other changes and now and then.
KEPT_EVERY_S = 3600.0
# A live broadcast that could not be opened is asked for again by then.
REOPEN_S = 30.0
# So long after the end a cache may still answer with a playlist from before it.
CACHED_S = 30.0
ENDED_FOR_NOW = {EndReason.DISK: SkipReason.DISK, EndReason.SCHEDULE: SkipReason.SCHEDULE,
                 EndReason.FILTER: SkipReason.FILTER,
                 EndReason.PREEMPTED: SkipReason.CONCURRENCY}


class Answers:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, bus: EventBus,
        platforms: Mapping[str, Platform], commands: Commands, watches: Watches, clocks: Clocks,
        wishes: Wishes,
    ) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._platforms = platforms
        self._commands = commands
        self._watches = watches
        self._clock = clocks.clock
        self._jitter = clocks.jitter
        self._wishes = wishes
        self._line = Line(settings, store, commands, clocks.clock)

    def take(self, channel_id: str, answer: Checked, heard: Heard) -> bool:
        """A platform's answer for one channel; False when nothing can look different after it.
        Raises ChannelNotFound, sqlite3.Error."""
        watch = self._watches.get(channel_id)
        with watch.lock:
            if heard.asked_s < watch.heard_s:
                # Something later is known: another answer, or that a recording is over.
                return False
            watch.heard_s, watch.checked_at = heard.asked_s, heard.at
            if self._changes_nothing(watch, answer):
                self._again(watch, heard)
                return False
            watch.quiet = False
            channel = self._store.channels.get(channel_id)
            capturing = self._commands.capturing(channel_id)
            if isinstance(answer, PlatformError):
                self._note_failure(channel, watch, answer, heard)
            elif capturing is not None:
                self._note_metadata(channel, watch, answer, heard)
            else:
                self._note_answer(channel, watch, answer, heard)
        return True

    def _changes_nothing(self, watch: Watch, answer: Checked) -> bool:
        """Nearly every answer: offline, as before."""
        return (watch.quiet and isinstance(answer, Offline) and answer.upcoming_at is None
                and self._clock() - watch.kept_s < KEPT_EVERY_S)

    def _again(self, watch: Watch, heard: Heard) -> None:
        watch.due_s = self._clock() + next_check_s(
            self._interval_s(heard.platform), watch.failures, heard.jitter, watch.trouble)

    def _keep(
        self, channel: Channel, watch: Watch, durable: bool = False, **values: Any
    ) -> Channel:
        """Write what is new, and when the channel was checked along with it."""
        changes = {key: value for key, value in values.items() if getattr(channel, key) != value}
        if not changes and self._clock() - watch.kept_s < KEPT_EVERY_S:
            return channel
        watch.kept_s = self._clock()
        return self._store.channels.change(
            channel.id, durable=durable, last_checked_at=self.last_checked(channel), **changes)

    def _note_failure(
        self, channel: Channel, watch: Watch, error: PlatformError, heard: Heard
    ) -> None:
        """A check that failed. Where the whole platform did, its rest says when it is asked
        again, and nobody is made to wait longer than that."""
        watch.failures += heard.own
        watch.trouble = error.trouble
        self._again(watch, heard)
        if error.retry_after_s is not None and heard.own:
            watch.due_s = max(
                watch.due_s, self._clock() + min(error.retry_after_s, ASKED_MAX_S))
        self._tell_error(channel, watch, str(error), error.trouble, heard.own)

    def _tell_error(
        self, channel: Channel, watch: Watch, message: str, trouble: Trouble, own: bool = True
    ) -> None:
        """One `channel_error` per incident, which ends with a healthy answer. The store knows
        of it, so that a restart begins no new one."""
        if channel.last_error != message:
            # Of a whole platform's failure the rota speaks, once.
            level = logging.WARNING if channel.last_error is None else logging.INFO
            log.log(level if own else logging.DEBUG, "%s: %s", channel.display_name, message)
        self._keep(channel, watch, last_error=message)
        if channel.last_error is None:
            self._bus.publish("channel_error", {
                **about_channel(channel), "error": message, "reason": trouble.value})

    def _note_metadata(
        self, channel: Channel, watch: Watch, answer: Broadcast | Offline, heard: Heard
    ) -> None:
        """The channel is being recorded: whether that is over is the recording's to say."""
        watch.failures, watch.trouble = 0, None
        self._again(watch, heard)
        if self._platforms[channel.platform].batch_size == 1:
            watch.due_s = max(watch.due_s, self._clock() + RECORDED_EVERY_S)
        live = watch.live
        if isinstance(answer, Broadcast):
            # Another id is the same recording all the same; a stop is meant for that one, too.
            known = live or Broadcast(channel.broadcast_id, started_at=channel.live_since)
            live = watch.live = replace(
                answer, id=answer.id or known.id, started_at=known.started_at)
            self._commands.note(channel.id, live)
        self._keep(channel, watch, last_error=watch.refused.message if watch.refused else None,
                   broadcast_id=live.id if live else channel.broadcast_id)

    def _note_answer(
        self, channel: Channel, watch: Watch, answer: Broadcast | Offline, heard: Heard
    ) -> None:
        watch.failures, watch.trouble, watch.skip = 0, None, None
        self._again(watch, heard)
        if isinstance(answer, Broadcast) and answer.edge and (
                answer.edge == channel.ended_edge or watch.shows_again(answer.edge, heard.asked_s)):
            answer = Offline()
        if isinstance(answer, Broadcast):
            watch.upcoming = False
            self._note_live(channel, watch, answer, heard)
            return
        watch.upcoming = answer.upcoming_at is not None
        if answer.upcoming_at is not None:
            left_s = (answer.upcoming_at - heard.at).total_seconds()
            if left_s > 0:
                watch.due_s = min(watch.due_s, self._clock() + left_s)
        watch.live = watch.refused = None
        self._line.leave(channel.id)
        self._keep(channel, watch, broadcast_id=None, live_since=None, stopped_broadcast_id=None,
                   last_error=None)
        watch.quiet = not watch.upcoming

    def _note_live(
        self, channel: Channel, watch: Watch, broadcast: Broadcast, heard: Heard
    ) -> None:
        """A broadcast without an id of its own gets one that lasts until the platform says
        offline."""
        broadcast_id = broadcast.id or channel.broadcast_id or "live-" + secrets.token_hex(6)
        another = broadcast_id != channel.broadcast_id
        if watch.refused is not None and watch.refused.broadcast_id != broadcast_id:
            watch.refused = None
        watch.live = replace(broadcast, id=broadcast_id)
        since = None if another else channel.live_since
        channel = self._keep(
            channel, watch, durable=another, broadcast_id=broadcast_id, ended_edge=None,
            live_since=since or broadcast.started_at or heard.at,
            last_error=watch.refused.message if watch.refused else None,
            display_name=_display_name(channel, broadcast))
        if channel.enabled and not channel.paused:
            self._record(channel, watch, watch.live, heard.pressed)

    def _record(
        self, channel: Channel, watch: Watch, broadcast: Broadcast, pressed: bool
    ) -> None:
        # Those before it in line begin first.
        free = self._commands.free_slots() - self._line.ahead(channel)
        slots = Slots(free, self._commands.disk_ok(channel))
        unwanted = self._wishes.against(channel, broadcast) or self._over_quota(channel)
        watch.skip = why_not_record(
            channel, broadcast.id, slots, unwanted.reason if unwanted else None)
        if unwanted is not None and watch.skip is unwanted.reason:
            self._tell_skip(channel, watch, broadcast, unwanted)
        if watch.skip is SkipReason.CONCURRENCY:
            self._line.wait(channel)
            if watch.refused is None and self._commands.free_slots() == 0:
                # One that cannot be opened must not end others again and again.
                self._line.preempt(channel)
            return
        self._line.leave(channel.id)
        if watch.skip is not None:
            return
        if watch.refused is not None and self._clock() < watch.refused.again_s and not pressed:
            return
        try:
            self._commands.record(channel, broadcast)
        except RecorderError as error:
            log.info("%s is not recorded now: %s", channel.display_name, error)
            watch.skip = SkipReason.CONCURRENCY
            self._line.wait(channel)

    def fill(self) -> list[str]:
        """Begin what waits for a slot while there is one, the first in line first; the ids of
        the channels that were looked at. Raises sqlite3.Error."""
        looked: list[str] = []
        for channel_id in self._line.find_next():
            if self._commands.free_slots() <= 0:
                break
            watch = self._watches.find(channel_id)
            if watch is None:
                self._line.leave(channel_id)
                continue
            with watch.lock:
                self._begin(channel_id, watch)
            looked.append(channel_id)
        return looked

    def _begin(self, channel_id: str, watch: Watch) -> None:
        try:
            channel = self._store.channels.get(channel_id)
        except ChannelNotFound:
            self._line.leave(channel_id)
            return
        waits = (channel.enabled and not channel.paused and watch.skip == SkipReason.CONCURRENCY
                 and self._commands.capturing(channel_id) is None)
        if watch.live is None or not waits:
            self._line.leave(channel_id)
            return
        self._record(channel, watch, watch.live, pressed=False)

    def _over_quota(self, channel: Channel) -> Unwanted | None:
        sentence = self._commands.over_quota(channel)
        return Unwanted(SkipReason.QUOTA, sentence) if sentence is not None else None

    def _tell_skip(
        self, channel: Channel, watch: Watch, broadcast: Broadcast, unwanted: Unwanted
    ) -> None:
        """Once per broadcast and reason, also over a restart."""
        told_of, _, reasons = (channel.skips_told or "").rpartition(" ")
        told = set(reasons.split(",")) if told_of == broadcast.id else set()
        if unwanted.reason in told:
            return
        log.info("%s is not recorded: %s", channel.display_name, unwanted.sentence)
        self._keep(channel, watch, skips_told=" ".join(
            (str(broadcast.id), ",".join(sorted((told - {""}) | {unwanted.reason.value})))))
        self._bus.publish(f"{unwanted.reason}_skip", {
            **about_channel(channel), "broadcast_id": broadcast.id, "title": broadcast.title,
            "category": broadcast.category, "viewers": broadcast.viewers,
            "reason": unwanted.sentence})

    def over(self, channel_id: str, reason: EndReason | None, edge: str | None,
             error: str | None, trouble: Trouble = Trouble.ERROR) -> None:
        """A recording of this channel is over (`reason` None: nothing was ever captured, and
        `trouble` is why it could not be)."""
        watch = self._watches.get(channel_id)
        with watch.lock:
            try:
                channel = self._store.channels.get(channel_id)
            except ChannelNotFound:
                self._watches.drop([channel_id])
                return
            watch.quiet = False
            if reason is None:
                watch.due_s = min(watch.due_s, self._clock() + REOPEN_S)
                if error is not None:
                    self._note_refused(channel, watch, error, trouble)
                return
            # What was asked for before that says nothing of what is now.
            watch.heard_s, watch.due_s = self._clock(), self._clock() + 1.0
            watch.refused = None
            if reason in ENDED_FOR_NOW:
                # The same broadcast still; it is recorded again once that allows it.
                watch.skip = ENDED_FOR_NOW[reason]
                if reason is EndReason.PREEMPTED:
                    self._line.wait(channel)
                return
            if reason.by_request:
                watch.skip = SkipReason.STOPPED
                self._store.channels.change(
                    channel_id, stopped_broadcast_id=channel.broadcast_id)
                return
            watch.live = None
            watch.tail, watch.tail_until_s = edge or "", self._clock() + CACHED_S
            self._store.channels.change(
                channel_id, broadcast_id=None, live_since=None,
                ended_edge=watch.last_edge if reason is EndReason.STALLED else None)

    def _note_refused(
        self, channel: Channel, watch: Watch, message: str, trouble: Trouble
    ) -> None:
        """Live, and not to be opened: tried again later each time, while checks go on."""
        before = watch.refused
        same = before is not None and before.broadcast_id == channel.broadcast_id
        times = before.times + 1 if before is not None and same else 1
        again_s = self._clock() + next_check_s(
            min(REOPEN_S, self._interval_s(channel.platform)), times, self._jitter(), trouble)
        watch.refused = Refused(channel.broadcast_id, times, again_s, trouble, message)
        watch.due_s = min(watch.due_s, again_s)
        self._tell_error(channel, watch, message, trouble)

    def opened(self, channel_id: str) -> None:
        """A recording of this channel has begun."""
        watch = self._watches.find(channel_id)
        if watch is None or watch.refused is None:
            return
        with watch.lock:
            watch.refused, watch.due_s = None, self._clock()
            self._keep(self._store.channels.get(channel_id), watch, last_error=None)

    def last_checked(self, channel: Channel) -> datetime | None:
        """When it was asked for last; the channel's own field is brought up to date seldom."""
        watch = self._watches.find(channel.id)
        return (watch.checked_at if watch is not None else None) or channel.last_checked_at

    def _interval_s(self, platform: str) -> float:
        return float(getattr(self._settings(), f"{platform}_interval"))


def _display_name(channel: Channel, broadcast: Broadcast) -> str:
    """As the platform writes it, unless a person has said otherwise."""
    own = channel.display_name.casefold() != channel.name.casefold()
    return channel.display_name if own else broadcast.display_name or channel.display_name
