"""The check loop as others command it: a person asks, channels come and go, settings change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import ChannelNotFound, PlatformError, Trouble
from brlib.models import Broadcast, EndReason
from brlib.workers import Pool

from .checking import Loop, failure

LIVE = Broadcast(id="b1", title="One", category="Chess", viewers=5)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    one = Loop(tmp_path)
    yield one
    one.close()


def test_a_person_asks(loop: Loop) -> None:
    channel = loop.add("youtube", "one")
    loop.run()
    seen = [loop.platforms["youtube"].fresh]
    loop.platforms["youtube"].answers["one"] = LIVE
    assert loop.supervisor.check(channel.id).broadcast_id == "b1"
    assert loop.recorder.recorded == [("one", "b1")]
    # Nothing that was said before will do.
    assert [*seen, loop.platforms["youtube"].fresh] == [False, True]
    loop.platforms["youtube"].answers["one"] = failure("It broke")
    with pytest.raises(PlatformError, match="It broke"):
        loop.supervisor.check(channel.id)
    with pytest.raises(ChannelNotFound):
        loop.supervisor.check("ch_none")


def test_a_person_cannot_break_a_platforms_wish(loop: Loop) -> None:
    channel = loop.add("youtube", "one")
    loop.run()
    loop.platforms["youtube"].fault = failure(
        "Too many", trouble=Trouble.RATE_LIMITED, retry_after_s=600.0)
    with pytest.raises(PlatformError, match="Too many"):
        loop.supervisor.check(channel.id)
    before = loop.asked("youtube"), loop.get(channel), loop.events()
    assert len(before[0]) == 2
    with pytest.raises(PlatformError, match="asked not to be asked until .*Too many") as caught:
        loop.supervisor.check(channel.id)
    assert caught.value.trouble is Trouble.RATE_LIMITED
    assert (loop.asked("youtube"), loop.get(channel), loop.events()) == ([], before[1], [])
    assert loop.supervisor.problems() == ["YouTube is not asked for 600 s: Too many"]
    loop.clock.s += 601.0
    loop.platforms["youtube"].fault = None
    loop.supervisor.check(channel.id)
    assert loop.supervisor.problems() == []


def test_a_person_can_cut_short_a_rest_of_ours(loop: Loop) -> None:
    channels = loop.add_many("twitch", 3)
    loop.platforms["twitch"].fault = failure()
    loop.run()
    loop.platforms["twitch"].fault = None
    loop.supervisor.check(channels[0].id)
    loop.asked("twitch")
    loop.run(34.0)
    assert loop.asked("twitch")[0] and loop.shows(channels[1]) == ("offline", None)


def test_deleted_while_it_is_checked(loop: Loop) -> None:
    channel = loop.add("twitch", "one")
    other = loop.add("twitch", "two")

    def delete() -> None:
        loop.store.channels.delete(channel.id)
        loop.supervisor.forget(channel)

    loop.platforms["twitch"].meanwhile = delete
    loop.platforms["twitch"].answers["two"] = LIVE
    loop.run()
    # What the check kept anew is dropped once more.
    assert loop.platforms["twitch"].forgotten == [channel.id] * 2
    assert loop.shows(other) == ("starting", None)
    loop.platforms["twitch"].meanwhile = lambda: None
    loop.asked("twitch")
    loop.run(70.0)
    assert set(loop.asked("twitch")) == {("two",)}
    assert loop.supervisor.live(channel.id) is None


def test_nothing_is_kept_of_deleted_channels(loop: Loop) -> None:
    for number in range(50):
        channel = loop.add("twitch", f"c{number}")
        loop.run(1.0)
        loop.store.channels.delete(channel.id)
        loop.supervisor.forget(channel)
        # Late words of its recording, and someone who looks.
        loop.supervisor.over(channel.id, EndReason.ENDED, None, None)
        loop.supervisor.announce(channel.id)
        loop.supervisor.soon(channel.id)
        loop.supervisor.state(channel)
    loop.run(10.0)
    assert len(loop.supervisor._watches) == 0


def test_channels_that_another_process_adds_are_seen(loop: Loop) -> None:
    loop.run()
    store_only = loop.add("twitch", "one")
    loop.store.channels.delete(store_only.id)
    loop.supervisor.forget(store_only)
    loop.run()
    loop.store.channels.add(store_only)
    loop.run(6.0)
    assert ("one",) in loop.asked("twitch")


def test_a_changed_interval_holds_at_once(loop: Loop) -> None:
    loop.settings = replace(loop.settings, twitch_interval=3600.0)
    loop.add("twitch", "one")
    loop.run(10.0)
    loop.settings = replace(loop.settings, twitch_interval=10.0)
    loop.supervisor.reconsider()
    loop.asked("twitch")
    loop.run(25.0)
    assert len(loop.asked("twitch")) == 2


def test_freed_slots_are_taken_when_the_settings_change(loop: Loop) -> None:
    loop.recorder.free = 0
    loop.platforms["youtube"].answers["one"] = LIVE
    loop.add("youtube", "one")
    loop.run()
    loop.recorder.free = 1
    loop.supervisor.reconsider()
    loop.run(5.0)
    assert loop.recorder.recorded == [("one", "b1")]


@pytest.mark.parametrize("fails", ["get", "change"])
def test_a_store_that_fails_stops_nobody(
    loop: Loop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    channels = loop.add_many("twitch", 3)
    loop.run()
    loop.platforms["twitch"].answers = {c.name: LIVE for c in channels}
    works = getattr(loop.store.channels, fails)

    def full(channel_id: str, *args: Any, **options: Any) -> Any:
        if channel_id == channels[0].id:
            raise OSError("No space left on device")
        return works(channel_id, *args, **options)

    monkeypatch.setattr(loop.store.channels, fails, full)
    loop.asked("twitch")
    loop.run(61.0)
    assert loop.recorder.recorded == [("c001", "b1"), ("c002", "b1")]
    assert "1 of 3 answers" in caplog.text
    # Neither at once again nor never.
    assert len(loop.asked("twitch")) == 2
    monkeypatch.undo()
    loop.run(31.0)
    assert loop.recorder.recorded[-1] == ("c000", "b1")


def test_real_threads(tmp_path: Path) -> None:
    loop = Loop(tmp_path, pools=Pool)
    loop.add_many("twitch", 150)
    loop.add("url", "two")
    loop.supervisor.step()
    assert loop.supervisor.join(5.0)
    assert [len(names) for names in loop.asked("twitch")] == [100]
    assert loop.asked("url") == [("two",)]
    loop.run(60.0)
    assert loop.asked("twitch") == []
    loop.close()
