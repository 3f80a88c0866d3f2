"""Whose turn it is: batches, rests of whole platforms, and requests that are out meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Broadcast
from brlib.pacing import ASKED_MAX_S
from brlib.platforms import Checked, Offline
from brlib.rules import CHECK_BACKOFF_MAX_S, NOT_FOUND_MAX_S, next_check_s

from .checking import Loop, failure

LIVE = Broadcast(id="b1", title="One")
LIMITED = failure("Too many", trouble=Trouble.RATE_LIMITED, retry_after_s=300.0)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    one = Loop(tmp_path)
    yield one
    one.close()


def counts(loop: Loop, platform: str = "twitch") -> list[int]:
    return [len(names) for names in loop.asked(platform)]


@pytest.mark.parametrize("failures, trouble, expected_s", [
    (1, Trouble.ERROR, 60.0), (1, Trouble.LOGIN_EXPIRED, 60.0), (9, Trouble.BLOCKED, 600.0),
    (1, Trouble.RESTRICTED, CHECK_BACKOFF_MAX_S), (9, Trouble.RESTRICTED, CHECK_BACKOFF_MAX_S),
    (1, Trouble.NOT_FOUND, CHECK_BACKOFF_MAX_S), (2, Trouble.NOT_FOUND, 1200.0),
    (99, Trouble.NOT_FOUND, NOT_FOUND_MAX_S), (0, Trouble.NOT_FOUND, 30.0),
])
def test_what_does_not_pass_by_itself_is_asked_for_seldom(
    failures: int, trouble: Trouble, expected_s: float
) -> None:
    assert next_check_s(30.0, failures, 0.5, trouble) == pytest.approx(expected_s)


@pytest.mark.parametrize("channels, batches", [
    (1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50]), (500, [100] * 5)])
def test_batches(loop: Loop, channels: int, batches: list[int]) -> None:
    loop.add_many("twitch", channels)
    loop.run()
    assert counts(loop) == batches[:1]
    loop.run(10.0)
    assert counts(loop) == batches[1:]
    assert len({c.last_checked_at for c in loop.store.channels.find_all()}) == len(batches)
    loop.run(28.0)
    assert counts(loop) == batches


@pytest.mark.parametrize("platform", ["youtube", "kick", "url"])
def test_where_each_channel_is_a_request(loop: Loop, platform: str) -> None:
    loop.add_many(platform, 9)
    loop.run(8.0 * 4)
    assert set(counts(loop, platform)) == {1}
    assert all(loop.get(c).last_checked_at for c in loop.store.channels.find_all())


def test_a_batch_size_that_changes(loop: Loop) -> None:
    """An app for Kick's API is configured."""
    loop.add_many("kick", 40)
    loop.run(5.0)
    assert counts(loop, "kick") == [1, 1]
    loop.platforms["kick"].batch_size = 100
    loop.run(3.0)
    assert counts(loop, "kick") == [38]


def test_a_new_channel_is_asked_for_first(loop: Loop) -> None:
    channels = loop.add_many("youtube", 30)
    loop.start()
    loop.run(20.0)
    loop.asked("youtube")
    loop.add("youtube", "new")
    loop.supervisor.soon(channels[-1].id)
    loop.run(8.0)
    assert sorted(loop.asked("youtube")) == [("c029",), ("new",)]


# Parts of a batch.

def test_a_batch_that_fails_in_part(loop: Loop) -> None:
    one, two, three, four = loop.add_many("twitch", 4)
    answers: dict[str, Checked] = {
        "c000": LIVE, "c001": failure("Gone", trouble=Trouble.NOT_FOUND), "c002": failure("Odd")}
    loop.platforms["twitch"].answers = answers
    loop.platforms["twitch"].silent_on = {"c003"}
    loop.run()
    assert [loop.shows(c) for c in (one, two, three, four)] == [
        ("starting", None), ("error", "not_found"), ("error", "error"), ("error", "error")]
    assert "leaves this channel out" in (loop.get(four).last_error or "")
    # They are no reason to leave the platform alone.
    loop.platforms["twitch"].silent_on = set()
    loop.asked("twitch")
    loop.run(31.0)
    assert loop.asked("twitch") == [("c000",)]


def test_the_gravest_answer_of_a_batch_is_the_platforms(loop: Loop) -> None:
    loop.add_many("twitch", 4)
    loop.platforms["twitch"].answers = {
        "c000": failure("Odd"), "c001": LIMITED, "c002": Offline(),
        "c003": failure(trouble=Trouble.NOT_FOUND)}
    loop.run()
    loop.asked("twitch")
    loop.run(299.0)
    assert counts(loop) == []
    loop.run(1.0)
    assert counts(loop) != []


def test_a_failure_nobody_foresaw_is_one_channels_own_where_it_is_alone(loop: Loop) -> None:
    loop.add_many("youtube", 3)
    loop.platforms["youtube"].fault = KeyError("videoDetails")
    loop.run()
    loop.platforms["youtube"].fault = None
    loop.run(8.0)
    assert counts(loop, "youtube") == [1, 1, 1]


# Rests.

def test_one_tries_after_a_rest_and_the_others_follow(loop: Loop) -> None:
    loop.add_many("twitch", 300)
    loop.platforms["twitch"].fault = failure()
    loop.run(29.0)
    assert counts(loop) == [100]
    loop.run(40.0)
    assert counts(loop) == [100]
    loop.platforms["twitch"].fault = None
    loop.run(60.0)
    assert counts(loop)[:3] == [100, 100, 100]
    assert {loop.shows(c) for c in loop.store.channels.find_all()} == {("offline", None)}


def test_a_platforms_failure_is_logged_once(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.add_many("twitch", 100)
    loop.platforms["twitch"].fault = failure()
    loop.run(5.0)
    assert [record.message for record in caplog.records if record.levelname != "DEBUG"] == [
        "Twitch is not asked for 30 s: It does not answer"]
    assert len(loop.events("channel_error")) == 100


def test_platforms_and_addresses_do_not_wait_for_each_other(loop: Loop) -> None:
    for platform in ("twitch", "youtube", "url"):
        loop.add_many(platform, 20)
    loop.platforms["twitch"].fault = LIMITED
    loop.platforms["url"].answers = {f"c{n:03}": LIMITED for n in range(10)}
    loop.run(76.0)
    assert counts(loop) == [20] and counts(loop, "youtube") == [1] * 20
    # Who asked for rest has it, the others go on.
    asked = [names[0] for names in loop.asked("url")]
    assert [asked.count(f"c{n:03}") for n in range(20)] == [1] * 10 + [3] * 10
    loop.run(230.0)
    assert ("c000",) in loop.asked("url")


@pytest.mark.parametrize("trouble", [Trouble.NOT_FOUND, Trouble.RESTRICTED,
                                     Trouble.LOGIN_EXPIRED])
def test_one_channels_trouble_stops_no_other(loop: Loop, trouble: Trouble) -> None:
    loop.add_many("youtube", 20)
    loop.platforms["youtube"].answers = {
        f"c{n:03}": failure(trouble=trouble) for n in range(15)}
    loop.run(76.0)
    assert len(loop.asked("youtube")) == 20


@pytest.mark.parametrize("jump, waits_s", [
    pytest.param(timedelta(0), 300.0, id="the rest of the rest"),
    pytest.param(timedelta(seconds=100), 200.0, id="the daemon was down for a while"),
    pytest.param(timedelta(hours=1), 0.0, id="it is over"),
    pytest.param(timedelta(days=-9000), ASKED_MAX_S, id="a clock that is wrong"),
])
def test_rests_outlast_a_restart(loop: Loop, jump: timedelta, waits_s: float) -> None:
    channel = loop.add("twitch", "one")
    loop.platforms["twitch"].fault = LIMITED
    loop.run()
    loop.clock.started += jump
    loop.start()
    if waits_s:
        loop.run(waits_s - 1.0)
        assert counts(loop) == []
        with pytest.raises(PlatformError, match="Twitch asked not to be asked until"):
            loop.clock.s -= 1.0
            loop.supervisor.check(channel.id)
        loop.clock.s += 1.0
    loop.run(1.0)
    assert counts(loop) == [1]


def test_a_rest_that_cannot_be_stored_holds_all_the_same(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(type(loop.store.rests), "keep", full)
    channel = loop.add("twitch", "one")
    loop.platforms["twitch"].fault = LIMITED
    loop.run(200.0)
    assert counts(loop) == [1] and loop.shows(channel) == ("error", "rate_limited")
    assert "database or disk is full" in caplog.text
