"""Schedules and filters in the check loop: what is skipped, told of once, taken up again, and
what ends by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib import filters, schedule
from brlib.models import Broadcast, Channel, EndReason

from .checking import Loop

# The loop's clock begins on Thursday, 1 January 2026, at 00:16:40 UTC.
LATER = {"windows": [{"days": ["thu"], "start": "00:20", "end": "00:30"}], "timezone": "UTC"}
NOW = {"windows": [{"days": ["thu"], "start": "00:00", "end": "00:18"}], "timezone": "UTC"}
CHESS = Broadcast("b1", title="Chess all night", category="Board games", viewers=40)

Make = Callable[..., Loop]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Loop] = []

    def one(**options: Any) -> Loop:
        made.append(Loop(tmp_path, timezone="UTC", **options))
        return made[0]
    yield one
    made[0].close()


def watched(loop: Loop, broadcast: Broadcast | None = CHESS, **rules: Any) -> Channel:
    """A Twitch channel with these rules; live."""
    makers = {"schedule": schedule.canonical, "filters": filters.canonical}
    channel = loop.add("twitch", "anna", **{
        name: makers[name](rule) for name, rule in rules.items()})
    if broadcast is not None:
        loop.platforms["twitch"].answers["anna"] = broadcast
    return channel


def skips(loop: Loop) -> list[tuple[str, str]]:
    return [(event.type, event.data["reason"]) for event in loop.events()
            if event.type.endswith("_skip")]


def test_outside_its_window_a_broadcast_waits_and_is_told_of_once(make: Make) -> None:
    loop = make()
    channel = watched(loop, schedule=LATER)
    loop.run(120)
    assert loop.shows(channel) == ("live", "schedule")
    assert not loop.recorder.recorded
    reason = "Outside the schedule; recorded again from 2026-01-01T00:20:00Z"
    assert skips(loop) == [("schedule_skip", reason)]
    loop.start()
    loop.platforms["twitch"].answers["anna"] = CHESS
    loop.run(60)
    assert skips(loop) == []
    # The window opens between two checks.
    loop.run(30)
    assert loop.recorder.recorded == [("anna", "b1")]


def test_another_broadcast_is_another_fact(make: Make) -> None:
    loop = make()
    watched(loop, schedule=LATER)
    loop.run(60)
    loop.platforms["twitch"].answers["anna"] = replace(CHESS, id="b2")
    loop.run(60)
    assert [kind for kind, _ in skips(loop)] == ["schedule_skip", "schedule_skip"]


@pytest.mark.parametrize(("end", "ended"), [
    ("complete", []), ("stop", [EndReason.SCHEDULE]), (None, [])])
def test_a_window_closes(end: str | None, ended: list[EndReason], make: Make) -> None:
    loop = make()
    channel = watched(loop, schedule={**NOW, "end_behavior": end})
    loop.run(10)
    loop.recorder.begun[channel.id] = True
    loop.run(120)
    assert [reason for _, reason in loop.recorder.ended][:1] == ended
    if ended:
        del loop.recorder.begun[channel.id]
        loop.supervisor.over(channel.id, EndReason.SCHEDULE, None, None)
        loop.run(60)
        assert loop.shows(channel) == ("live", "schedule")
        assert len(loop.recorder.recorded) == 1


def test_the_configuration_s_schedule_and_a_channel_s_own(make: Make) -> None:
    loop = make(schedule_start="00:20", schedule_end="00:30")
    common = watched(loop)
    own = loop.add("twitch", "bea", schedule=schedule.canonical({}))
    loop.platforms["twitch"].answers["bea"] = CHESS
    loop.run(5)
    assert (loop.shows(common)[1], loop.shows(own)[0]) == ("schedule", "starting")


def test_blackouts_hold_for_all(make: Make) -> None:
    loop = make(blackouts="2026-01-01")
    channel = watched(loop, schedule=NOW)
    loop.run(5)
    assert loop.shows(channel) == ("live", "schedule")


def test_what_becomes_interesting_is_recorded(make: Make) -> None:
    loop = make()
    channel = watched(loop, filters={"title": "go, !rerun", "min_viewers": 30})
    loop.run(60)
    assert loop.shows(channel) == ("live", "filter")
    loop.platforms["twitch"].answers["anna"] = replace(CHESS, title="RERUN: Go")
    loop.run(60)
    loop.platforms["twitch"].answers["anna"] = replace(CHESS, title="Go", viewers=29)
    loop.run(60)
    assert skips(loop) == [
        ("filter_skip", "Filtered out: the title holds none of 'go'")]
    loop.platforms["twitch"].answers["anna"] = replace(CHESS, title="Go")
    loop.run(60)
    assert loop.recorder.recorded == [("anna", "b1")]


@pytest.mark.parametrize(("strict", "ended"), [(False, []), (True, [EndReason.FILTER])])
def test_what_stops_matching(strict: bool, ended: list[EndReason], make: Make) -> None:
    loop = make()
    channel = watched(loop, filters={"title": "chess", "strict": strict})
    loop.run(10)
    loop.recorder.begun[channel.id] = True
    loop.platforms["twitch"].answers["anna"] = replace(CHESS, title="Just talking")
    loop.run(70)
    assert [reason for _, reason in loop.recorder.ended][:1] == ended
    if ended:
        del loop.recorder.begun[channel.id]
        loop.supervisor.over(channel.id, EndReason.FILTER, None, None)
        loop.run(40)
        assert loop.shows(channel) == ("live", "filter")
        loop.platforms["twitch"].answers["anna"] = CHESS
        loop.run(40)
        assert len(loop.recorder.recorded) == 2


def test_a_quota_is_told_of_once_and_taken_up_again(make: Make) -> None:
    loop = make()
    channel = watched(loop)
    loop.recorder.over_quota = "The quota is used up"
    loop.run(120)
    assert loop.shows(channel) == ("live", "quota")
    assert skips(loop) == [("quota_skip", "The quota is used up")]
    loop.recorder.over_quota = None
    loop.supervisor.reconsider()
    loop.run(1)
    assert loop.recorder.recorded == [("anna", "b1")]


def test_the_button_keeps_to_the_rules(make: Make) -> None:
    loop = make()
    channel = watched(loop, schedule=LATER)
    loop.supervisor.check(channel.id)
    assert loop.shows(channel) == ("live", "schedule")
    assert not loop.recorder.recorded
