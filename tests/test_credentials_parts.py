"""Tests of brlib.credentials: what fails of one login keeps no other from being kept good."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from brlib.credentials import LoginStatus
from brlib.credentials.parts import Part
from brlib.errors import Invalid

from .credentials_home import (
    CHANNEL, CHANNELS, GOOGLE_TOKEN, KICK_REVOKE, KICK_TOKEN, TWITCH_DEVICE, TWITCH_TOKEN, VALID,
    VALIDATE, Home, granted, searched, secret,
)


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        one.web.tell(VALIDATE, VALID)
        one.web.tell(CHANNELS, CHANNEL)
        yield one


def spoil(world: Home, platform: str, ends: str) -> None:
    """As no version of this program writes it."""
    with sqlite3.connect(world.settings.database_path) as db:
        db.execute("UPDATE credentials SET expires_at = ? WHERE platform = ?", (ends, platform))
    db.close()


def failed(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno == logging.ERROR for record in caplog.records)


@pytest.mark.parametrize("ends", ["soon", "2026-01-02T06:04:05", ""])
@pytest.mark.parametrize("platform", ["twitch", "kick"])
def test_one_that_cannot_be_read(
    world: Home, platform: str, ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first and the last that there is a turn for."""
    others = {"twitch": TWITCH_TOKEN, "youtube": GOOGLE_TOKEN, "kick": KICK_TOKEN}
    for one, url in others.items():
        world.enter(one, 300)
        world.web.tell(url, granted(1))
    spoil(world, platform, ends)
    world.pass_time(3600)
    del others[platform]
    for one in others:
        assert world.credentials.api_token(one) == secret("access1")
        assert world.view(one).status is LoginStatus.CONNECTED
    problems = world.credentials.problems()
    # What keeps it good, and what says that it is over.
    assert len(problems) in (1, 2) and all(platform in problem for problem in problems)
    assert failed(caplog) == len(problems)
    world.enter(platform, 4 * 3600)
    world.pass_time(120)
    assert world.credentials.problems() == []
    assert world.credentials.api_token(platform) == secret("access0")
    assert failed(caplog) == len(problems)
    caplog.clear()  # frames of exceptions hold connections


def test_one_that_cannot_be_read_can_be_deleted(
    world: Home, caplog: pytest.LogCaptureFixture
) -> None:
    world.enter("kick")
    spoil(world, "kick", "soon")
    world.credentials.delete("kick")
    world.run()
    assert world.view("kick").status is LoginStatus.NOT_CONNECTED
    assert world.web.of(KICK_REVOKE) == []
    assert failed(caplog) == 1
    caplog.clear()


def test_one_login_under_way_that_fails_keeps_no_other_from_its_turn(
    world: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes = iter(range(9))
    world.web.tell(TWITCH_DEVICE, lambda asked: (200, {
        "device_code": secret(f"device{next(codes)}"), "user_code": "ABCD", "interval": 5,
        "verification_uri": "https://www.twitch.tv/activate", "expires_in": 1800}))
    world.web.tell(TWITCH_TOKEN, lambda asked: (
        granted(1) if asked.form["device_code"] == secret("device0")
        else (400, {"message": "authorization_pending"})))
    for _ in range(2):
        world.credentials.begin("twitch")

    def fail(*_: object) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("brlib.store.credentials.LoginFlows.finish", fail)
    world.pass_time(600)
    asked = [one.form["device_code"] for one in world.web.of(TWITCH_TOKEN)]
    assert set(asked) == {secret("device0"), secret("device1")}
    assert ["disk I/O error" in problem for problem in world.credentials.problems()] == [True]
    assert failed(caplog) == 1
    caplog.clear()


def test_a_part_on_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Backed off like a worker, logged once per message, forgotten when it is well."""
    said: list[Exception | float] = [
        ValueError("a"), ValueError("a"), ValueError("b"), *[ValueError("b")] * 9, 7.0,
        Invalid([]), 7.0, 7.0]
    given = iter(said)

    def step() -> float:
        one = next(given)
        if isinstance(one, Exception):
            raise one
        return one

    part, a, b = Part("this", step), *(
        f"this cannot be seen to: ValueError: {word}" for word in "ab")
    assert [part.turn(0.0), part.turn(0.5), part.turn(1.0)] == [1.0, 0.5, 2.0]
    assert part.problem == a
    now_s = 3.0
    for _ in range(10):
        wait_s = part.turn(now_s)
        now_s += wait_s
    assert wait_s == 60.0
    assert (part.problem, part.turn(now_s - 1.0)) == (b, 1.0)
    # Well again, and for a minute.
    c = "this cannot be seen to: Invalid: "
    for at_s, wait_s, problem in ((0.0, 7.0, None), (0.0, 1.0, c), (1.0, 7.0, c),
                                  (60.0, 7.0, None)):
        assert part.turn(now_s + at_s) == wait_s
        assert part.problem == problem
    assert failed(caplog) == 3
    caplog.clear()
