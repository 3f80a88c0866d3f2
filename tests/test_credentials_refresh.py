"""Tests of brlib.credentials: logins are kept good, whatever clocks and networks do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from brlib.credentials import LoginStatus
from brlib.errors import PlatformError

from .credentials_home import (
    CHANNEL, CHANNELS, GOOGLE_TOKEN, KICK_TOKEN, MARK, NOW, TWITCH_REVOKE, TWITCH_TOKEN, VALID,
    VALIDATE, Asked, Home, granted, not_taken, searched, secret,
)

HOUR_S, DAY_S = 3600, 86400
UPDATED = ("platform_auth_updated", "twitch", "api")
EXPIRED = ("platform_auth_expired", "twitch", "api")
DOWN = requests.ConnectionError(f"no route for {MARK}")


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        one.web.tell(VALIDATE, VALID)
        one.web.tell(CHANNELS, CHANNEL)
        yield one


def test_ten_minutes_early_and_once(world: Home) -> None:
    world.enter("twitch")
    world.web.tell(VALIDATE, (503, b""))
    world.web.tell(TWITCH_TOKEN, granted(1))
    world.pass_time(4 * HOUR_S - 601)
    assert world.web.of(TWITCH_TOKEN) == []
    assert world.credentials.api_token("twitch") == secret("access0")
    world.events()
    world.pass_time(1)
    (asked,) = world.web.of(TWITCH_TOKEN)
    assert asked.form == {"client_id": "tw-app", "grant_type": "refresh_token",
                          "refresh_token": secret("refresh0")}
    assert world.credentials.api_token("twitch") == secret("access1")
    assert world.events() == [UPDATED]
    view = world.view("twitch")
    assert (view.status, view.expires_at) == (
        LoginStatus.CONNECTED, NOW + timedelta(seconds=4 * HOUR_S - 600 + 14400))


def test_two_days(world: Home) -> None:
    """Each refresh token once, each refresh ten minutes early, a validation every hour."""
    counted = iter(range(1, 1000))
    world.enter("twitch")
    world.web.tell(TWITCH_TOKEN, lambda asked: granted(next(counted)))
    world.web.tell(VALIDATE, (200, {"client_id": "tw-app", "login": "anna"}))
    world.pass_time(2 * DAY_S)
    used = [asked.form["refresh_token"] for asked in world.web.of(TWITCH_TOKEN)]
    assert used == [secret(f"refresh{n}") for n in range(len(used))]
    assert len(used) == 2 * DAY_S // (4 * HOUR_S - 600)
    assert 2 * 24 - 1 <= len(world.web.of(VALIDATE)) <= 2 * 24 + 1
    assert world.events().count(EXPIRED) == 0


@pytest.mark.parametrize("lasts_s", [1, 60, 300, 601])
def test_tokens_that_last_no_ten_minutes(world: Home, lasts_s: int) -> None:
    counted = iter(range(1, 10_000))
    world.enter("youtube", lasts_s)
    world.web.tell(GOOGLE_TOKEN, lambda asked: granted(next(counted), lasts_s))
    world.pass_time(HOUR_S)
    assert 50 <= len(world.web.of(GOOGLE_TOKEN)) <= 61


def test_the_new_token_is_on_disk_before_anything_uses_it(world: Home, tmp_path: Path) -> None:
    """Looked at from outside at the moment of its first use."""
    world.enter("twitch", 300)
    world.web.tell(TWITCH_TOKEN, granted(1))
    seen: list[tuple[Any, ...]] = []

    def used(asked: Asked) -> tuple[Any, ...]:
        other = sqlite3.connect(world.settings.database_path)
        seen.extend(other.execute("SELECT secret, refresh_token FROM credentials").fetchall())
        other.close()
        assert asked.headers["Authorization"] == "OAuth " + secret("access1")
        return VALID

    world.web.tell(VALIDATE, used)
    world.run()
    assert world.credentials.test("twitch").success
    assert seen[0] == (secret("access1"), secret("refresh1"))


def test_the_network_is_away_for_a_day(world: Home) -> None:
    world.enter("twitch", 300)
    for url in (TWITCH_TOKEN, VALIDATE):
        world.web.tell(url, DOWN, requests.Timeout(MARK), (500, b"oops"), (429, {}), (302, b""),
                       (200, b"<html>"), (200, {"access_token": 5}), DOWN)
    world.pass_time(DAY_S)
    assert 90 <= len(world.web.of(TWITCH_TOKEN)) <= 110
    view = world.view("twitch")
    assert view.status is LoginStatus.UNVERIFIED
    assert "cannot be reached" in str(view.credentials["api"].problem)
    assert world.credentials.api_token("twitch") is None
    assert world.events() == []
    world.web.tell(TWITCH_TOKEN, granted(1))
    world.web.tell(VALIDATE, VALID)
    world.pass_time(900)
    assert world.credentials.api_token("twitch") == secret("access1")
    assert world.view("twitch").credentials["api"].problem is None
    assert world.events() == [UPDATED]


def test_a_platform_may_ask_for_patience(world: Home) -> None:
    world.enter("youtube", 300)
    world.web.tell(GOOGLE_TOKEN, (429, {}, {"Retry-After": "1800"}), granted(1))
    world.pass_time(1799)
    assert len(world.web.of(GOOGLE_TOKEN)) == 1
    world.pass_time(2)
    assert len(world.web.of(GOOGLE_TOKEN)) == 2


@pytest.mark.parametrize("platform, url, answer", [
    ("twitch", TWITCH_TOKEN, not_taken()),
    ("twitch", TWITCH_TOKEN, (401, {"status": 401, "message": "whatever"})),
    ("youtube", GOOGLE_TOKEN, (400, {"error": "invalid_grant", "error_description": MARK})),
    ("kick", KICK_TOKEN, (400, {"error": "invalid_grant"})),
    ("kick", KICK_TOKEN, (401, {"error": "INVALID_GRANT"})),
])
def test_a_platform_says_no(
    world: Home, platform: str, url: str, answer: tuple[int, Any]
) -> None:
    world.enter(platform, 300)
    world.web.tell(url, answer)
    world.pass_time(DAY_S)
    assert world.events() == [("platform_auth_expired", platform, "api")]
    assert world.view(platform).status is LoginStatus.EXPIRED
    assert "log in again" in str(world.view(platform).credentials["api"].problem)
    assert world.credentials.api_token(platform) is None
    assert len(world.web.of(url)) == 1
    world.restart()
    world.run()
    assert world.events() == []


@pytest.mark.parametrize("platform, url, answer", [
    ("twitch", TWITCH_TOKEN, (400, {"status": 400, "message": "missing client secret"})),
    ("twitch", TWITCH_TOKEN, (403, {"status": 403, "message": "invalid client secret"})),
    ("twitch", TWITCH_TOKEN, (401, {"status": 401, "message": "invalid client"})),
    ("youtube", GOOGLE_TOKEN, (401, {"error": "invalid_client"})),
    ("kick", KICK_TOKEN, (401, {"error": "invalid_client"})),
    ("kick", KICK_TOKEN, (400, {"error": "Invalid request"})),
])
def test_an_app_that_is_wrong_ends_no_login(
    world: Home, platform: str, url: str, answer: tuple[int, Any]
) -> None:
    world.enter(platform, 300)
    world.web.tell(url, answer, granted(1))
    world.run()
    view = world.view(platform)
    assert view.status is LoginStatus.UNVERIFIED
    assert view.credentials["api"].problem
    world.pass_time(60)
    assert world.credentials.api_token(platform) == secret("access1")


def test_google_keeps_its_refresh_token(world: Home) -> None:
    world.enter("youtube", 300)
    world.web.tell(GOOGLE_TOKEN, (200, {"access_token": secret("access1"), "expires_in": 3599,
                                        "scope": "a b"}))
    world.run()
    kept = world.kept("youtube")
    assert (kept.refresh_token, kept.older_refresh_token) == (secret("refresh0"), None)
    assert kept.scopes == ("a", "b")
    asked = world.web.of(GOOGLE_TOKEN)[0].form
    assert (asked["client_id"], asked["client_secret"]) == ("yt-app", secret("yt-app"))


def test_kick_loses_the_newer_token(world: Home) -> None:
    """The last one that worked is tried, too, before the login is given up."""
    def answer(asked: Asked) -> tuple[Any, ...]:
        taken = {secret("refresh0"): 1}
        if asked.form["refresh_token"] not in taken:
            return 400, {"error": "invalid_grant"}
        return granted(len(world.web.of(KICK_TOKEN)), "7200")

    world.enter("kick", 300)
    world.web.tell(KICK_TOKEN, answer)
    world.pass_time(7200)
    used = [asked.form["refresh_token"] for asked in world.web.of(KICK_TOKEN)]
    assert used == [secret("refresh0"), secret("refresh1"), secret("refresh0")]
    assert world.credentials.api_token("kick") == secret("access3")
    assert not [event for event in world.events() if "expired" in event[0]]


def test_an_answer_that_is_lost(world: Home) -> None:
    """The platform has made new tokens, and nobody got them: the old one is tried again."""
    world.enter("kick", 300)
    world.web.tell(KICK_TOKEN, requests.Timeout(), granted(2))
    world.run()
    assert world.kept("kick").refresh_token == secret("refresh0")
    world.pass_time(30)
    assert [asked.form["refresh_token"] for asked in world.web.of(KICK_TOKEN)] == [
        secret("refresh0")] * 2
    assert world.kept("kick").refresh_token == secret("refresh2")


def test_a_disk_that_is_full_loses_no_token(
    world: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twitch takes a refresh token once only: what it brought waits until it can be kept."""
    world.enter("twitch", 300)
    world.web.tell(TWITCH_TOKEN, granted(1), not_taken())
    with monkeypatch.context() as full:
        def fail(*_: object) -> bool:
            raise sqlite3.OperationalError("database or disk is full")
        full.setattr("brlib.store.credentials.Credentials.replace", fail)
        world.pass_time(120)
        assert ["is full" in problem for problem in world.credentials.problems()] == [True]
    world.pass_time(180)
    assert world.credentials.problems() == []
    assert len(world.web.of(TWITCH_TOKEN)) == 1
    assert world.kept("twitch").refresh_token == secret("refresh1")


def test_one_at_a_time(world: Home) -> None:
    """Three find the token over at once: one asks, the others take what it got."""
    world.enter("twitch", -1)
    begun, go_on = threading.Event(), threading.Event()

    def slowly(asked: Asked) -> tuple[Any, ...]:
        begun.set()
        assert go_on.wait(20)
        return granted(1)

    world.web.tell(TWITCH_TOKEN, slowly, not_taken())
    done: list[bool] = []
    threads = [threading.Thread(
        target=lambda: done.append(world.credentials.test("twitch").success)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert done == [True] * 3
    assert len(world.web.of(TWITCH_TOKEN)) == 1
    assert world.credentials.api_token("twitch") == secret("access1")


@pytest.mark.parametrize("meanwhile", ["deleted", "another"])
def test_what_a_refresh_brings_too_late_is_not_kept(world: Home, meanwhile: str) -> None:
    def answer(asked: Asked) -> tuple[Any, ...]:
        if meanwhile == "deleted":
            world.credentials.delete("twitch")
        else:
            world.put("twitch", {"access_token": secret("other")})
        return granted(1)

    world.enter("twitch", 300)
    world.web.tell(TWITCH_TOKEN, answer)
    world.run()
    assert world.credentials.api_token("twitch") == (
        None if meanwhile == "deleted" else secret("other"))
    assert [event[0] for event in world.events()] == (
        ["platform_auth_updated"] if meanwhile == "deleted" else [])
    # Nobody would ever use what it brought. Beside another login it is let be.
    assert [asked.form["token"] for asked in world.web.of(TWITCH_REVOKE)] == (
        [secret("access0"), secret("access1")] if meanwhile == "deleted" else [])


def test_a_refusal_that_comes_too_late_ends_nothing(world: Home) -> None:
    def answer(asked: Asked) -> tuple[Any, ...]:
        world.put("twitch", {"access_token": secret("other")})
        return not_taken()

    world.enter("twitch", 300)
    world.web.tell(TWITCH_TOKEN, answer)
    world.run()
    assert world.view("twitch").status is LoginStatus.UNVERIFIED
    assert world.events() == []


def test_without_an_app_nothing_can_be_renewed(world: Home) -> None:
    world.set(youtube_client_secret=None)
    world.enter("youtube", 300)
    world.pass_time(DAY_S)
    assert "youtube_client_secret" in str(world.view("youtube").credentials["api"].problem)
    assert world.events() == []
    with pytest.raises(PlatformError):
        world.credentials._keeper.refresh(world.kept("youtube"))


def test_the_worker_does_it(world: Home) -> None:
    world.enter("twitch", 300)
    done = threading.Event()

    def answer(asked: Asked) -> tuple[Any, ...]:
        done.set()
        return granted(1)

    world.web.tell(TWITCH_TOKEN, answer)
    world.credentials.start()
    assert done.wait(20)
    world.credentials.stop()
    world.credentials.stop()
    assert world.credentials.join(20)
    assert not world.credentials.worker.died
    assert world.credentials.api_token("twitch") == secret("access1")
