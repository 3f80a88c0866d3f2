"""The check loop: every state and how it is left, and one event per incident."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from brlib.errors import Trouble
from brlib.models import Broadcast
from brlib.platforms import Checked, Offline

from .checking import Loop, failure

LIVE = Broadcast(id="b1", title="One", category="Chess", viewers=5)
OFFLINE = Offline()


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    one = Loop(tmp_path)
    yield one
    one.close()


@pytest.mark.parametrize("answer, shows", [
    pytest.param(OFFLINE, ("offline", None), id="offline"),
    pytest.param(LIVE, ("starting", None), id="live"),
    *(pytest.param(failure(trouble=trouble), ("error", trouble.value), id=trouble.value)
      for trouble in Trouble),
    pytest.param(ValueError("odd"), ("error", "error"), id="unforeseen"),
])
@pytest.mark.parametrize("platform", ["twitch", "youtube", "url"])
def test_what_an_answer_shows(
    loop: Loop, platform: str, answer: Checked | Exception, shows: tuple[str, str | None]
) -> None:
    if isinstance(answer, ValueError):
        loop.platforms[platform].fault = answer
    else:
        loop.platforms[platform].answers["one"] = answer  # type: ignore[assignment]
    channel = loop.add(platform, "one")
    loop.events()
    loop.run()
    assert loop.shows(channel) == shows
    told = [e.type for e in loop.events()]
    assert told.count("channel_error") == (shows[0] == "error")
    assert told.count("channel_status") == (shows != ("offline", None))
    assert (loop.get(channel).last_error is not None) == (shows[0] == "error")
    assert loop.supervisor.last_checked(loop.get(channel)) == loop.clock.now()


SEQUENCES: list[tuple[list[Checked], list[str], int]] = [
    ([OFFLINE, OFFLINE], ["offline"], 0),
    ([failure(), failure("Another"), failure(trouble=Trouble.BLOCKED)], ["error"], 1),
    ([failure(), OFFLINE, failure()], ["error", "offline", "error"], 2),
    ([OFFLINE, failure(), OFFLINE], ["offline", "error", "offline"], 1),
    ([LIVE, failure(), LIVE], ["live", "error", "live"], 1),
    ([LIVE, OFFLINE, LIVE], ["live", "offline", "live"], 0),
    ([LIVE, failure(), OFFLINE], ["live", "error", "offline"], 1),
    ([failure(trouble=Trouble.NOT_FOUND)] * 3, ["error"], 1),
    ([Offline(), failure(trouble=Trouble.LOGIN_EXPIRED), LIVE], ["offline", "error", "live"], 1),
]


@pytest.mark.parametrize("answers, statuses, errors", SEQUENCES)
def test_each_change_and_each_incident_is_told_once(
    loop: Loop, answers: list[Checked], statuses: list[str], errors: int
) -> None:
    loop.recorder.free = 0
    loop.settings = replace(loop.settings, twitch_interval=30.0)
    loop.add("twitch", "one")
    told: list[str] = ["offline"]
    for answer in answers:
        loop.platforms["twitch"].answers["one"] = answer
        loop.run(3700.0)
    events = loop.events()
    for event in events:
        if event.type == "channel_status" and event.data["status"] != told[-1]:
            told.append(event.data["status"])
    assert told[1 if statuses[0] != "offline" else 0:] == statuses
    found = [event for event in events if event.type == "channel_error"]
    assert len(found) == errors
    assert all(event.data["error"] and event.data["reason"] for event in found)


def test_a_failure_keeps_what_was_known(loop: Loop) -> None:
    loop.recorder.free = 0
    loop.platforms["twitch"].answers["one"] = LIVE
    channel = loop.add("twitch", "one")
    loop.run()
    before = loop.get(channel)
    loop.platforms["twitch"].fault = failure()
    loop.run(600.0)
    after = loop.get(channel)
    assert (after.broadcast_id, after.live_since) == ("b1", before.live_since)
    assert loop.supervisor.live(channel.id) == LIVE


def test_a_restart_begins_no_new_incident(loop: Loop) -> None:
    channel = loop.add("youtube", "one")
    loop.platforms["youtube"].answers["one"] = failure()
    loop.run()
    assert len(loop.events("channel_error")) == 1
    loop.start()
    loop.platforms["youtube"].answers["one"] = failure("Something else")
    loop.run()
    assert loop.events("channel_error") == []
    assert loop.get(channel).last_error == "Something else"


def test_announced(loop: Loop) -> None:
    channel = loop.add("youtube", "one")
    at = loop.clock.now() + timedelta(seconds=100)
    loop.platforms["youtube"].answers["one"] = Offline(at, "Soon")
    loop.run()
    assert loop.shows(channel) == ("offline", "upcoming")
    # It is looked for when it was announced for, and not sooner.
    loop.platforms["youtube"].answers["one"] = LIVE
    loop.run(99.0)
    assert loop.shows(channel) == ("offline", "upcoming")
    loop.run(2.0)
    assert loop.shows(channel) == ("starting", None)
    assert [e.data["status_reason"] for e in loop.events("channel_status")] == [
        None, "upcoming", None]


def test_no_longer_announced(loop: Loop) -> None:
    channel = loop.add("youtube", "one")
    loop.platforms["youtube"].answers["one"] = Offline(loop.clock.now() - timedelta(hours=1))
    loop.run()
    assert loop.shows(channel) == ("offline", "upcoming")
    loop.platforms["youtube"].answers.clear()
    loop.run(400.0)
    assert loop.shows(channel) == ("offline", None)


@pytest.mark.parametrize("name, before, said, after", [
    ("shroud", "shroud", "Shroud", "Shroud"), ("shroud", "shroud", "配信者", "配信者"),
    ("shroud", "Shroud", "SHROUD", "SHROUD"), ("shroud", "My favourite", "Shroud", "My favourite"),
    ("shroud", "shroud", None, "shroud"),
])
def test_a_channel_is_called_as_the_platform_calls_it(
    loop: Loop, name: str, before: str, said: str | None, after: str
) -> None:
    channel = loop.add("twitch", name, display_name=before)
    loop.platforms["twitch"].answers[name] = Broadcast("b1", display_name=said)
    loop.run()
    assert loop.store.channels.get(channel.id).display_name == after
