"""Quotas, of all recordings and of a channel's: what is told of them, and room made under them.

A loop of its own looks at what recordings take, tells of states that changed and, where that
is wanted, deletes the oldest. Made by `Service`; asked by the supervisor before a recording
begins, and by the API. What it decides is in `rules`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import rules
from .config import Settings
from .errors import RecorderError
from .events import EventBus, about_channel
from .models import Channel, QuotaState
from .store import Store
from .workers import Worker

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
# Between tries where nothing (more) could be deleted.
RETRY_S = 60.0
# A disk may take its time for each file.
STEP_MAX_S = 300.0
# So many are looked at in a round, most of which may be on a disk that is away.
CANDIDATES_MAX = 1000
# Under which the state of the quota of all is kept.
ALL = ""


@dataclass(frozen=True)
class QuotaCommands:
    """What quotas ask of others. `captured`: bytes that active recordings have, by their ids.
    `remove` deletes a complete recording; raises RecorderError, OSError. `on_room`: a quota
    that was used up is so no longer."""

    captured: Callable[[], Mapping[str, int]]
    remove: Callable[[str], None]
    on_room: Callable[[], None]


@dataclass(frozen=True)
class Look:
    """What recordings took when it was looked, by channel id, and the channels that have a
    quota, by theirs."""

    used_bytes: Mapping[str, int] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)

    @property
    def quotas(self) -> dict[str, int]:
        return {channel.id: channel.quota_bytes for channel in self.channels.values()
                if channel.quota_bytes is not None}

    def used(self, channel_id: str) -> int:
        if channel_id == ALL:
            return sum(self.used_bytes.values())
        return self.used_bytes.get(channel_id, 0)


class Quotas:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, bus: EventBus,
        commands: QuotaCommands, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._commands = commands
        self._clock = clock
        self._stopping = threading.Event()
        self._states: dict[str, QuotaState] = {}
        self._look = Look()
        # Quotas under which no room can be made, and when that is tried again.
        self._stuck: dict[str, float] = {}
        self.worker = Worker("quotas", self.step, STEP_MAX_S)

    def start(self) -> None:
        """Look once before anyone asks. Raises sqlite3.Error."""
        self._states = self._store.quota_states.find_all()
        self._look = self._looked()
        self.worker.start()

    def stop(self) -> None:
        """Returns at once, idempotent."""
        self._stopping.set()
        self.worker.stop()

    def join(self, deadline_s: float) -> bool:
        return self.worker.join(deadline_s)

    # The loop.

    def step(self) -> float:
        """Look, tell, make room; the seconds until the next."""
        before = self._states
        self._look = self._looked()
        if self._settings().when_quota_reached == "delete-oldest":
            self._make_room()
        else:
            self._stuck = {}
        self._tell(before)
        relieved = [one for one, state in before.items() if state is QuotaState.EXCEEDED
                    and self._states.get(one) is not QuotaState.EXCEEDED]
        if relieved:
            self._commands.on_room()
        return LOOK_EVERY_S

    def _looked(self) -> Look:
        channels = {channel.id: channel for channel in self._store.channels.find_with_quota()}
        return Look(self._store.recordings.used_bytes(self._commands.captured()), channels)

    def _limit(self, one: str, look: Look) -> int | None:
        return self._settings().quota if one == ALL else look.quotas.get(one)

    def _state(self, one: str, look: Look) -> QuotaState:
        return rules.quota_state(
            look.used(one), self._limit(one, look), self._settings().quota_warning_percent)

    def _tell(self, before: Mapping[str, QuotaState]) -> None:
        """Once for each change, also over a restart: without a quota nothing is kept."""
        look = self._look
        known = {ALL, *look.channels, *before}
        states = {one: self._state(one, look) for one in known}
        for one in sorted(known):
            was = before.get(one, QuotaState.UNLIMITED)
            if states[one] is not was:
                self._publish(one, was, states[one], look)
        kept: dict[str, QuotaState] = {
            one: state for one, state in states.items()
            if state is not QuotaState.UNLIMITED}
        if kept != before:
            self._store.quota_states.keep(kept)
        self._states = kept

    def _publish(self, one: str, was: QuotaState, state: QuotaState, look: Look) -> None:
        limit, used = self._limit(one, look), look.used(one)
        channel = look.channels.get(one) or self._find_channel(one)
        if one != ALL and channel is None:
            # It was deleted, and its quota with it.
            return
        level = logging.WARNING if state in (
            QuotaState.WARNING, QuotaState.EXCEEDED) else logging.INFO
        log.log(level, "The quota of %s: %s, %s of %s bytes are used",
                channel.display_name if channel else "all recordings", state, used, limit)
        self._bus.publish("quota_status_changed", {
            **(about_channel(channel) if channel else {}),
            "scope": "channel" if channel else "global", "status": state.value,
            "previous_status": was.value, "used": used, "quota": limit,
            "used_percent": rules.quota_percent(used, limit)})

    def _find_channel(self, channel_id: str) -> Channel | None:
        return next((channel for channel in self._store.channels.find_all()
                     if channel.id == channel_id), None)

    # Room.

    def _make_room(self) -> None:
        over = rules.over_quotas(
            self._look.used_bytes, self._look.quotas, self._settings().quota)
        names = [one or ALL for one in over]
        self._stuck = {one: at_s for one, at_s in self._stuck.items() if one in names}
        for one in names:
            if self._clock() >= self._stuck.get(one, 0.0):
                self._delete_oldest(one)
                if self._over(one, self._look):
                    self._stuck[one] = self._clock() + RETRY_S
                else:
                    self._stuck.pop(one, None)

    def _over(self, one: str, look: Look) -> bool:
        return self._state(one, look) is QuotaState.EXCEEDED

    def _delete_oldest(self, one: str) -> None:
        """One after the other, until what is left is less than the quota."""
        for recording_id in self._candidates(one):
            if self._stopping.is_set() or not self._over(one, self._look):
                return
            try:
                self._commands.remove(recording_id)
            except (RecorderError, OSError) as error:
                log.warning("%s cannot be deleted for its quota: %s", recording_id, error)
                continue
            log.info("%s was deleted: it was the oldest, and the quota is reached",
                     recording_id)
            self._look = self._looked()

    def _candidates(self, one: str) -> Iterator[str]:
        yield from self._store.recordings.find_oldest(one or None, CANDIDATES_MAX)

    # What is known, from any thread, at once.

    def against(self, channel: Channel) -> str | None:
        """Why no recording of this channel is to begin, as a sentence; None when it may.

        Where the oldest are deleted room is on its way, unless there is nothing to delete.
        Raises sqlite3.Error.
        """
        if channel.quota_bytes is None and self._settings().quota is None:
            return None
        used_bytes = self._store.recordings.used_bytes(self._commands.captured())
        look = Look(used_bytes, {channel.id: channel})
        makes_room = self._settings().when_quota_reached == "delete-oldest"
        for one, name in ((channel.id, "The channel's quota"), (ALL, "The quota")):
            if not self._over(one, look):
                continue
            if not makes_room:
                return f"{name} is used up"
            if one in self._stuck:
                return f"{name} is used up, and nothing is left that may be deleted"
            self.worker.wake()
        return None

    def info(self) -> dict[str, Any]:
        """What the API's storage object says of quotas. Raises sqlite3.Error."""
        look = self._looked()
        return {
            "quota_status": self._state(ALL, look).value,
            "channel_quotas": {
                channel_id: {
                    "quota": limit, "used": look.used(channel_id),
                    "used_percent": rules.quota_percent(look.used(channel_id), limit),
                    "status": self._state(channel_id, look).value,
                } for channel_id, limit in look.quotas.items()},
        }
