"""The check loop: who is live, and what follows from that.

One thread hands channels whose turn it is to a few check threads, in batches where the
platform takes them. Commanded by the service and the watchlist; what it knows it tells on the
bus (`board`, `answers`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import chain

from ..config import Settings
from ..errors import PlatformError, Trouble
from ..events import EventBus
from ..models import Broadcast, Channel, ChannelStatus, EndReason, SkipReason
from ..platforms import Checked, Platform
from ..rules import next_check_s
from ..store import Store
from ..workers import Pool
from .answers import Answers
from .base import AT_ONCE_S, CheckPool, Clocks, Commands, Heard, Reason, Watches
from .board import Board
from .checks import Checks
from .rota import Rota
from .wishes import Wishes

IDLE_S = 1.0
# Changes are told to us; what another process put into the store is seen then.
LISTED_S = 5.0
# What may be over once there is a login, or another one.
OF_LOGIN = (Trouble.LOGIN_EXPIRED, Trouble.RESTRICTED, Trouble.BLOCKED)


class Supervisor:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, bus: EventBus,
        platforms: dict[str, Platform], commands: Commands, clocks: Clocks = Clocks(),
        pools: Callable[[str, int], CheckPool] = Pool,
    ) -> None:
        """`pools` makes the threads that checks run in: `pools(name, size)`."""
        self._settings = settings
        self._store = store
        self._platforms = platforms
        self._commands = commands
        self._clock = clocks.clock
        self._jitter = clocks.jitter
        self._watches = Watches()
        self._listed: dict[str, list[Channel]] = {}
        self._listed_until_s = -math.inf
        self._board = Board(store, bus, self._watches, commands.capturing)
        self.wishes = Wishes(settings, clocks.now)
        self._answers = Answers(
            settings, store, bus, platforms, commands, self._watches, clocks, self.wishes)
        self._rota = Rota(platforms, store, clocks)
        self._checks = Checks(
            platforms, self._rota, self._watches, self._take, self.forget, clocks, pools)

    # The loop.

    def step(self) -> float:
        """One round: hand out what is due; the seconds until the next round."""
        self._checks.give_up_lost()
        if self._clock() >= self._listed_until_s:
            self._list_channels()
            self._follow_rules()
        if self._commands.free_slots() > 0:
            for channel_id in self._answers.fill():
                self._board.announce(channel_id)
        if self.due_s() <= self._clock():
            for name, channels in self._listed.items():
                self._hand_out(name, channels)
        return IDLE_S

    def due_s(self) -> float:
        """When, by the supervisor's clock, the next channel's turn comes."""
        return self._watches.due_s()

    def _list_channels(self) -> None:
        now_s = self._clock()
        # Before the look: who changes a channel meanwhile is seen in the next round.
        self._listed_until_s = now_s + LISTED_S
        known = self._watches.ids()
        listed: defaultdict[str, list[Channel]] = defaultdict(list)
        for channel in self._store.channels.find_all():
            if self._watches.find(channel.id) is None:
                # After those that someone has just added or changed.
                self._watches.get(channel.id).due_s = now_s
            known.discard(channel.id)
            listed[channel.platform].append(channel)
        self._listed = dict(listed)
        self._watches.drop(known)

    def _follow_rules(self) -> None:
        """End what is not to go on, and look again at what the clock now allows."""
        for channel in chain.from_iterable(self._listed.values()):
            watch = self._watches.get(channel.id)
            if self._commands.capturing(channel.id) is not None:
                if (reason := self.wishes.end_of(channel, watch.live)) is not None:
                    self._commands.end(channel.id, reason)
            elif watch.skip == SkipReason.SCHEDULE and self.wishes.open_now(channel):
                watch.due_s = AT_ONCE_S

    def _hand_out(self, name: str, channels: list[Channel]) -> None:
        interval_s = self._interval_s(name)
        while self._checks.free(name):
            batch = self._rota.batch(name, channels, self._watches, interval_s, self._asks)
            if not batch or not self._checks.start(name, batch, interval_s):
                return

    def _asks(self, channel: Channel) -> bool:
        """Whether to ask the platform at all. A recording looks after itself; what it cannot
        see is that the title changed."""
        if channel.platform == "url" and self._commands.capturing(channel.id) is not None:
            return False
        return channel.enabled and not channel.paused

    def _interval_s(self, platform: str) -> float:
        return float(getattr(self._settings(), f"{platform}_interval"))

    def check(self, channel_id: str) -> Channel:
        """Ask the platform now, out of turn, and record if that is wanted and allowed. Counts
        as a request like any other; while the platform asked us to wait, none is made.

        Raises PlatformError without a healthy answer, ChannelNotFound.
        """
        answer, heard = self._checks.one(self._store.channels.get(channel_id))
        self._take(channel_id, answer, heard)
        if isinstance(answer, PlatformError):
            raise answer
        return self._store.channels.get(channel_id)

    def _take(self, channel_id: str, answer: Checked, heard: Heard) -> None:
        """Raises ChannelNotFound, sqlite3.Error."""
        if self._answers.take(channel_id, answer, heard):
            self._board.announce(channel_id)

    # What others tell of.

    def over(self, channel_id: str, reason: EndReason | None, edge: str | None,
             error: str | None, trouble: Trouble = Trouble.ERROR) -> None:
        """A recording of this channel is over (`reason` None: nothing was ever captured, and
        `trouble` is why it could not be)."""
        self._answers.over(channel_id, reason, edge, error, trouble)

    def soon(self, channel_id: str) -> None:
        """Check this channel in the next round (it is new or was changed)."""
        watch = self._watches.get(channel_id)
        watch.due_s, watch.quiet = AT_ONCE_S, False
        self._listed_until_s = -math.inf

    def reconsider(self) -> None:
        """The settings have changed: look at once at what they kept from being recorded, and
        at everything else no later than the present interval says."""
        now_s, jitter = self._clock(), self._jitter()
        for channel in self._store.channels.find_all():
            watch = self._watches.get(channel.id)
            if watch.skip not in (None, SkipReason.STOPPED):
                watch.due_s = AT_ONCE_S
            else:
                watch.due_s = min(watch.due_s, now_s + next_check_s(
                    self._interval_s(channel.platform), watch.failures, jitter, watch.trouble))

    def awoke(self) -> None:
        """The machine has slept, and our clock with it: it is everyone's turn."""
        for channel_id in self._watches.ids():
            if (watch := self._watches.find(channel_id)) is not None:
                watch.due_s = AT_ONCE_S

    @property
    def channels(self) -> int:
        """How many are watched; asks nobody."""
        return len(self._watches)

    def retry(self, platform: str) -> None:
        """A login for this platform is there, or another one: look at once at what it may
        have been missing for."""
        for channel in self._store.channels.find_all():
            watch = self._watches.get(channel.id)
            refused = watch.refused
            if channel.platform == platform and (watch.trouble in OF_LOGIN or refused is not None):
                watch.failures, watch.due_s = 0, AT_ONCE_S
                if refused is not None:
                    watch.refused = replace(refused, again_s=-math.inf)

    def forget(self, channel: Channel) -> None:
        self._watches.drop([channel.id])
        self._platforms[channel.platform].forget(channel.id)
        self._listed_until_s = -math.inf

    def stop(self) -> None:
        """Take no more answers; returns at once, idempotent."""
        self._checks.stop()

    def join(self, deadline_s: float) -> bool:
        return self._checks.join(deadline_s)

    # What is known.

    def state(self, channel: Channel) -> tuple[ChannelStatus, Reason | None]:
        """What the channel shows, and why: a SkipReason, a Trouble, or UPCOMING."""
        return self._board.state(channel)

    def live(self, channel_id: str) -> Broadcast | None:
        return self._board.live(channel_id)

    def last_checked(self, channel: Channel) -> datetime | None:
        """When it was asked for last; the channel's own field is brought up to date seldom."""
        return self._answers.last_checked(channel)

    def problems(self) -> list[str]:
        """Platforms that are not asked now, and checks that do not come back."""
        return self._rota.problems() + self._checks.problems()

    def announce(self, channel_id: str) -> None:
        """Tell of the channel's status if it is another than the last one told; it may be
        new, or its recording may have begun."""
        if self._commands.capturing(channel_id):
            self._answers.opened(channel_id)
        self._listed_until_s = -math.inf
        self._board.announce(channel_id)
