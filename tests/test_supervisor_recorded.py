"""The check loop and recordings: what is recorded, what of it is noted, how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import Trouble, Unavailable
from brlib.models import Broadcast, EndReason
from brlib.platforms import Checked, Offline

from .checking import Loop, failure

LIVE = Broadcast(id="b1", title="One", category="Chess", viewers=5)
OFFLINE = Offline()


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    one = Loop(tmp_path)
    yield one
    one.close()


@pytest.mark.parametrize("options, free, disk_ok, shows", [
    ({}, 1, True, ("starting", None)), ({}, 0, True, ("live", "concurrency")),
    ({}, 1, False, ("live", "disk")), ({"stopped_broadcast_id": "b1"}, 1, True,
                                       ("live", "stopped")),
    ({"stopped_broadcast_id": "b0"}, 1, True, ("starting", None)),
])
def test_live_and_recorded_or_not(
    loop: Loop, options: dict[str, Any], free: int, disk_ok: bool, shows: tuple[str, str | None]
) -> None:
    loop.recorder.free, loop.recorder.disk_ok = free, disk_ok
    loop.platforms["twitch"].answers["one"] = LIVE
    channel = loop.add("twitch", "one", **options)
    loop.run()
    assert loop.shows(channel) == shows
    assert loop.recorder.recorded == ([("one", "b1")] if shows[0] == "starting" else [])


@pytest.mark.parametrize("options, status", [
    ({"enabled": False}, "disabled"), ({"paused": True}, "paused")])
def test_who_is_not_watched_is_not_asked_for(
    loop: Loop, options: dict[str, bool], status: str
) -> None:
    channel = loop.add("twitch", "one", **options)
    loop.run(60.0)
    assert loop.asked("twitch") == [] and loop.shows(channel)[0] == status
    # A person may all the same; it is not recorded.
    loop.platforms["twitch"].answers["one"] = LIVE
    loop.supervisor.check(channel.id)
    assert loop.supervisor.live(channel.id) == LIVE and loop.recorder.recorded == []
    loop.store.channels.change(channel.id, enabled=True, paused=False)
    loop.supervisor.soon(channel.id)
    loop.run(1.0)
    assert loop.recorder.recorded == [("one", "b1")]


def test_a_recorder_that_refuses_leaves_it_live(loop: Loop) -> None:
    loop.recorder.refuses = Unavailable("Every slot is taken")
    loop.platforms["twitch"].answers["one"] = LIVE
    channel = loop.add("twitch", "one")
    loop.run()
    assert loop.shows(channel) == ("live", "concurrency")


def test_another_broadcast_begins_when_it_began(loop: Loop) -> None:
    loop.recorder.free = 0
    channel = loop.add("twitch", "one")
    began = loop.clock.now() - timedelta(minutes=5)
    for answer in (replace(LIVE, started_at=began), replace(LIVE, id="b2")):
        loop.platforms["twitch"].answers["one"] = answer
        loop.run(60.0)
    after = loop.get(channel)
    assert after.broadcast_id == "b2"
    assert after.live_since is not None and after.live_since > began + timedelta(minutes=5)


def test_a_broadcast_without_an_id_keeps_the_one_it_got(loop: Loop) -> None:
    loop.recorder.free = 0
    channel = loop.add("url", "one")
    loop.platforms["url"].answers["one"] = Broadcast()
    loop.run()
    first = loop.get(channel).broadcast_id
    loop.run(60.0)
    assert first is not None and loop.get(channel).broadcast_id == first
    loop.platforms["url"].answers["one"] = OFFLINE
    loop.run(60.0)
    loop.platforms["url"].answers["one"] = Broadcast()
    loop.run(60.0)
    assert loop.get(channel).broadcast_id not in (None, first)


def recorded(loop: Loop, platform: str = "twitch") -> Any:
    """A channel that is being recorded."""
    loop.platforms[platform].answers["one"] = LIVE
    channel = loop.add(platform, "one")
    loop.run()
    loop.recorder.begun[channel.id] = True
    loop.supervisor.announce(channel.id)
    loop.events()
    return channel


def test_a_title_that_changes_is_noted_and_told(loop: Loop) -> None:
    channel = recorded(loop)
    loop.run(70.0)
    assert loop.events() == []
    loop.platforms["twitch"].answers["one"] = replace(LIVE, title="Two", category="Go")
    loop.run(70.0)
    told = loop.events()
    assert [(e.data["status"], e.data["title"], e.data["category"]) for e in told] == [
        ("recording", "Two", "Go")]
    assert loop.recorder.notes[-1] == (channel.id, "Two", "Go")


@pytest.mark.parametrize("answer", [OFFLINE, failure(), failure(trouble=Trouble.NOT_FOUND)])
def test_a_recording_says_itself_when_it_is_over(loop: Loop, answer: Checked) -> None:
    channel = recorded(loop)
    loop.platforms["twitch"].answers["one"] = answer
    loop.run(120.0)
    assert loop.shows(channel) == ("recording", None)
    assert loop.get(channel).broadcast_id == "b1"
    assert loop.supervisor.live(channel.id) == LIVE


def test_metadata_after_a_restart(loop: Loop) -> None:
    channel = recorded(loop)
    loop.start()
    loop.recorder.begun[channel.id] = True
    loop.platforms["twitch"].answers["one"] = replace(LIVE, title="Later")
    loop.run()
    live = loop.supervisor.live(channel.id)
    assert live is not None and (live.id, live.title) == ("b1", "Later")
    assert loop.recorder.notes == [(channel.id, "Later", "Chess")]


def test_a_stop_is_meant_for_the_broadcast_as_it_is_called_now(loop: Loop) -> None:
    channel = recorded(loop)
    loop.platforms["twitch"].answers["one"] = replace(LIVE, id="b2")
    loop.run(70.0)
    loop.recorder.begun.clear()
    loop.supervisor.over(channel.id, EndReason.STOPPED, None, None)
    loop.run(70.0)
    assert loop.shows(channel) == ("live", "stopped")
    assert loop.recorder.recorded == [("one", "b1")]


@pytest.mark.parametrize("platform, most", [("twitch", 11), ("youtube", 2), ("url", 0)])
def test_how_often_one_that_is_recorded_is_asked_for(
    loop: Loop, platform: str, most: int
) -> None:
    recorded(loop, platform)
    loop.asked(platform)
    loop.run(320.0)
    assert most - 1 <= len(loop.asked(platform)) <= most


@pytest.mark.parametrize("reason, shows", [
    (EndReason.ENDED, ("offline", None)), (EndReason.STALLED, ("offline", None)),
    (EndReason.STOPPED, ("live", "stopped"))])
def test_the_end_of_a_recording(
    loop: Loop, reason: EndReason, shows: tuple[str, str | None]
) -> None:
    channel = recorded(loop)
    loop.asked("twitch")
    loop.recorder.begun.clear()
    loop.supervisor.over(channel.id, reason, "7:abc", None)
    assert loop.shows(channel) == shows
    loop.run(2.0)
    assert len(loop.asked("twitch")) == 1


def test_a_dead_encoder_is_not_recorded_again(loop: Loop) -> None:
    stuck = replace(LIVE, edge="7:abc")
    loop.platforms["url"].answers["one"] = stuck
    channel = loop.add("url", "one")
    loop.run()
    loop.recorder.begun.clear()
    loop.supervisor.over(channel.id, EndReason.STALLED, "7:abc", None)
    loop.run(60.0)
    assert loop.shows(channel) == ("offline", None)
    loop.platforms["url"].answers["one"] = replace(LIVE, edge="8:def")
    loop.run(60.0)
    assert len(loop.recorder.recorded) == 2


def test_a_cache_that_shows_what_was_begins_no_other_recording(loop: Loop) -> None:
    """For some seconds behind the end; an encoder that uses its names again is another fact."""
    loop.platforms["url"].answers["one"] = replace(LIVE, edge="6:a")
    channel = loop.add("url", "one")
    loop.run()
    loop.recorder.begun.clear()
    loop.supervisor.over(channel.id, EndReason.ENDED, "5:z 6:a 7:abc", None)
    loop.run(25.0)
    assert loop.shows(channel) == ("offline", None)
    assert len(loop.recorder.recorded) == 1
    loop.run(60.0)
    assert len(loop.recorder.recorded) == 2


@pytest.mark.parametrize("trouble, tries", [
    (Trouble.ERROR, (5, 9)), (Trouble.LOGIN_EXPIRED, (5, 9)), (Trouble.RESTRICTED, (5, 7))])
def test_a_broadcast_that_cannot_be_opened_is_one_incident(
    loop: Loop, trouble: Trouble, tries: tuple[int, int]
) -> None:
    loop.platforms["twitch"].answers["one"] = LIVE
    channel = loop.add("twitch", "one")
    loop.events()
    asked = 0
    for _ in range(3600):
        loop.run(1.0)
        asked += len(loop.asked("twitch"))
        if loop.recorder.begun.pop(channel.id, None) is not None:
            loop.supervisor.over(channel.id, None, None, "For subscribers only", trouble)
            loop.supervisor.announce(channel.id)
            assert loop.shows(channel) == ("error", trouble.value)
    assert tries[0] <= len(loop.recorder.recorded) <= tries[1]
    # Detection goes on: a title, an end, another broadcast are seen in time.
    assert asked >= 110
    events = loop.events()
    assert len([e for e in events if e.type == "channel_error"]) == 1
    assert len(events) <= 1 + 2 * tries[1]
    assert loop.get(channel).last_error == "For subscribers only"
    loop.platforms["twitch"].answers["one"] = replace(LIVE, id="b2")
    loop.run(40.0)
    assert loop.recorder.recorded[-1] == ("one", "b2") and loop.get(channel).last_error is None


def refused(loop: Loop) -> Any:
    loop.platforms["twitch"].answers["one"] = LIVE
    channel = loop.add("twitch", "one")
    loop.run()
    loop.recorder.begun.clear()
    loop.supervisor.over(channel.id, None, None, "No", Trouble.RESTRICTED)
    return channel


@pytest.mark.parametrize("act", [
    pytest.param(lambda loop, channel: loop.supervisor.check(channel.id), id="a person asks"),
    pytest.param(lambda loop, channel: loop.supervisor.retry("twitch"), id="a login is stored"),
])
def test_it_is_tried_again_at_once_when(loop: Loop, act: Callable[..., object]) -> None:
    channel = refused(loop)
    loop.run(60.0)
    assert len(loop.recorder.recorded) == 1
    act(loop, channel)
    loop.run(2.0)
    assert len(loop.recorder.recorded) == 2
    loop.recorder.begun[channel.id] = True
    loop.supervisor.announce(channel.id)
    assert loop.shows(channel) == ("recording", None)
    assert loop.get(channel).last_error is None


def test_one_that_turned_out_offline_is_looked_at_soon(loop: Loop) -> None:
    loop.platforms["youtube"].answers["one"] = LIVE
    channel = loop.add("youtube", "one")
    loop.run()
    loop.recorder.begun.clear()
    loop.supervisor.over(channel.id, None, None, None)
    loop.asked("youtube")
    loop.run(31.0)
    assert len(loop.asked("youtube")) == 1 and loop.events("channel_error") == []
