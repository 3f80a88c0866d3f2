"""A check loop for tests: real store and bus, and platforms, recorder, clock and threads that
do as they are told."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from brlib.config import Settings
from brlib.errors import PlatformError
from brlib.events import EventBus
from brlib.models import Broadcast, Channel, EndReason, Event, new_id
from brlib.platforms import Address, Checked, Offline, Opened, Profile
from brlib.store import Store, open_store
from brlib.supervisor import Clocks, CheckPool, Commands, Supervisor

BATCHES = {"twitch": 100, "kick": 1, "youtube": 1, "url": 1}


class Clock:
    """Monotonic seconds and the wall clock, which go on only when told."""

    def __init__(self) -> None:
        self.s = 1000.0
        self.started = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.started + timedelta(seconds=self.s)


class FakePlatform:
    """Answers by channel name; everyone else is offline. `fault` fails whole requests; `fresh` is
    how it was asked last."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.batch_size = BATCHES[name]
        self.answers: dict[str, Checked] = {}
        self.fault: Exception | None = None
        self.silent_on: set[str] = set()
        self.requests: list[tuple[float, tuple[str, ...]]] = []
        self.forgotten: list[str] = []
        self.fresh = False
        self.meanwhile: Callable[[], object] = lambda: None
        self._clock = clock

    def check_many(
        self, channels: Sequence[Channel], fresh: bool = False
    ) -> Mapping[str, Checked]:
        self.fresh = fresh
        self.requests.append((self._clock.s, tuple(channel.name for channel in channels)))
        self.meanwhile()
        if self.fault is not None:
            raise self.fault
        return {channel.id: self.answers.get(channel.name, _OFFLINE) for channel in channels
                if channel.name not in self.silent_on}

    def check(self, channel: Channel) -> Broadcast | None:
        raise AssertionError("the loop asks in batches")

    def open(self, channel: Channel) -> Opened | None:
        raise AssertionError("the recorder opens")

    def address(self, name: str) -> Address:
        return Address(name, name, f"https://{self.name}.test/{name}")

    def profile(self, channel: Channel) -> Profile:
        return Profile()

    def forget(self, channel_id: str) -> None:
        self.forgotten.append(channel_id)

    def close(self) -> None:
        """There is nothing to give back."""


_OFFLINE = Offline()


class Inline:
    """A pool without threads: a check is over before the next begins."""

    free = 1

    def submit(self, name: str, task: Callable[[], None]) -> bool:
        task()
        return True

    def join(self, deadline_s: float) -> bool:
        return True


class Held:
    """A pool whose tasks run when the test says so."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.tasks: list[Callable[[], None]] = []

    @property
    def free(self) -> int:
        return self.size - len(self.tasks)

    def submit(self, name: str, task: Callable[[], None]) -> bool:
        self.tasks.append(task)
        return True

    def finish(self, position: int = 0) -> None:
        self.tasks.pop(position)()

    def join(self, deadline_s: float) -> bool:
        return not self.tasks


class FakeRecorder:
    """What it was asked to record, and what of that has a first segment (`begun`)."""

    def __init__(self) -> None:
        self.begun: dict[str, bool] = {}
        self.recorded: list[tuple[str, str | None]] = []
        self.notes: list[tuple[str, str | None, str | None]] = []
        self.free = 3
        self.disk_ok = True
        self.over_quota: str | None = None
        self.began: defaultdict[str, datetime] = defaultdict(self._next_moment)
        self.refuses: Exception | None = None
        self.ended: list[tuple[str, EndReason]] = []

    def _next_moment(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.began))

    def record(self, channel: Channel, broadcast: Broadcast) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.recorded.append((channel.name, broadcast.id))
        self.begun[channel.id] = False
        self.began.pop(channel.id, None)
        self.began[channel.id] = self._next_moment()

    def note(self, channel_id: str, broadcast: Broadcast) -> None:
        self.notes.append((channel_id, broadcast.title, broadcast.category))

    def commands(self) -> Commands:
        return Commands(
            record=self.record, capturing=self.begun.get, note=self.note,
            free_slots=lambda: self.free - len(self.begun), disk_ok=lambda channel: self.disk_ok,
            running=lambda: [(f"rec {one}", one, self.began[one]) for one in self.begun],
            over_quota=lambda channel: self.over_quota,
            end=lambda channel_id, reason: self.ended.append((channel_id, reason)))


class Loop:
    """A supervisor on a store in `directory`, stepped by hand."""

    def __init__(
        self, directory: Path, pools: Callable[[str, int], CheckPool] = lambda *_: Inline(),
        store: Callable[[Path], Store] = open_store, **options: Any,
    ) -> None:
        self.clock = Clock()
        self.settings = replace(Settings(), **options)
        self.store = store(directory / "store.db")
        self.bus = EventBus()
        self.jitter: Callable[[], float] = lambda: 0.5
        self._pools = pools
        self._numbers = itertools.count()
        self._subscription = self.bus.subscribe()
        self.start()

    def start(self) -> None:
        """Also again, on the same store: a restart."""
        self.platforms = {name: FakePlatform(name, self.clock) for name in BATCHES}
        self.recorder = FakeRecorder()
        self.supervisor = Supervisor(
            lambda: self.settings, self.store, self.bus, dict(self.platforms),
            self.recorder.commands(),
            Clocks(lambda: self.clock.s, self.clock.now, lambda: self.jitter()), self._pools)

    def add(self, platform: str, name: str, **options: Any) -> Channel:
        channel = Channel(
            id=new_id("ch"), platform=platform, name=name, display_name=name,
            url=f"https://{platform}.test/{name}", quality="source", enabled=True,
            created_at=self.clock.now() + timedelta(milliseconds=next(self._numbers)))
        channel = replace(channel, **options)
        self.store.channels.add(channel, durable=False)
        self.supervisor.announce(channel.id)
        return channel

    def add_many(self, platform: str, count: int) -> list[Channel]:
        return [self.add(platform, f"c{number:03}") for number in range(count)]

    def run(self, seconds: float = 0.0) -> None:
        """A round now, and one each second until so many have passed."""
        self.supervisor.step()
        end_s = self.clock.s + seconds
        while self.clock.s + 1.0 <= end_s:
            self.clock.s += 1.0
            self.supervisor.step()

    def asked(self, platform: str) -> list[tuple[str, ...]]:
        """Who was asked for since the last look, request by request."""
        requests = self.platforms[platform].requests
        asked = [names for _, names in requests]
        requests.clear()
        return asked

    def get(self, channel: Channel) -> Channel:
        return self.store.channels.get(channel.id)

    def shows(self, channel: Channel) -> tuple[str, str | None]:
        status, reason = self.supervisor.state(self.get(channel))
        return status.value, str(reason) if reason else None

    def events(self, type: str = "") -> list[Event]:
        """What was told since the last look."""
        found = []
        while (event := self._subscription.get(0.0)) is not None:
            found.append(event)
        return [event for event in found if event.type == type or not type]

    def close(self) -> None:
        assert self.supervisor.join(5.0)
        self.store.close()


def failure(message: str = "It does not answer", **options: Any) -> PlatformError:
    return PlatformError(message, **options)
