"""Tests of brlib.credentials: what is kept is tried by real requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from brlib.credentials import LoginStatus
from brlib.store.credentials import API, PLAYBACK

from .credentials_home import (
    ACCOUNT, CHANNEL, CHANNELS, COOKIES, GOOGLE_TOKEN, INVALID, KICK_INTROSPECT, KICK_SITE,
    KICK_TOKEN, KICK_USERS, MARK, TWITCH_TOKEN, VALID, VALIDATE, Home, granted, not_taken,
    searched, secret, status,
)

EXPIRED = "platform_auth_expired"
USER = (200, {"data": [{"user_id": 1, "name": "Anna"}], "message": "OK"})
API_TESTS = [
    ("twitch", VALIDATE, VALID, True, "works", "anna"),
    ("twitch", VALIDATE, INVALID, False, "does not take the token", None),
    ("twitch", VALIDATE, (200, {}), False, "nobody expects", None),
    ("youtube", CHANNELS, CHANNEL, True, "works", "Anna's"),
    ("youtube", CHANNELS, (200, {"kind": "x", "items": []}), True, "works", None),
    ("youtube", CHANNELS, (200, {"kind": "x"}), True, "works", None),
    ("youtube", CHANNELS, (200, {"items": [3]}), True, "works", None),
    ("youtube", CHANNELS, (200, {"items": {"a": 1}}), False, "nobody expects", None),
    ("youtube", CHANNELS, (401, {"error": {"code": 401}}), False, "does not take", None),
    ("youtube", CHANNELS, (403, {"error": {"errors": [{"reason": "quotaExceeded"}]}}), False,
     "quota", None),
    ("youtube", CHANNELS, (403, {"error": {"errors": [{"reason": ["x"]}, 5]}}), False,
     "switch the API on", None),
    ("youtube", CHANNELS, (403, b"<html>"), False, "switch the API on", None),
    ("kick", KICK_USERS, USER, True, "works", "Anna"),
    ("kick", KICK_USERS, (401, {"message": "Unauthorized", "data": None}), False, "log in", None),
    ("kick", KICK_USERS, (200, {"data": []}), False, "nobody expects", None),
    ("kick", KICK_USERS, requests.Timeout(MARK), False, "cannot be reached", None),
    ("kick", KICK_USERS, (429, {}), False, "fewer requests", None),
    ("kick", KICK_USERS, (502, MARK.encode()), False, "fault of its own", None),
    ("kick", KICK_USERS, (302, b"", {"Location": "https://x/"}), False, "nobody expects", None),
]


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        yield one


@pytest.mark.parametrize("platform, url, answer, success, words, username", API_TESTS)
def test_an_api_login_is_tried(
    world: Home, platform: str, url: str, answer: Any, success: bool, words: str,
    username: str | None,
) -> None:
    world.put(platform, {"access_token": secret("a")})
    world.web.tell(url, answer)
    tested = world.credentials.test(platform)
    assert (tested.platform, tested.success, tested.username) == (platform, success, username)
    assert words in tested.message and "API login" in tested.message
    assert MARK not in tested.message
    (asked,) = world.web.asked
    assert asked.headers["Authorization"].split() == [
        "OAuth" if platform == "twitch" else "Bearer", secret("a")]
    after = status(world, platform)
    if success:
        assert after is LoginStatus.CONNECTED
        assert world.view(platform).last_validated == world.now
        assert world.events() == [("platform_auth_updated", platform, API)]
    elif isinstance(answer, tuple) and answer[0] == 401:
        assert after is LoginStatus.EXPIRED
        assert world.events() == [(EXPIRED, platform, API)]
    else:
        assert after is LoginStatus.UNVERIFIED
        assert world.events() == []


@pytest.mark.parametrize("answer, success", [
    ((200, {"data": {"active": True, "client_id": "ki-app", "scope": "a b"}}), True),
    ((200, {"data": {"active": False}}), False), ((401, {}), False), ((200, {}), False),
    ((200, {"data": {"active": "yes"}}), False),
])
def test_a_kick_token_that_may_not_say_whose_it_is(
    world: Home, answer: Any, success: bool
) -> None:
    world.put("kick", {"access_token": secret("a"), "username": "Anna"})
    world.web.tell(KICK_USERS, (403, {"message": "Forbidden"}))
    world.web.tell(KICK_INTROSPECT, answer)
    tested = world.credentials.test("kick")
    assert (tested.success, tested.username) == (success, "Anna" if success else None)


@pytest.mark.parametrize("location, page, outcome, words", [
    (None, b'ytcfg.set({"LOGGED_IN":true})', LoginStatus.CONNECTED, "works"),
    (None, b'ytcfg.set({"LOGGED_IN" : true})', LoginStatus.CONNECTED, "works"),
    (None, b'ytcfg.set({"LOGGED_IN":false})', LoginStatus.EXPIRED, "export them again"),
    (None, b"<html>", LoginStatus.UNVERIFIED, "nobody expects"),
    ("https://accounts.google.com/ServiceLogin?x=" + MARK, b"", LoginStatus.EXPIRED, "export"),
    ("https://www.google.com/sorry/index", b"", LoginStatus.UNVERIFIED, "for a bot"),
    ("https://consent.youtube.com/m", b"", LoginStatus.UNVERIFIED, "nobody expects"),
])
def test_cookies_are_tried(
    world: Home, location: str | None, page: bytes, outcome: LoginStatus, words: str
) -> None:
    world.credentials.put_cookies(COOKIES)
    world.web.tell(ACCOUNT, (302 if location else 200, page,
                             {"Location": location} if location else {}))
    tested = world.credentials.test("youtube")
    assert tested.success is (outcome is LoginStatus.CONNECTED)
    assert words in tested.message
    assert status(world, "youtube") is outcome
    (asked,) = world.web.asked
    assert asked.headers["Cookie"] == (
        f"LOGIN_INFO={secret('info')}; SAPISID={secret('sap')}; SOCS=CAI")


@pytest.mark.parametrize("platform, field, url, answer, outcome", [
    ("twitch", "auth_token", VALIDATE, VALID, LoginStatus.CONNECTED),
    ("twitch", "auth_token", VALIDATE, INVALID, LoginStatus.EXPIRED),
    ("kick", "session_token", KICK_SITE, (200, {"username": "anna"}), LoginStatus.CONNECTED),
    ("kick", "session_token", KICK_SITE, (401, {}), LoginStatus.EXPIRED),
    ("kick", "session_token", KICK_SITE, (403, b"<html>"), LoginStatus.UNVERIFIED),
    ("kick", "session_token", KICK_SITE, (200, b"<html>"), LoginStatus.UNVERIFIED),
])
def test_a_website_token_is_tried(
    world: Home, platform: str, field: str, url: str, answer: Any, outcome: LoginStatus
) -> None:
    world.put(platform, {field: secret("web")})
    world.web.tell(url, answer)
    tested = world.credentials.test(platform)
    assert tested.success is (outcome is LoginStatus.CONNECTED)
    assert "playback login" in tested.message
    assert status(world, platform, PLAYBACK) is outcome
    assert tested.username == ("anna" if tested.success else None)


def test_both_are_tried(world: Home) -> None:
    world.put("kick", {"access_token": secret("a"), "session_token": secret("web")})
    world.web.tell(KICK_USERS, USER)
    world.web.tell(KICK_SITE, (401, {}))
    tested = world.credentials.test("kick")
    assert not tested.success
    assert "The API login works. The playback login does not work" in tested.message
    assert [status(world, "kick", kind) for kind in (API, PLAYBACK)] == [
        LoginStatus.CONNECTED, LoginStatus.EXPIRED]
    assert status(world, "kick") is LoginStatus.EXPIRED


@pytest.mark.parametrize("platform, url, no, yes, token_url", [
    ("twitch", VALIDATE, INVALID, VALID, TWITCH_TOKEN),
    ("youtube", CHANNELS, (401, {}), CHANNEL, GOOGLE_TOKEN),
    ("kick", KICK_USERS, (401, {}), USER, KICK_TOKEN),
])
def test_a_trial_renews_what_is_over(
    world: Home, platform: str, url: str, no: Any, yes: Any, token_url: str
) -> None:
    world.enter(platform)
    world.web.tell(url, no, yes)
    world.web.tell(token_url, granted(1))
    assert world.credentials.test(platform).success
    assert world.credentials.api_token(platform) == secret("access1")


def test_a_trial_of_what_cannot_be_renewed(world: Home) -> None:
    """Once refused it may be tried again; the event is not sent again."""
    world.enter("twitch")
    world.web.tell(VALIDATE, INVALID)
    world.web.tell(TWITCH_TOKEN, not_taken())
    for _ in range(2):
        assert not world.credentials.test("twitch").success
    assert world.events() == [(EXPIRED, "twitch", API)]
    world.web.tell(VALIDATE, VALID)
    assert world.credentials.test("twitch").success
    assert status(world, "twitch") is LoginStatus.CONNECTED
    assert world.events() == [("platform_auth_updated", "twitch", API)]


def test_a_token_that_is_new_and_refused(world: Home) -> None:
    world.enter("twitch")
    world.web.tell(VALIDATE, INVALID)
    world.web.tell(TWITCH_TOKEN, granted(1))
    assert not world.credentials.test("twitch").success
    assert len(world.web.of(TWITCH_TOKEN)) == 1
    assert world.events() == [("platform_auth_updated", "twitch", API)]
