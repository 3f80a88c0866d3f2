"""Requests that are out while others go on: overtaken, lost, one that tries for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Broadcast, EndReason
from brlib.supervisor.checks import LOST_S

from .checking import Held, Loop, failure

LIVE = Broadcast(id="b1", title="One")


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Loop, dict[str, Held]]]:
    """With checks that are out until the test lets them come back, by platform."""
    pools: dict[str, Held] = {}

    def make(name: str, size: int) -> Held:
        return pools.setdefault(name.removeprefix("check-"), Held(size))

    one = Loop(tmp_path, pools=make)
    yield one, pools
    for pool in pools.values():
        pool.tasks.clear()
    one.close()


def test_while_one_tries_nobody_else_is_asked_for(held: tuple[Loop, dict[str, Held]]) -> None:
    loop, pools = held
    loop.add_many("twitch", 300)
    pool = pools["twitch"]
    loop.run(5.0)
    # Two threads, two batches: both fail, and that is one failure.
    assert len(pool.tasks) == 2
    loop.platforms["twitch"].fault = failure()
    pool.finish()
    pool.finish()
    loop.run(29.0)
    assert pool.tasks == []
    loop.run(20.0)
    assert len(pool.tasks) == 1
    loop.platforms["twitch"].fault = None
    pool.finish()
    loop.run(2.0)
    assert len(pool.tasks) == 2


def test_nobody_is_asked_for_twice_at_once(held: tuple[Loop, dict[str, Held]]) -> None:
    loop, pools = held
    loop.add("twitch", "one")
    loop.run(120.0)
    assert len(pools["twitch"].tasks) == 1
    pools["twitch"].finish()
    loop.run(1.0)
    assert len(pools["twitch"].tasks) == 0
    loop.run(31.0)
    assert len(pools["twitch"].tasks) == 1


def stop(loop: Loop, channel_id: str) -> None:
    loop.recorder.begun.clear()
    loop.supervisor.over(channel_id, EndReason.ENDED, None, None)


def look(loop: Loop, channel_id: str) -> None:
    loop.platforms["twitch"].answers.clear()
    loop.supervisor.check(channel_id)
    loop.platforms["twitch"].answers["one"] = LIVE


@pytest.mark.parametrize("later", [stop, look])
def test_an_answer_that_is_overtaken_changes_nothing(
    held: tuple[Loop, dict[str, Held]], later: Callable[[Loop, str], None]
) -> None:
    loop, pools = held
    channel = loop.add("twitch", "one")
    loop.run()
    loop.clock.s += 5.0
    loop.platforms["twitch"].answers["one"] = LIVE
    later(loop, channel.id)
    pools["twitch"].finish()
    assert loop.recorder.recorded == [] and loop.shows(channel) == ("offline", None)
    # It is not out any more.
    loop.run(31.0)
    assert len(pools["twitch"].tasks) == 1


def test_a_click_while_a_batch_is_out(held: tuple[Loop, dict[str, Held]]) -> None:
    loop, pools = held
    channel = loop.add("twitch", "one")
    loop.run()
    loop.platforms["twitch"].answers["one"] = LIVE
    loop.supervisor.check(channel.id)
    pools["twitch"].finish()
    assert loop.recorder.recorded == [("one", "b1")]


def test_a_check_that_does_not_come_back(held: tuple[Loop, dict[str, Held]]) -> None:
    loop, pools = held
    stuck, other = loop.add("url", "stuck"), loop.add("url", "other")
    loop.run()
    pools["url"].finish(1)
    loop.run(LOST_S - 30.0)
    assert loop.events("channel_error") == []
    loop.run(40.0)
    assert [e.data["channel_id"] for e in loop.events("channel_error")] == [stuck.id]
    assert loop.supervisor.problems() == [
        "A check of url for 1 channels does not come back"]
    # It is not asked for again and costs no further thread; the others are.
    assert len(pools["url"].tasks) == 2
    for _ in range(1200):
        while len(pools["url"].tasks) > 1:
            pools["url"].finish(1)
        loop.run(1.0)
    assert {names for names in loop.asked("url")} == {("other",)}
    # It does come back.
    pools["url"].finish(0)
    assert loop.shows(stuck) == ("offline", None) and loop.supervisor.problems() == []
    loop.run(40.0)
    assert len(pools["url"].tasks) == 2 and loop.get(other).last_error is None


def test_one_that_tries_and_does_not_come_back_blocks_nobody(
    held: tuple[Loop, dict[str, Held]]
) -> None:
    loop, pools = held
    loop.add_many("twitch", 200)
    loop.platforms["twitch"].fault = failure()
    loop.run()
    pools["twitch"].finish()
    loop.platforms["twitch"].fault = None
    loop.run(35.0)
    assert len(pools["twitch"].tasks) == 1
    loop.run(LOST_S + 70.0)
    assert len(pools["twitch"].tasks) == 2
    pools["twitch"].finish(1)
    loop.run(35.0)
    assert len(loop.asked("twitch")[-1]) == 100


def test_a_person_whose_check_does_not_come_back_blocks_nobody(
    held: tuple[Loop, dict[str, Held]]
) -> None:
    loop, pools = held
    one = loop.add("youtube", "one")
    loop.platforms["youtube"].fault = failure(trouble=Trouble.BLOCKED)
    loop.run()
    pools["youtube"].finish()
    seen: list[tuple[int, list[str]]] = []

    def hang() -> None:
        loop.platforms["youtube"].meanwhile = lambda: None
        for wait_s in (LOST_S - 10.0, 280.0):
            loop.run(wait_s)
            seen.append((len(pools["youtube"].tasks), loop.supervisor.problems()))

    # The one that tries is a person's.
    loop.platforms["youtube"].meanwhile = hang
    with pytest.raises(PlatformError):
        loop.supervisor.check(one.id)
    assert [tasks for tasks, _ in seen] == [0, 1]
    assert "A check of youtube for 1 channels does not come back" in seen[1][1]
    pools["youtube"].finish()
    assert not any("come back" in line for line in loop.supervisor.problems())


def test_no_free_thread_no_request(held: tuple[Loop, dict[str, Held]]) -> None:
    loop, pools = held
    loop.add_many("url", 30)
    loop.run(3.0)
    assert len(pools["url"].tasks) == pools["url"].size == 8
    for _ in range(8):
        pools["url"].finish()
    loop.run()
    assert len(pools["url"].tasks) == 8 and len(set(loop.asked("url"))) == 8


def test_a_pool_that_takes_nothing_any_more(
    held: tuple[Loop, dict[str, Held]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service stops. What was not asked counts for nothing, not as the one that tries."""
    loop, pools = held
    loop.add("twitch", "one")
    loop.platforms["twitch"].fault = failure(trouble=Trouble.BLOCKED)
    loop.run()
    pools["twitch"].finish()
    monkeypatch.setattr(Held, "submit", lambda *_: False)
    loop.run(100.0)
    monkeypatch.undo()
    loop.run(40.0)
    assert len(pools["twitch"].tasks) == 1
