"""The check loop: who is live, and what follows from that.

One thread hands channels whose turn it is to a few check threads, in batches where the
platform takes them. A failed check never means offline; what a channel shows changes only
by healthy answers. Commanded by the service; tells of `channel_status` and `channel_error`.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..config import Settings
from ..errors import ChannelNotFound, PlatformError, RecorderError
from ..events import EventBus, about_channel
from ..models import Broadcast, Channel, ChannelStatus, EndReason, SkipReason, iso, utc_now
from ..platforms import Checked, Offline, Platform
from ..rules import Slots, channel_status, next_check_s, why_not_record
from ..store import Store
from ..workers import Pool
from .base import UPCOMING, Commands, Reason, Watch
from .rota import Rota

log = logging.getLogger(__name__)

# Check threads for each platform: a slow one must not keep the others waiting.
CHECKERS = {"url": 8, "youtube": 4}
CHECKERS_ELSE = 2
IDLE_S = 1.0
# What is being recorded is asked for only because its title may change.
RECORDED_EVERY_S = 60.0


class Supervisor:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, bus: EventBus,
        platforms: dict[str, Platform], commands: Commands,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._platforms = platforms
        self._commands = commands
        self._clock = clock
        self._jitter = jitter
        self._rota = Rota(platforms, store, clock, jitter)
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._pools = {name: Pool(f"check-{name}", CHECKERS.get(name, CHECKERS_ELSE))
                       for name in platforms}

    def step(self) -> float:
        """One round: hand out what is due; the seconds until the next round."""
        wanted: defaultdict[str, list[Channel]] = defaultdict(list)
        for channel in self._store.channels.find_all():
            self._watch(channel.id)
            if self._asks(channel):
                wanted[channel.platform].append(channel)
        for name, channels in wanted.items():
            while batch := self._rota.batch(name, channels, self._watches, self._interval_s(name)):
                if not self._hand_out(name, batch):
                    break
        return IDLE_S

    def _hand_out(self, name: str, batch: list[Channel]) -> bool:
        for channel in batch:
            self._watch(channel.id).checking = True
        # Before the request: it may be over at once.
        self._rota.asked(name)
        title = batch[0].id if len(batch) == 1 else f"{name}-{len(batch)}"
        if self._pools[name].submit(f"check-{title}", partial(self._check_batch, name, batch)):
            return True
        self._rota.withdrawn(name)
        for channel in batch:
            self._watch(channel.id).checking = False
        return False

    def _asks(self, channel: Channel) -> bool:
        """Whether to ask the platform at all. A recording looks after itself; what it cannot
        see is that the title changed."""
        if self._commands.capturing(channel.id) is not None and channel.platform == "url":
            return False
        return channel.enabled and not channel.paused

    def _check_batch(self, name: str, batch: Sequence[Channel]) -> None:
        """Ask for a batch, and let each channel have its answer."""
        try:
            answers = self._ask(name, batch)
        except PlatformError as error:
            self._rota.failed(name, error, whole=True)
            answers = {channel.id: error for channel in batch}
        else:
            self._judge(name, list(answers.values()))
        jitter = self._jitter()
        for channel in batch:
            try:
                self._take(channel.id, answers[channel.id], jitter)
            except ChannelNotFound:
                # What the check kept of it anew must go, too.
                log.debug("%s was deleted while it was being checked", channel.display_name)
                self.forget(channel)
                continue
            self._watch(channel.id).checking = False

    def _ask(self, name: str, batch: Sequence[Channel]) -> dict[str, Checked]:
        """The platform's answers. Raises PlatformError, also for what no platform foresaw."""
        try:
            answers = self._platforms[name].check_many(batch)
        except PlatformError:
            raise
        except Exception as error:
            log.exception("A check of %s met something unforeseen", name)
            raise PlatformError(f"The check failed: {type(error).__name__}: {error}") from error
        return {channel.id: answers[channel.id] for channel in batch}

    def _judge(self, name: str, answers: Sequence[Checked]) -> None:
        """What the answers say of the platform itself."""
        errors = [answer for answer in answers if isinstance(answer, PlatformError)]
        if len(errors) < len(answers):
            self._rota.succeeded(name)
        else:
            self._rota.failed(name, errors[0], whole=False)

    def check(self, channel_id: str) -> Channel:
        """Ask the platform now, and record if that is wanted and allowed.

        Raises PlatformError without a healthy answer, ChannelNotFound.
        """
        channel = self._store.channels.get(channel_id)
        answer = self._ask_one(channel)
        channel = self._take(channel_id, answer, self._jitter())
        if isinstance(answer, PlatformError):
            raise answer
        return channel

    def _ask_one(self, channel: Channel) -> Checked:
        try:
            return self._ask(channel.platform, [channel])[channel.id]
        except PlatformError as error:
            return error

    def _take(self, channel_id: str, answer: Checked, jitter: float) -> Channel:
        """An answer for one channel. Raises ChannelNotFound."""
        watch = self._watch(channel_id)
        with watch.lock:
            channel = self._store.channels.get(channel_id)
            if isinstance(answer, PlatformError):
                self._note_failure(channel, watch, answer, jitter)
            elif self._commands.capturing(channel_id) is not None:
                self._note_metadata(channel, watch, answer, jitter)
            else:
                channel = self._note_answer(channel, watch, answer, jitter)
                if watch.live is not None and self._wanted(channel):
                    self._record(channel, watch, watch.live)
        self.announce(channel_id)
        return channel

    def _wanted(self, channel: Channel) -> bool:
        return (channel.enabled and not channel.paused
                and self._commands.capturing(channel.id) is None)

    def _interval_s(self, platform: str) -> float:
        return float(getattr(self._settings(), f"{platform}_interval"))

    def _again(self, channel: Channel, watch: Watch, jitter: float) -> None:
        watch.due_s = self._clock() + next_check_s(
            self._interval_s(channel.platform), watch.failures, jitter)

    def _note_failure(
        self, channel: Channel, watch: Watch, error: PlatformError, jitter: float
    ) -> None:
        """A check that failed: one `channel_error` per incident, and the next one later."""
        watch.failures += 1
        watch.trouble = error.trouble
        self._again(channel, watch, jitter)
        message = str(error)
        if channel.last_error != message or watch.failures == 1:
            self._store.channels.change(
                channel.id, durable=False, last_error=message, last_checked_at=utc_now())
            log.warning("%s: %s", channel.display_name, message)
        if watch.failures == 1:
            self._bus.publish("channel_error", {
                **about_channel(channel), "error": message, "reason": error.trouble.value})

    def _note_metadata(
        self, channel: Channel, watch: Watch, answer: Broadcast | Offline, jitter: float
    ) -> None:
        """The channel is being recorded: whether that is over is the recording's to say."""
        watch.failures, watch.trouble = 0, None
        self._again(channel, watch, jitter)
        watch.due_s = max(watch.due_s, self._clock() + RECORDED_EVERY_S)
        if isinstance(answer, Broadcast) and watch.live is not None:
            watch.live = replace(answer, id=watch.live.id, started_at=watch.live.started_at)
            self._commands.note(channel.id, watch.live)

    def _note_answer(
        self, channel: Channel, watch: Watch, answer: Broadcast | Offline, jitter: float
    ) -> Channel:
        """A healthy answer. A broadcast without an id of its own gets one that lasts until
        the platform says offline."""
        watch.failures, watch.trouble = 0, None
        self._again(channel, watch, jitter)
        if isinstance(answer, Broadcast) and answer.edge and answer.edge == channel.ended_edge:
            answer = Offline()
        watch.upcoming = isinstance(answer, Offline) and answer.upcoming_at is not None
        watch.skip = None
        if isinstance(answer, Offline):
            watch.live = None
            if channel.broadcast_id is None and channel.last_error is None:
                return self._store.channels.change(
                    channel.id, durable=False, last_checked_at=utc_now())
            return self._store.channels.change(
                channel.id, broadcast_id=None, live_since=None, stopped_broadcast_id=None,
                last_error=None, last_checked_at=utc_now())
        broadcast_id = answer.id or channel.broadcast_id or "live-" + secrets.token_hex(6)
        watch.live = replace(answer, id=broadcast_id)
        return self._store.channels.change(
            channel.id, broadcast_id=broadcast_id, ended_edge=None, last_error=None,
            live_since=channel.live_since or answer.started_at or utc_now(),
            last_checked_at=utc_now())

    def _record(self, channel: Channel, watch: Watch, broadcast: Broadcast) -> None:
        slots = Slots(self._commands.free_slots(), self._commands.disk_ok())
        watch.skip = why_not_record(channel, broadcast.id, slots)
        if watch.skip is None:
            try:
                self._commands.record(channel, broadcast)
            except RecorderError as error:
                log.info("%s is not recorded now: %s", channel.display_name, error)
                watch.skip = SkipReason.CONCURRENCY

    def over(self, channel_id: str, reason: EndReason | None, edge: str | None,
             error: str | None) -> None:
        """A recording of this channel is over (`reason` None: nothing was ever captured)."""
        watch = self._watch(channel_id)
        try:
            channel = self._store.channels.get(channel_id)
        except ChannelNotFound:
            self._drop(channel_id)
            return
        if reason is None:
            if error is not None:
                self._note_failure(channel, watch, PlatformError(error), self._jitter())
            return
        watch.due_s = self._clock() + 1.0
        if reason.by_request:
            self._store.channels.change(
                channel_id, stopped_broadcast_id=channel.broadcast_id)
            watch.skip = SkipReason.STOPPED
            return
        watch.live = None
        ended_edge = edge if reason is EndReason.STALLED else None
        self._store.channels.change(
            channel_id, broadcast_id=None, live_since=None, ended_edge=ended_edge)

    def state(self, channel: Channel) -> tuple[ChannelStatus, Reason | None]:
        """What the channel shows, and why: what keeps a live one from being recorded, what is
        wrong, or that it is announced."""
        watch = self._watch(channel.id)
        status = channel_status(
            channel, live=watch.live is not None,
            capturing=self._commands.capturing(channel.id), failed=watch.failures > 0)
        match status:
            case ChannelStatus.LIVE:
                return status, watch.skip
            case ChannelStatus.ERROR:
                return status, watch.trouble
            case ChannelStatus.OFFLINE if watch.upcoming:
                return status, UPCOMING
        return status, None

    def live(self, channel_id: str) -> Broadcast | None:
        return self._watch(channel_id).live

    def announce(self, channel_id: str) -> None:
        """Tell of the channel's status if it is another than the last one told."""
        try:
            channel = self._store.channels.get(channel_id)
        except ChannelNotFound:
            return
        watch = self._watch(channel_id)
        with self._telling:
            status, reason = self.state(channel)
            live = watch.live
            now = status, reason, live.title if live else None, live.category if live else None
            if watch.told == now:
                return
            watch.told = now
        self._bus.publish("channel_status", {
            **about_channel(channel), "status": status.value,
            "status_reason": str(reason) if reason else None,
            "title": live.title if live else None,
            "category": live.category if live else None,
            "live_since": iso(channel.live_since),
        })

    def soon(self, channel_id: str) -> None:
        """Check this channel in the next round (it is new or was changed)."""
        self._watch(channel_id).due_s = 0.0

    def reconsider(self) -> None:
        """The settings have changed: look at once at what they kept from being recorded, and
        at everything else no later than the present interval says."""
        now_s, jitter = self._clock(), self._jitter()
        for channel in self._store.channels.find_all():
            watch = self._watch(channel.id)
            if watch.skip not in (None, SkipReason.STOPPED):
                watch.due_s = 0.0
            else:
                watch.due_s = min(watch.due_s, now_s + next_check_s(
                    self._interval_s(channel.platform), watch.failures, jitter))

    def forget(self, channel: Channel) -> None:
        self._drop(channel.id)
        self._platforms[channel.platform].forget(channel.id)

    def _drop(self, channel_id: str) -> None:
        with self._lock:
            self._watches.pop(channel_id, None)

    def join(self, deadline_s: float) -> bool:
        end_s = time.monotonic() + deadline_s
        return all([pool.join(max(0.0, end_s - time.monotonic()))
                    for pool in self._pools.values()])

    def _watch(self, channel_id: str) -> Watch:
        with self._lock:
            return self._watches.setdefault(channel_id, Watch())
