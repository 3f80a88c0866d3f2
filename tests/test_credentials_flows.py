"""Tests of brlib.credentials: logging in by a device's code and by an address brought back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from brlib.credentials import DeviceLogin, LoginStatus, PlatformNotFound
from brlib.errors import Conflict, PlatformError, Trouble

from .credentials_home import (
    CHANNEL, CHANNELS, GOOGLE_DEVICE, GOOGLE_TOKEN, INVALID, KICK_USERS, MARK, TWITCH_DEVICE,
    TWITCH_REVOKE, TWITCH_TOKEN, VALID, VALIDATE, Asked, Home, granted, not_taken, searched,
    secret,
)

UPDATED = "platform_auth_updated"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TWITCH_PENDING = not_taken("authorization_pending")
GOOGLE_PENDING = (428, {"error": "authorization_pending",
                        "error_description": "Precondition Required"})
SLOW_DOWN = (403, {"error": "slow_down", "error_description": "Forbidden"})
DENIED = (403, {"error": "access_denied", "error_description": "Forbidden"})


def started(n: int = 0, **more: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"device_code": secret(f"device{n}"), "user_code": "ABCD-EFGH",
                 "verification_uri": "https://www.twitch.tv/activate?public=true",
                 "expires_in": 1800, "interval": 5, **more}


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        one.web.tell(TWITCH_DEVICE, started())
        google = {k: v for k, v in started()[1].items() if k != "verification_uri"}
        one.web.tell(GOOGLE_DEVICE, (200, {
            **google, "verification_url": "https://www.google.com/device"}))
        one.web.tell(VALIDATE, VALID)
        one.web.tell(CHANNELS, CHANNEL)
        one.web.tell(KICK_USERS, (200, {"data": [{"user_id": 1, "name": "Anna"}]}))
        yield one


def begin_device(world: Home, platform: str = "twitch") -> DeviceLogin:
    begun = world.credentials.begin(platform)
    assert isinstance(begun, DeviceLogin)
    assert MARK not in repr(begun)
    return begun


# By a code that a person enters elsewhere.


@pytest.mark.parametrize("platform, url, pending, start, name", [
    ("twitch", TWITCH_TOKEN, TWITCH_PENDING,
     {"client_id": "tw-app", "scopes": ""}, "anna"),
    ("youtube", GOOGLE_TOKEN, GOOGLE_PENDING,
     {"client_id": "yt-app", "scope": "https://www.googleapis.com/auth/youtube.readonly"},
     "Anna's"),
])
def test_a_device_login(
    world: Home, platform: str, url: str, pending: Any, start: dict[str, str], name: str
) -> None:
    begun = begin_device(world, platform)
    assert (begun.flow, begun.user_code, begun.expires_in, begun.interval) == (
        "device", "ABCD-EFGH", 1800, 5)
    assert begun.verification_uri.startswith("https://www.")
    asked = world.web.asked[0].form
    assert {key: asked.get(key, "") for key in start} == start
    world.web.tell(url, pending, pending, granted(1))
    world.pass_time(4)
    assert world.web.of(url) == []
    world.pass_time(11)
    polls = [one.form for one in world.web.of(url)]
    assert len(polls) == 3
    assert {(one["device_code"], one["grant_type"]) for one in polls} == {
        (secret("device0"), DEVICE_GRANT)}
    assert [one.get("client_secret") for one in polls] == [
        None if platform == "twitch" else secret("yt-app")] * 3
    assert world.credentials.api_token(platform) == secret("access1")
    view = world.view(platform)
    assert (view.status, view.username) == (LoginStatus.CONNECTED, name)
    assert view.last_validated == world.now
    assert world.events() == [(UPDATED, platform, "api")]
    world.pass_time(60)
    assert len(world.web.of(url)) == 3


def test_a_platform_that_wants_fewer_questions(world: Home) -> None:
    begin_device(world, "youtube")
    world.web.tell(GOOGLE_TOKEN, SLOW_DOWN, SLOW_DOWN, GOOGLE_PENDING)
    world.pass_time(5 + 10 + 15 + 15)
    assert len(world.web.of(GOOGLE_TOKEN)) == 4
    world.restart()
    world.pass_time(14)
    assert len(world.web.of(GOOGLE_TOKEN)) == 4
    world.pass_time(1)
    assert len(world.web.of(GOOGLE_TOKEN)) == 5


@pytest.mark.parametrize("answer", [
    requests.ConnectionError(MARK), requests.Timeout(MARK), (500, b""), (503, {}),
    (429, {}, {"Retry-After": "30"}), (302, b"", {"Location": f"https://evil/{MARK}"}),
    (200, b"<html>"), (200, {"access_token": "with space"}), (200, [1]),
])
def test_what_ends_no_device_login(world: Home, answer: Any) -> None:
    begin_device(world)
    world.web.tell(TWITCH_TOKEN, answer, granted(1))
    world.pass_time(35)
    assert world.credentials.api_token("twitch") == secret("access1")


@pytest.mark.parametrize("platform, url, answer, words", [
    ("twitch", TWITCH_TOKEN, not_taken("invalid device code"), "used or is over"),
    ("twitch", TWITCH_TOKEN, not_taken(f"who knows {MARK}"), "used or is over"),
    ("twitch", TWITCH_TOKEN, not_taken("missing client secret"), "missing client secret"),
    ("youtube", GOOGLE_TOKEN, DENIED, "was denied"),
    ("youtube", GOOGLE_TOKEN, (400, {"error": "expired_token"}), "used or is over"),
    ("youtube", GOOGLE_TOKEN, (400, {"error": "invalid_grant"}), "used or is over"),
    ("youtube", GOOGLE_TOKEN, (401, {"error": "invalid_client"}), "invalid_client"),
    ("youtube", GOOGLE_TOKEN, (403, {"error": "org_internal"}), "org_internal"),
])
def test_what_ends_a_device_login(
    world: Home, platform: str, url: str, answer: Any, words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begin_device(world, platform)
    world.web.tell(url, answer)
    world.pass_time(120)
    assert len(world.web.of(url)) == 1
    assert words in caplog.text
    assert world.view(platform).status is LoginStatus.NOT_CONNECTED
    assert world.events() == []


def test_nobody_enters_the_code(world: Home) -> None:
    begin_device(world)
    world.web.tell(TWITCH_TOKEN, TWITCH_PENDING)
    world.pass_time(1800)
    asked = len(world.web.of(TWITCH_TOKEN))
    assert 350 <= asked <= 360
    world.pass_time(600)
    assert len(world.web.of(TWITCH_TOKEN)) == asked
    assert world.store.login_flows.find_all() == []


@pytest.mark.parametrize("away_s", [0, 60, 1700])
def test_a_restart_in_the_middle(world: Home, away_s: int) -> None:
    begin_device(world)
    world.web.tell(TWITCH_TOKEN, TWITCH_PENDING, granted(1))
    world.pass_time(5)
    world.restart(away_s)
    world.pass_time(5)
    assert world.credentials.api_token("twitch") == secret("access1")


def test_a_restart_after_its_end(world: Home) -> None:
    begin_device(world)
    world.restart(1801)
    world.pass_time(60)
    assert world.web.of(TWITCH_TOKEN) == []


@pytest.mark.parametrize("jump", [timedelta(days=-4000), timedelta(seconds=900)])
def test_clocks_that_jump_end_no_device_login(world: Home, jump: timedelta) -> None:
    begin_device(world)
    world.web.tell(TWITCH_TOKEN, TWITCH_PENDING, granted(1))
    world.pass_time(5)
    world.now += jump
    world.pass_time(5)
    assert world.credentials.api_token("twitch") == secret("access1")


def test_several_codes_at_once(world: Home) -> None:
    """Whichever is entered counts; of more than five the oldest end."""
    world.web.tell(TWITCH_DEVICE, *(started(n) for n in range(8)))
    world.web.tell(TWITCH_TOKEN, TWITCH_PENDING)
    for _ in range(8):
        begin_device(world)
        world.now += timedelta(seconds=1)
    world.pass_time(5)
    polled = {one.form["device_code"] for one in world.web.of(TWITCH_TOKEN)}
    assert polled == {secret(f"device{n}") for n in range(3, 8)}


def test_a_login_deleted_meanwhile_is_not_kept(world: Home) -> None:
    def confirm(asked: Asked) -> Any:
        world.credentials.delete("twitch")
        return granted(1)

    begin_device(world)
    world.web.tell(TWITCH_TOKEN, confirm)
    world.pass_time(60)
    assert world.view("twitch").status is LoginStatus.NOT_CONNECTED
    assert len(world.web.of(TWITCH_TOKEN)) == 1
    # Nor is it left good at its platform.
    assert [one.form["token"] for one in world.web.of(TWITCH_REVOKE)] == [secret("access1")]


def test_another_app_meanwhile(world: Home) -> None:
    begin_device(world)
    world.set(twitch_client_id="another")
    world.pass_time(60)
    assert world.web.of(TWITCH_TOKEN) == []


def test_whose_login_it_is_may_be_learned_later(world: Home) -> None:
    begin_device(world)
    world.web.tell(TWITCH_TOKEN, granted(1))
    world.web.tell(VALIDATE, (503, b""), VALID)
    world.pass_time(5)
    view = world.view("twitch")
    assert (view.status, view.username) == (LoginStatus.CONNECTED, None)
    assert world.events() == [(UPDATED, "twitch", "api")]
    world.pass_time(3600)
    assert world.view("twitch").username == "anna"


@pytest.mark.parametrize("answer, words", [
    ((400, {"status": 400, "message": "invalid client"}), "does not take the app"),
    ((401, {"error": "invalid_client", "error_description": "Invalid client type."}), "type"),
    ((500, b""), "fault of its own"), ((404, b""), "HTTP 404"), ((200, {}), "without a code"),
    (started(verification_uri="javascript:alert(1)"), "without a code"),
    (started(device_code="a b"), "without a code"), (started(user_code="\n"), "without a code"),
    (requests.ConnectionError(MARK), "cannot be reached"),
])
def test_a_start_that_fails(world: Home, answer: Any, words: str) -> None:
    world.web.tell(TWITCH_DEVICE, answer)
    with pytest.raises(PlatformError, match=words) as caught:
        world.credentials.begin("twitch")
    assert MARK not in str(caught.value)
    assert world.store.login_flows.find_all() == []


@pytest.mark.parametrize("more, expires_in, interval", [
    ({"expires_in": "900", "interval": "7"}, 900, 7), ({"interval": None}, 1800, 5),
    ({"expires_in": 10 ** 9, "interval": 10 ** 9}, 3600, 60), ({"interval": 0}, 1800, 5),
    ({"expires_in": -1, "interval": True}, 1800, 5), ({"interval": 1e400}, 1800, 5),
])
def test_times_of_a_code(
    world: Home, more: dict[str, Any], expires_in: int, interval: int
) -> None:
    world.web.tell(TWITCH_DEVICE, started(**more))
    begun = begin_device(world)
    assert (begun.expires_in, begun.interval) == (expires_in, interval)


# What must be configured.


@pytest.mark.parametrize("platform, options, words", [
    ("twitch", {}, None),
    ("twitch", {"twitch_client_secret": "s"}, None),
    ("twitch", {"twitch_client_id": None}, "Set twitch_client_id: make an app"),
    ("twitch", {"twitch_client_id": ""}, "Set twitch_client_id"),
    ("youtube", {}, None),
    ("youtube", {"youtube_client_secret": None}, "Set youtube_client_secret: "),
    ("youtube", {"youtube_client_id": None, "youtube_client_secret": None,
                 "youtube_api_key": "k"},
     "Set youtube_client_id and youtube_client_secret: "),
    ("kick", {}, None),
    ("kick", {"kick_client_secret": None}, "redirect URL http://localhost/kick"),
])
def test_availability(
    world: Home, platform: str, options: dict[str, Any], words: str | None
) -> None:
    world.set(**options)
    found = {one.platform: one for one in world.credentials.availability()}
    assert list(found) == ["twitch", "youtube", "kick"]
    one = found[platform]
    assert (one.available, one.flow) == (
        words is None, "redirect" if platform == "kick" else "device")
    assert (one.reason is None) == (words is None)
    if words is not None:
        assert words in str(one.reason)
        with pytest.raises(Conflict, match="Set "):
            world.credentials.begin(platform)


def test_a_platform_without_logins(world: Home) -> None:
    for act in (world.credentials.begin, world.credentials.callback, world.credentials.get,
                world.credentials.delete, world.credentials.test):
        with pytest.raises(PlatformNotFound):
            act("url")
    with pytest.raises(PlatformNotFound):
        world.put("myspace", {})


def test_rate_limits_reach_the_caller(world: Home) -> None:
    world.web.tell(TWITCH_DEVICE, (429, {}, {"Retry-After": "7"}))
    with pytest.raises(PlatformError) as caught:
        world.credentials.begin("twitch")
    assert (caught.value.trouble, caught.value.retry_after_s) == (Trouble.RATE_LIMITED, 7.0)


def test_a_login_replaces_one_that_has_expired(world: Home) -> None:
    world.put("twitch", {"access_token": secret("old")})
    world.web.tell(VALIDATE, INVALID, VALID)
    world.pass_time(3600)
    assert world.view("twitch").status is LoginStatus.EXPIRED
    begin_device(world)
    world.web.tell(TWITCH_TOKEN, granted(1))
    world.pass_time(5)
    assert world.view("twitch").status is LoginStatus.CONNECTED
    assert [event[0] for event in world.events()] == ["platform_auth_expired", UPDATED]
