"""Tests of brlib.credentials: what is entered, shown, tried, refused and deleted."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.cookies import HEADER
from brlib.credentials import LoginStatus
from brlib.errors import Invalid
from brlib.platforms.base import App, Logins
from brlib.store import open_store
from brlib.store.credentials import API, PLAYBACK

from .credentials_home import (
    COOKIES, LATER, MARK, NOW, Home, searched, secret, status,
)

UPDATED, EXPIRED = "platform_auth_updated", "platform_auth_expired"
PLAYBACKS = [("twitch", "auth_token"), ("kick", "session_token")]


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        yield one


def test_nothing_is_kept(world: Home) -> None:
    views = world.credentials.find_all()
    assert [view.platform for view in views] == ["twitch", "youtube", "kick"]
    for view in views:
        assert (view.status, view.username, view.expires_at, view.last_validated) == (
            LoginStatus.NOT_CONNECTED, None, None, None)
        assert {kind: one.status for kind, one in view.credentials.items()} == {
            "api": LoginStatus.NOT_CONNECTED, "playback": LoginStatus.NOT_CONNECTED}
    tested = world.credentials.test("kick")
    assert (tested.success, tested.username) == (False, None)
    assert "Nothing is kept" in tested.message
    assert world.run() == 60.0


def test_what_is_entered(world: Home, tmp_path: Path) -> None:
    ends = NOW + timedelta(hours=3)
    view = world.put("twitch", {
        "access_token": secret("a"), "refresh_token": secret("r"), "username": "Anna B",
        "expires_at": "2026-01-02T06:04:05Z", "auth_token": secret("web")})
    assert (view.status, view.username, view.expires_at, view.last_validated) == (
        LoginStatus.UNVERIFIED, "Anna B", ends, None)
    assert {one.status for one in view.credentials.values()} == {LoginStatus.UNVERIFIED}
    assert world.credentials.api_token("twitch") == secret("a")
    assert world.credentials.playback("twitch") == secret("web")
    world.restart()
    assert world.view("twitch") == view
    assert world.kept("twitch").refresh_token == secret("r")


def test_one_kind_leaves_the_other(world: Home) -> None:
    world.put("kick", {"session_token": f"1%7C{MARK}", "access_token": None})
    assert world.credentials.playback("kick") == f"1|{MARK}"
    world.put("kick", {"access_token": secret("a")})
    assert world.credentials.playback("kick") == f"1|{MARK}"
    assert world.credentials.api_token("kick") == secret("a")


@pytest.mark.parametrize("platform, values, fields", [
    ("twitch", {}, ["access_token"]),
    ("twitch", {"access_token": None}, ["access_token"]),
    ("youtube", {}, ["access_token"]),
    ("twitch", {"refresh_token": "r"}, ["access_token"]),
    ("twitch", {"username": "anna"}, ["access_token"]),
    ("twitch", {"auth_token": "x", "expires_at": "2027-01-01T00:00:00Z"}, ["access_token"]),
    ("twitch", {"password": MARK}, ["password"]),
    ("twitch", {"session_token": "x"}, ["session_token"]),
    ("kick", {"auth_token": "x"}, ["auth_token"]),
    ("youtube", {"access_token": "x", "cookie_content": "y"}, ["cookie_content"]),
    ("twitch", {"access_token": "a b"}, ["access_token"]),
    ("twitch", {"access_token": " a"}, ["access_token"]),
    ("twitch", {"access_token": "a\n"}, ["access_token"]),
    ("twitch", {"access_token": "a\r\nX: y"}, ["access_token"]),
    ("twitch", {"access_token": "a\x00"}, ["access_token"]),
    ("twitch", {"access_token": "é"}, ["access_token"]),
    ("twitch", {"access_token": "\ud800"}, ["access_token"]),
    ("twitch", {"access_token": ""}, ["access_token"]),
    ("twitch", {"access_token": 5}, ["access_token"]),
    ("twitch", {"access_token": ["a"]}, ["access_token"]),
    ("twitch", {"access_token": "a" * 4097}, ["access_token"]),
    ("kick", {"session_token": "a%0d%0ab"}, ["session_token"]),
    ("twitch", {"access_token": "a", "refresh_token": "b c"}, ["refresh_token"]),
    ("twitch", {"access_token": "a", "username": "a\nb"}, ["username"]),
    ("twitch", {"access_token": "a", "username": " "}, ["username"]),
    ("twitch", {"access_token": "a", "username": "a" * 101}, ["username"]),
    ("twitch", {"access_token": "a", "expires_at": "soon"}, ["expires_at"]),
    ("twitch", {"access_token": "a", "expires_at": 5}, ["expires_at"]),
    ("twitch", {"access_token": "a", "expires_at": "0001-01-01T00:00:00+14:00"}, ["expires_at"]),
    ("twitch", {"access_token": "a", "expires_at": "2026-01-02T03:04:05Z"}, ["expires_at"]),
    ("twitch", {"x": 1, "access_token": "a b", "auth_token": ""},
     ["x", "access_token", "auth_token"]),
])
def test_what_is_not_taken(
    world: Home, platform: str, values: dict[str, Any], fields: list[str]
) -> None:
    with pytest.raises(Invalid) as caught:
        world.put(platform, values)
    assert [problem.field for problem in caught.value.problems] == fields
    assert MARK not in str(caught.value)
    assert status(world, platform) is LoginStatus.NOT_CONNECTED


@pytest.mark.parametrize("moment", [
    "2026-01-02T07:04:05+01:00", "2026-01-02T06:04:05", datetime(2026, 1, 2, 6, 4, 5, tzinfo=UTC),
    datetime(2026, 1, 2, 6, 4, 5),
])
def test_times_are_taken_as_they_are_written(world: Home, moment: Any) -> None:
    view = world.put("kick", {"access_token": "a", "expires_at": moment})
    assert view.expires_at == datetime(2026, 1, 2, 6, 4, 5, tzinfo=UTC)


# Cookies.


def test_cookies(world: Home) -> None:
    kept = world.credentials.put_cookies("\ufeff" + COOKIES.replace("\n", "\r\n") + "\r\nrubbish")
    assert (kept.login, kept.kept, kept.left_out) == (("LOGIN_INFO", "SAPISID"), 4, 1)
    assert kept.view.status is LoginStatus.UNVERIFIED
    assert kept.view.expires_at == kept.expires_at == datetime.fromtimestamp(LATER, UTC)
    text = world.credentials.playback("youtube")
    assert text is not None
    assert text.startswith(HEADER + "\n") and text.count(MARK) == 3
    assert MARK not in repr(kept)


def test_cookies_that_are_refused_replace_none(world: Home) -> None:
    world.credentials.put_cookies(COOKIES)
    with pytest.raises(Invalid, match="is JSON") as caught:
        world.credentials.put_cookies(f'[{{"name": "{MARK}"}}]')
    assert caught.value.problems[0].field == "cookie_content"
    assert MARK not in str(caught.value)
    assert world.credentials.playback("youtube") is not None


def test_cookies_end_by_time(world: Home) -> None:
    world.credentials.put_cookies(COOKIES)
    assert world.events() == [(UPDATED, "youtube", PLAYBACK)]
    world.now = datetime.fromtimestamp(LATER, UTC)
    world.run()
    assert world.credentials.playback("youtube") is None
    assert status(world, "youtube", PLAYBACK) is LoginStatus.EXPIRED
    assert world.events() == [(EXPIRED, "youtube", PLAYBACK)]


# What the platforms say of them.


@pytest.mark.parametrize("platform, field", PLAYBACKS)
def test_a_refused_website_token_is_not_given_out_again(
    world: Home, platform: str, field: str
) -> None:
    world.put(platform, {field: secret("web")})
    world.pass_time(120)
    for _ in range(3):
        world.credentials.refused(platform, PLAYBACK, f"no\n{secret('web')} \ud800" + "x" * 999)
    assert world.credentials.playback(platform) is None
    assert world.events() == [(EXPIRED, platform, PLAYBACK)]
    problem = world.view(platform).credentials[PLAYBACK].problem
    assert problem is not None and problem.startswith("no *** ?xxx") and len(problem) == 300
    world.put(platform, {field: secret("newer")})
    assert world.credentials.playback(platform) == secret("newer")


def test_a_refusal_of_the_one_before_ends_nothing(world: Home) -> None:
    """The request with it was under way when another was entered."""
    world.put("twitch", {"auth_token": secret("newer")})
    world.pass_time(119)
    world.credentials.refused("twitch", PLAYBACK, "401")
    assert world.credentials.playback("twitch") == secret("newer")
    world.pass_time(1)
    world.credentials.refused("twitch", PLAYBACK, "401")
    assert world.credentials.playback("twitch") is None


def test_refusals_of_what_is_not_kept(world: Home) -> None:
    for kind in (API, PLAYBACK):
        world.credentials.refused("kick", kind, "401")
    world.run()
    assert world.events() == []


def test_they_are_what_platforms_ask_for(world: Home) -> None:
    logins: Logins = world.credentials
    assert logins.app("twitch") == App("tw-app")
    assert logins.app("kick") == App("ki-app", secret("ki-app"))
    world.set(youtube_client_id=None, youtube_client_secret=None, youtube_api_key=secret("key"))
    assert logins.app("youtube") == App(api_key=secret("key"))
    world.set(youtube_api_key=None)
    assert logins.app("youtube") is None
    assert logins.app("url") is None
    assert (logins.api_token("url"), logins.playback("url")) == (None, None)


# Deleting.


def test_deleting(world: Home) -> None:
    world.put("twitch", {"access_token": secret("a"), "auth_token": secret("web")})
    world.put("kick", {"access_token": secret("k")})
    world.credentials.delete("twitch")
    assert status(world, "twitch") is LoginStatus.NOT_CONNECTED
    assert (world.credentials.api_token("twitch"), world.credentials.playback("twitch")) == (
        None, None)
    assert world.credentials.api_token("kick") == secret("k")
    assert world.events() == [(UPDATED, "twitch", kind) for kind in (API, PLAYBACK)]
    world.credentials.delete("twitch")
    assert world.events() == []


# The file.


def modes(path: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob(path.name + "*")}


@pytest.mark.parametrize("prepare", [
    lambda path: None, lambda path: path.touch(0o644),
    lambda path: (path.touch(0o666), path.chmod(0o666)),
])
def test_the_database_is_the_daemons_alone(
    tmp_path: Path, prepare: Callable[[Path], object]
) -> None:
    path = tmp_path / "db.sqlite3"
    prepare(path)
    store = open_store(path)
    assert len(list(tmp_path.iterdir())) == 3
    assert modes(path) == {0o600}
    # As an older version has left them behind, in use.
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    second = open_store(path)
    assert modes(path) == {0o600}
    second.close()
    store.close()
