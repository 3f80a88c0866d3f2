"""Two simulated days of polling 500 channels: how many requests, how soon, how evenly, and what
is kept of it. On a fake clock that goes on to the next turn."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Channel
from brlib.store import Store, open_store
from brlib.store.channels import Channels
from brlib.supervisor.rota import SPACING_S

from .checking import Loop, failure

HOUR_S = 3600.0
CHANNELS = 500
# The longest rest and its jitter.
REST_S = 660.0


class Remembered(Channels):
    """The list is read anew only for a new channel: the loop does so every few seconds, which
    would take longer than all that is tested here."""

    _all: list[Channel] | None = None

    def find_all(self) -> list[Channel]:
        if self._all is None:
            self._all = super().find_all()
        return self._all

    def add(self, channel: Channel, durable: bool = True) -> None:
        super().add(channel, durable)
        self._all = None


def remembering(path: Path) -> Store:
    store = open_store(path)
    return replace(store, channels=Remembered(store.database))


@dataclass
class Polled:
    """A loop that watches channels of one platform, and what was asked."""

    loop: Loop
    name: str

    def __post_init__(self) -> None:
        self.platform = self.loop.platforms[self.name]
        self.began_s = self.loop.clock.s

    def until(self, hours: float) -> None:
        """Until so many hours after the beginning."""
        clock, supervisor = self.loop.clock, self.loop.supervisor
        end_s = self.began_s + hours * HOUR_S
        # Rounds are a second apart; in those that are left out nothing could have happened.
        least_s = SPACING_S[self.name]
        while clock.s < end_s:
            supervisor.step()
            clock.s += max(least_s, min(supervisor.due_s() - clock.s, end_s - clock.s))

    def times(self, from_s: float = 0.0) -> list[float]:
        return [at_s for at_s, _ in self.platform.requests if at_s >= from_s]

    def asked_since(self, from_s: float) -> set[str]:
        return {name for at_s, names in self.platform.requests if at_s >= from_s
                for name in names}

    def in_a_minute(self) -> int:
        """The most requests within any minute."""
        times = self.times()
        most = first = 0
        for last, at_s in enumerate(times):
            while times[first] <= at_s - 60.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    def gaps_s(self) -> list[float]:
        """Between two checks of a channel, of all channels."""
        seen: dict[str, float] = {}
        gaps = []
        for at_s, names in self.platform.requests:
            gaps += [at_s - seen[name] for name in names if name in seen]
            seen.update(dict.fromkeys(names, at_s))
        return gaps


@pytest.fixture
def polled(tmp_path: Path) -> Iterator[Callable[..., Polled]]:
    loops: list[Loop] = []

    def make(name: str, batch: int | None = None, **options: Any) -> Polled:
        loop = Loop(tmp_path, store=remembering, **options)
        loops.append(loop)
        loop.jitter = random.Random(4).random
        loop.platforms[name].batch_size = batch or loop.platforms[name].batch_size
        loop.add_many(name, CHANNELS)
        return Polled(loop, name)

    yield make
    for loop in loops:
        loop.close()


def test_500_twitch_channels_cost_5_requests_a_cycle(polled: Callable[..., Polled]) -> None:
    one = polled("twitch")
    one.until(1.0)
    assert 590 <= len(one.times()) <= 610
    assert {len(names) for _, names in one.platform.requests} == {100}
    assert one.in_a_minute() <= 15
    assert len(one.asked_since(one.loop.clock.s - 40.0)) == CHANNELS
    # A tenth of jitter, and what a batch takes along.
    assert min(one.gaps_s()) >= 19.0 and max(one.gaps_s()) <= 38.0


def test_those_that_fail_by_themselves_ride_along(polled: Callable[..., Polled]) -> None:
    one = polled("twitch")
    one.until(0.05)
    one.platform.requests.clear()
    for number in range(0, 25):
        trouble = (Trouble.NOT_FOUND, Trouble.ERROR)[number % 2]
        one.platform.answers[f"c{number * 17:03}"] = failure(trouble=trouble)
    one.until(2.05)
    assert len(one.times()) <= 240 * 5 * 1.05
    asked = Counter(name for _, names in one.platform.requests for name in names)
    assert 2 <= asked["c000"] <= 10 < asked["c017"] <= 24 < 200 < asked["c001"]


@pytest.mark.parametrize("name, batch, hour, minute", [
    pytest.param("youtube", 1, 900, 15, id="youtube, a page each"),
    pytest.param("kick", 1, 1200, 20, id="kick without an app"),
    pytest.param("kick", 100, 300, 15, id="kick with an app"),
])
def test_no_platform_is_asked_more_than_it_allows(
    polled: Callable[..., Polled], name: str, batch: int, hour: int, minute: int
) -> None:
    one = polled(name, batch)
    one.until(1.0)
    assert hour * 0.97 <= len(one.times()) <= hour * 1.03
    assert one.in_a_minute() <= minute
    # Nobody starves: they take turns.
    asked = Counter(name for _, names in one.platform.requests for name in names)
    assert len(asked) == CHANNELS
    if batch == 1:
        assert max(asked.values()) - min(asked.values()) <= 1


def limited(retry_after_s: float) -> PlatformError:
    return failure("Too many", trouble=Trouble.RATE_LIMITED, retry_after_s=retry_after_s)


UNREACHABLE = failure("It cannot be reached")
FORBIDDEN = failure("HTTP 403", trouble=Trouble.BLOCKED)


@pytest.mark.parametrize("name, fault, tries, minutes, most", [
    pytest.param("twitch", UNREACHABLE, 1, 5, 5, id="twitch, 5 min"),
    pytest.param("twitch", UNREACHABLE, 1, 180, 23, id="twitch, 3 h"),
    pytest.param("twitch", FORBIDDEN, 1, 5, 5, id="twitch forbids, 5 min"),
    pytest.param("youtube", UNREACHABLE, 5, 5, 5, id="youtube, 5 min"),
    pytest.param("youtube", UNREACHABLE, 5, 180, 23, id="youtube, 3 h"),
    pytest.param("kick", FORBIDDEN, 1, 180, 23, id="kick forbids, 3 h"),
])
def test_an_outage_is_left_alone_and_followed_by_no_burst(
    polled: Callable[..., Polled], name: str, fault: PlatformError, tries: int, minutes: int,
    most: int,
) -> None:
    """`tries` until it shows that it is no one channel's failure, `most` during the rests."""
    one = polled(name)
    one.until(0.2)
    one.platform.fault = fault
    fails_s = one.loop.clock.s
    one.until(0.2 + minutes / 60)
    assert 3 <= len(one.times(fails_s)) <= most + tries
    one.platform.fault = None
    well_s = one.loop.clock.s
    one.until(0.2 + minutes / 60 + 0.25)
    after = one.times(well_s)
    assert after[0] <= well_s + REST_S
    assert one.in_a_minute() <= 60 / SPACING_S[name]
    if name == "twitch":
        # Everyone within seconds, in as many requests as ever: nobody waits for a rest of his.
        assert [at_s - after[0] for at_s in after[:5]] == pytest.approx(range(5), abs=0.01)
        assert len(one.asked_since(well_s) & one.asked_since(after[0])) == CHANNELS
        assert len([at_s for at_s in after if at_s < after[0] + 25.0]) == 5


@pytest.mark.parametrize("name", ["twitch", "kick", "youtube"])
def test_what_is_asked_for_is_kept_to(polled: Callable[..., Polled], name: str) -> None:
    one = polled(name)
    one.until(0.2)
    one.platform.fault = limited(900.0)
    asked_s = one.loop.clock.s
    one.until(0.2 + 0.1)
    one.platform.fault = None
    one.until(0.2 + 0.5)
    refused, tried, *others = one.times(asked_s)
    assert 900.0 <= tried - refused <= 900.0 + 2 * SPACING_S[name]
    assert others[0] - tried >= SPACING_S[name]


def two_days(one: Polled, cycle_hours: float) -> tuple[int, int]:
    """With an outage of five minutes, one of three hours, and a 429. The number of requests
    while all was well, and the bytes that two more cycles leave behind.

    `requests` are those of what is left of the second day then."""
    one.until(6.0)
    well = len(one.times())
    one.platform.fault = failure("It cannot be reached")
    one.until(6.0 + 5 / 60)
    one.platform.fault = None
    one.until(12.0)
    one.platform.fault = failure("HTTP 503")
    one.until(15.0)
    one.platform.fault = limited(600.0)
    one.until(15.25)
    one.platform.fault = None
    one.until(24.0)
    assert one.in_a_minute() <= 60 / SPACING_S[one.name]
    one.platform.requests.clear()
    one.loop.events()
    gc.collect()
    tracemalloc.start()
    try:
        one.until(24.0 + cycle_hours)
        one.platform.requests.clear()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        one.until(24.0 + 3 * cycle_hours)
        one.platform.requests.clear()
        gc.collect()
        added = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    one.until(48.0)
    return well, added


@pytest.mark.parametrize("name, batch, interval_s, cycle", [
    ("twitch", 100, 1200.0, 5), ("youtube", 1, 3600.0, 500)])
def test_two_days(
    polled: Callable[..., Polled], name: str, batch: int, interval_s: float, cycle: int
) -> None:
    """At a slower rhythm than by default, which `test_two_days_at_full_pace` keeps to."""
    one = polled(name, batch, **{f"{name}_interval": interval_s})
    well, added = two_days(one, 1.2 * interval_s / HOUR_S)
    assert well == pytest.approx(6 * HOUR_S / interval_s * cycle, rel=0.04)
    rest_s = 24 * HOUR_S - 3.6 * interval_s
    assert len(one.times()) == pytest.approx(rest_s / interval_s * cycle, rel=0.04)
    assert len(one.asked_since(one.loop.clock.s - 1.2 * interval_s)) == CHANNELS
    assert added < 32_000
    assert {one.loop.shows(c)[0] for c in one.loop.store.channels.find_all()} == {"offline"}


@pytest.mark.long
@pytest.mark.parametrize("name, batch, hour", [
    ("twitch", 100, 600), ("kick", 100, 300), ("kick", 1, 1200), ("youtube", 1, 900)])
def test_two_days_at_full_pace(
    polled: Callable[..., Polled], name: str, batch: int, hour: int
) -> None:
    one = polled(name, batch)
    well, added = two_days(one, CHANNELS / batch / hour * 1.2)
    assert well == pytest.approx(6 * hour, rel=0.03)
    assert len(one.times()) == pytest.approx(24 * hour - 3.6 * CHANNELS / batch, rel=0.03)
    assert added < 32_000


def test_the_store_hears_of_checks_seldom(polled: Callable[..., Polled]) -> None:
    one = polled("twitch")
    one.until(0.1)
    writes = count_writes(one.loop)
    one.until(0.9)
    assert writes == []
    one.until(1.2)
    assert len(writes) == CHANNELS
    channel = one.loop.store.channels.get(writes[0])
    checked_at = one.loop.supervisor.last_checked(channel)
    assert checked_at is not None and channel.last_checked_at is not None
    assert (one.loop.clock.now() - checked_at).total_seconds() < 60.0
    assert channel.last_checked_at < checked_at


def count_writes(loop: Loop) -> list[str]:
    writes: list[str] = []
    change = loop.store.channels.change

    def counted(channel_id: str, durable: bool = True, **changes: Any) -> Channel:
        writes.append(channel_id)
        return change(channel_id, durable, **changes)

    loop.store.channels.change = counted  # type: ignore[method-assign]
    return writes
