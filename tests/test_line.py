"""Who waits for a slot in the check loop: in which order they begin, and who ends for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib.models import Broadcast, Channel, EndReason

from .checking import Loop

Make = Callable[..., Loop]
PREEMPTED = EndReason.PREEMPTED


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Loop] = []

    def one(slots: int, **options: Any) -> Loop:
        made.append(Loop(tmp_path, **options))
        made[0].recorder.free = slots
        return made[0]
    yield one
    made[0].close()


def live(loop: Loop, name: str, priority: int = 0) -> Channel:
    """A channel that goes live now; it was checked."""
    loop.platforms["twitch"].answers[name] = Broadcast(f"b {name}")
    channel = loop.add("twitch", name, priority=priority)
    loop.supervisor.check(channel.id)
    return channel


def over(loop: Loop, channel: Channel, reason: EndReason = EndReason.ENDED) -> None:
    """As the recorder tells it: first that it is over, then its slot is free."""
    if reason is EndReason.ENDED:
        del loop.platforms["twitch"].answers[channel.name]
    loop.supervisor.over(channel.id, reason, None, None)
    del loop.recorder.begun[channel.id]
    loop.supervisor.step()


def recorded(loop: Loop) -> list[str]:
    return [name for name, _ in loop.recorder.recorded]


def test_who_waits_begins_at_once_in_order(make: Make) -> None:
    loop = make(1)
    first = live(loop, "first")
    for name, priority in (("low", -1), ("long", 0), ("short", 0), ("high", 5)):
        live(loop, name, priority)
        loop.clock.s += 1
    asked = len(loop.platforms["twitch"].requests)
    over(loop, first)
    # Nobody was asked again: what waits is known to be live.
    assert recorded(loop) == ["first", "high"]
    assert len(loop.platforms["twitch"].requests) <= asked + 1
    for name in ("high", "long", "short"):
        over(loop, next(c for c in loop.store.channels.find_all() if c.name == name))
    assert recorded(loop) == ["first", "high", "long", "short", "low"]


def test_nobody_slips_in_before_who_waits(make: Make) -> None:
    loop = make(1)
    first = live(loop, "first")
    waiting = live(loop, "waiting", 1)
    loop.supervisor.over(first.id, EndReason.STOPPED, None, None)
    del loop.recorder.begun[first.id]
    assert loop.shows(live(loop, "another")) == ("live", "concurrency")
    loop.supervisor.step()
    assert recorded(loop) == ["first", "waiting"]
    assert loop.shows(waiting) == ("starting", None)


def test_of_one_batch_the_highest_begins(make: Make) -> None:
    loop = make(1)
    for name, priority in (("low", 0), ("high", 3), ("mid", 2)):
        loop.platforms["twitch"].answers[name] = Broadcast(f"b {name}")
        loop.add("twitch", name, priority=priority)
    loop.run()
    assert recorded(loop) == ["high"]


@pytest.mark.parametrize("change", [{"enabled": False}, {"paused": True}, None])
def test_who_does_not_wait_any_more(change: dict[str, Any] | None, make: Make) -> None:
    loop = make(1)
    first, gone, left = live(loop, "first"), live(loop, "gone", 9), live(loop, "left")
    if change is not None:
        loop.store.channels.change(gone.id, **change)
    else:
        loop.store.channels.delete(gone.id)
        loop.supervisor.forget(gone)
    over(loop, first)
    assert recorded(loop) == ["first", "left"]
    assert loop.shows(left) == ("starting", None)


def test_without_preempt_what_runs_is_kept(make: Make) -> None:
    loop = make(1)
    live(loop, "low")
    high = live(loop, "high", 9)
    loop.run(120)
    assert loop.recorder.ended == [] and loop.shows(high) == ("live", "concurrency")


def test_a_higher_priority_ends_the_lowest_once(make: Make) -> None:
    loop = make(2, preempt=True)
    old, young = live(loop, "old"), live(loop, "young")
    high = live(loop, "high", 1)
    # However long its file takes, one is enough.
    loop.run(200)
    assert loop.recorder.ended == [(young.id, PREEMPTED)]
    over(loop, young, PREEMPTED)
    assert recorded(loop) == ["old", "young", "high"]
    # The one that ended waits, and does not preempt back.
    loop.run(200)
    assert loop.shows(young) == ("live", "concurrency")
    assert len(loop.recorder.ended) == 1
    over(loop, high)
    assert recorded(loop)[-1] == "young" and loop.shows(old) == ("starting", None)


def test_two_end_for_two(make: Make) -> None:
    loop = make(2, preempt=True)
    low, mid = live(loop, "low"), live(loop, "mid", 1)
    live(loop, "high", 2)
    live(loop, "higher", 3)
    loop.run(100)
    assert loop.recorder.ended == [(low.id, PREEMPTED), (mid.id, PREEMPTED)]
    over(loop, mid, PREEMPTED)
    over(loop, low, PREEMPTED)
    assert recorded(loop)[2:] == ["higher", "high"]


@pytest.mark.parametrize("priority", [0, -1])
def test_nobody_ends_for_an_equal_or_lower_one(priority: int, make: Make) -> None:
    loop = make(1, preempt=True)
    live(loop, "first")
    live(loop, "second", priority)
    loop.run(100)
    assert loop.recorder.ended == []


def test_one_that_cannot_be_opened_ends_others_once(make: Make) -> None:
    loop = make(1, preempt=True)
    low = live(loop, "low")
    high = live(loop, "high", 1)
    over(loop, low, PREEMPTED)
    assert recorded(loop) == ["low", "high"]
    loop.supervisor.over(high.id, None, None, "It cannot be opened")
    del loop.recorder.begun[high.id]
    loop.run(2)
    assert recorded(loop)[2:] == ["low"]
    loop.run(2000)
    assert loop.recorder.ended == [(low.id, PREEMPTED)]
