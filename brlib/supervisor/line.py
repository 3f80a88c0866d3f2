"""Who waits for a slot to record in, and who gives one up for them.

Kept by `answers`, which begins what is next as soon as a slot is free.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..config import Settings
from ..models import Channel, EndReason
from ..rules import Running, Waiting, to_preempt
from ..store import Store
from .base import Commands

log = logging.getLogger(__name__)


class Line:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, commands: Commands,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._commands = commands
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, Waiting] = {}
        # Recordings that were told to end, and for which channels.
        self._ending: dict[str, str] = {}

    def wait(self, channel: Channel) -> None:
        """A channel takes its place, or keeps it."""
        with self._lock:
            self._waiting[channel.id] = self._place(channel)

    def leave(self, channel_id: str) -> None:
        with self._lock:
            self._waiting.pop(channel_id, None)

    def find_next(self) -> list[str]:
        """Ids of the channels that wait, the first first."""
        with self._lock:
            return [one.channel_id for one in sorted(
                self._waiting.values(), key=lambda one: one.rank)]

    def ahead(self, channel: Channel) -> int:
        """How many of those that wait come before a channel."""
        with self._lock:
            rank = self._place(channel).rank
            return sum(one.rank < rank for one in self._waiting.values())

    def preempt(self, channel: Channel) -> None:
        """End a recording for a channel that waits, where that is wanted: one, until that is
        over."""
        if not self._settings().preempt:
            return
        priorities = {one.id: one.priority for one in self._store.channels.find_all()}
        with self._lock:
            present = self._commands.running()
            there = {recording_id for recording_id, _, _ in present}
            self._ending = {recording_id: channel_id for recording_id, channel_id
                            in self._ending.items() if recording_id in there}
            if channel.id in self._ending.values():
                return
            running = [
                Running(recording_id, channel_id, priorities[channel_id], started_at,
                        recording_id in self._ending)
                for recording_id, channel_id, started_at in present if channel_id in priorities]
            chosen = to_preempt(running, channel.priority)
            if chosen is None:
                return
            self._ending[chosen.recording_id] = channel.id
        log.info("%s ends: %s has a higher priority and needs its slot",
                 chosen.recording_id, channel.display_name)
        self._commands.end(chosen.channel_id, EndReason.PREEMPTED)

    def _place(self, channel: Channel) -> Waiting:
        """Its priority may have changed; since when it waits has not."""
        before = self._waiting.get(channel.id)
        since_s = before.since_s if before is not None else self._clock()
        return Waiting(channel.id, channel.priority, since_s)
