"""The check loop: whose turn it is, who is live, and what follows from that.

One thread hands due channels to a few check threads. A failed check never means offline;
what a channel shows changes only by healthy answers. Commanded by the service; tells of
`channel_status` and `channel_error`.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from .config import Settings
from .errors import ChannelNotFound, PlatformError, RecorderError
from .events import EventBus, about_channel
from .models import Broadcast, Channel, ChannelStatus, EndReason, SkipReason, iso, utc_now
from .platforms import Platform
from .rules import Slots, channel_status, next_check_s, why_not_record
from .store import Store
from .workers import Pool

log = logging.getLogger(__name__)

CHECKERS = 8
IDLE_S = 1.0


@dataclass
class Watch:
    """What is known of one channel right now."""

    due_s: float = 0.0
    failures: int = 0
    checking: bool = False
    live: Broadcast | None = None
    skip: SkipReason | None = None
    told: tuple[ChannelStatus, SkipReason | None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Commands:
    """What the supervisor asks of the recorder."""

    record: Callable[[Channel, Broadcast], object]
    capturing: Callable[[str], bool | None]
    free_slots: Callable[[], int]
    disk_ok: Callable[[], bool]


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
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._pool = Pool("check", CHECKERS)
        for channel in store.channels.find_all():
            self._watch(channel.id)

    def step(self) -> float:
        """One round: hand out what is due; the seconds until the next round."""
        now_s = self._clock()
        for channel in self._store.channels.find_all():
            watch = self._watch(channel.id)
            if watch.checking or watch.due_s > now_s or not self._wanted(channel):
                continue
            watch.checking = True
            if not self._pool.submit(f"check-{channel.id}", partial(self._due, channel)):
                watch.checking = False
                break
        return IDLE_S

    def _wanted(self, channel: Channel) -> bool:
        """Whether to ask the platform at all: a recording looks after itself."""
        return (channel.enabled and not channel.paused
                and self._commands.capturing(channel.id) is None)

    def _due(self, channel: Channel) -> None:
        try:
            self.check(channel.id)
        except PlatformError as error:
            log.debug("%s: %s", channel.display_name, error)
        except ChannelNotFound:
            log.debug("%s was deleted while it was being checked", channel.display_name)
        finally:
            self._watch(channel.id).checking = False

    def check(self, channel_id: str) -> Channel:
        """Ask the platform now, and record if that is wanted and allowed.

        Raises PlatformError without a healthy answer, ChannelNotFound.
        """
        watch = self._watch(channel_id)
        with watch.lock:
            channel = self._store.channels.get(channel_id)
            try:
                broadcast = self._ask(channel)
            except PlatformError as error:
                self._note_failure(channel, watch, str(error))
                raise
            channel = self._note_answer(channel, watch, broadcast)
            if watch.live is not None and self._wanted(channel):
                self._record(channel, watch, watch.live)
        self.announce(channel_id)
        return channel

    def _ask(self, channel: Channel) -> Broadcast | None:
        """The platform's answer. Raises PlatformError, also for what no platform foresaw."""
        try:
            return self._platforms[channel.platform].check(channel)
        except PlatformError:
            raise
        except Exception as error:
            log.exception("%s: the check met something unforeseen", channel.display_name)
            raise PlatformError(f"The check failed: {type(error).__name__}: {error}") from error

    def _interval_s(self, channel: Channel) -> float:
        return float(getattr(self._settings(), f"{channel.platform}_interval"))

    def _note_failure(self, channel: Channel, watch: Watch, message: str) -> None:
        """A check that failed: one `channel_error` per incident, and the next one later."""
        watch.failures += 1
        watch.due_s = self._clock() + next_check_s(
            self._interval_s(channel), watch.failures, self._jitter())
        if channel.last_error != message or watch.failures == 1:
            self._store.channels.change(
                channel.id, durable=False, last_error=message, last_checked_at=utc_now())
            log.warning("%s: %s", channel.display_name, message)
        if watch.failures == 1:
            self._bus.publish("channel_error", {**about_channel(channel), "error": message})
        self.announce(channel.id)

    def _note_answer(
        self, channel: Channel, watch: Watch, broadcast: Broadcast | None
    ) -> Channel:
        """A healthy answer. A broadcast without an id of its own gets one that lasts until
        the platform says offline."""
        watch.failures = 0
        watch.due_s = self._clock() + next_check_s(
            self._interval_s(channel), 0, self._jitter())
        if broadcast is not None and broadcast.edge and broadcast.edge == channel.ended_edge:
            broadcast = None
        watch.live, watch.skip = broadcast, None
        if broadcast is None:
            if channel.broadcast_id is None and channel.last_error is None:
                return self._store.channels.change(
                    channel.id, durable=False, last_checked_at=utc_now())
            return self._store.channels.change(
                channel.id, broadcast_id=None, live_since=None, stopped_broadcast_id=None,
                last_error=None, last_checked_at=utc_now())
        broadcast_id = broadcast.id or channel.broadcast_id or "live-" + secrets.token_hex(6)
        watch.live = Broadcast(broadcast_id, broadcast.title, broadcast.category,
                               broadcast.viewers, broadcast.started_at, broadcast.edge)
        return self._store.channels.change(
            channel.id, broadcast_id=broadcast_id, ended_edge=None, last_error=None,
            live_since=channel.live_since or broadcast.started_at or utc_now(),
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
            return
        if reason is None:
            if error is not None:
                self._note_failure(channel, watch, error)
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

    def state(self, channel: Channel) -> tuple[ChannelStatus, SkipReason | None]:
        """What the channel shows."""
        watch = self._watch(channel.id)
        status = channel_status(
            channel, live=watch.live is not None,
            capturing=self._commands.capturing(channel.id), failed=watch.failures > 0)
        return status, watch.skip if status is ChannelStatus.LIVE else None

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
            status, reason = now = self.state(channel)
            if watch.told == now:
                return
            watch.told = now
        self._bus.publish("channel_status", {
            **about_channel(channel), "status": status.value,
            "status_reason": reason.value if reason else None,
            "title": watch.live.title if watch.live else None,
            "live_since": iso(channel.live_since),
        })

    def soon(self, channel_id: str) -> None:
        """Check this channel in the next round (it is new or was changed)."""
        self._watch(channel_id).due_s = 0.0

    def reconsider(self) -> None:
        """The settings have changed: look at once at what they kept from being recorded, and
        at everything else no later than the present interval says."""
        now_s = self._clock()
        for channel in self._store.channels.find_all():
            watch = self._watch(channel.id)
            if watch.skip not in (None, SkipReason.STOPPED):
                watch.due_s = 0.0
            else:
                watch.due_s = min(watch.due_s, now_s + next_check_s(
                    self._interval_s(channel), watch.failures, self._jitter()))

    def forget(self, channel: Channel) -> None:
        with self._lock:
            self._watches.pop(channel.id, None)
        self._platforms[channel.platform].forget(channel.id)

    def join(self, deadline_s: float) -> bool:
        return self._pool.join(deadline_s)

    def _watch(self, channel_id: str) -> Watch:
        with self._lock:
            return self._watches.setdefault(channel_id, Watch())
