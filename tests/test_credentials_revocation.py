"""Tests of brlib.credentials: what is deleted here is taken back at its platform, if it can be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from brlib.credentials import LoginStatus

from .credentials_home import (
    COOKIES, GOOGLE_REVOKE, GOOGLE_TOKEN, INVALID, KICK_REVOKE, MARK, TWITCH_REVOKE, VALIDATE,
    Home, searched, secret,
)

URLS = {"twitch": TWITCH_REVOKE, "youtube": GOOGLE_REVOKE, "kick": KICK_REVOKE}


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        yield one


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING]


@pytest.mark.parametrize("platform, forms, queries", [
    ("twitch", [{"client_id": "tw-app", "token": secret("access0")}], [""]),
    ("youtube", [{"token": secret("refresh0")}], [""]),
    ("kick", [{}, {}], [f"token={secret('refresh0')}&token_hint_type=refresh_token",
                        f"token={secret('access0')}&token_hint_type=access_token"]),
])
def test_a_deleted_login_is_taken_back(
    world: Home, platform: str, forms: list[dict[str, str]], queries: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After it is gone here, by the worker, once."""
    world.enter(platform)
    world.credentials.delete(platform)
    assert world.web.asked == []
    assert world.view(platform).status is LoginStatus.NOT_CONNECTED
    world.pass_time(3600)
    asked = world.web.of(URLS[platform])
    assert [one.form for one in asked] == forms
    assert [one.url.partition("?")[2] for one in asked] == queries
    assert len(asked) == len(world.web.asked)
    assert warned(caplog) == []


@pytest.mark.parametrize("platform", list(URLS))
def test_a_login_that_cannot_be_renewed(world: Home, platform: str) -> None:
    world.put(platform, {"access_token": secret("a")})
    world.credentials.delete(platform)
    world.run()
    (asked,) = world.web.of(URLS[platform])
    assert secret("a") in (asked.form.get("token"), asked.url.partition("token=")[2].split("&")[0])


@pytest.mark.parametrize("platform", list(URLS))
@pytest.mark.parametrize("answer", [
    (400, {"status": 400, "message": f"Invalid token {MARK}"}), (503, b"oops"), (302, b""),
    (429, {}), requests.Timeout(MARK), requests.ConnectionError(MARK),
])
def test_a_platform_that_does_not_take_it_back(
    world: Home, platform: str, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and a new login is kept good all the same."""
    world.enter(platform)
    world.web.tell(URLS[platform], answer)
    world.credentials.delete(platform)
    assert world.view(platform).status is LoginStatus.NOT_CONNECTED
    world.put(platform, {"access_token": secret("newer")})
    world.pass_time(600)
    (said,) = warned(caplog)
    assert said.startswith(f"{platform}: the login that was deleted here may still be good there")
    assert world.credentials.api_token(platform) == secret("newer")
    assert world.credentials.problems() == []


def test_what_google_has_ended_already_is_fine(
    world: Home, caplog: pytest.LogCaptureFixture
) -> None:
    world.enter("youtube")
    world.web.tell(GOOGLE_REVOKE, (400, {"error": "invalid_token"}))
    world.credentials.delete("youtube")
    world.run()
    assert len(world.web.of(GOOGLE_REVOKE)) == 1
    assert warned(caplog) == []


def test_twitch_wants_to_know_the_app(world: Home, caplog: pytest.LogCaptureFixture) -> None:
    """That of the token where it is known, else the configured one."""
    world.web.tell(VALIDATE, (200, {"client_id": "other-app", "login": "anna"}))
    world.enter("twitch")
    assert world.credentials.test("twitch").success
    world.credentials.delete("twitch")
    world.run()
    assert world.web.of(TWITCH_REVOKE)[0].form["client_id"] == "other-app"
    world.set(twitch_client_id=None)
    world.put("twitch", {"access_token": secret("a")})
    world.credentials.delete("twitch")
    world.run()
    assert len(world.web.of(TWITCH_REVOKE)) == 1
    (said,) = warned(caplog)
    assert "which client id" in said


def test_what_is_not_taken_back(world: Home) -> None:
    """Websites' own logins, which a browser goes on with, and what its platform has refused."""
    world.put("twitch", {"auth_token": secret("web")})
    world.put("kick", {"session_token": secret("web")})
    world.credentials.put_cookies(COOKIES)
    for platform in URLS:
        world.credentials.delete(platform)
    world.put("twitch", {"access_token": secret("a")})
    world.web.tell(VALIDATE, INVALID)
    assert not world.credentials.test("twitch").success
    world.credentials.delete("twitch")
    world.credentials.delete("twitch")
    world.pass_time(60)
    assert [one.url for one in world.web.asked] == [VALIDATE]


def test_another_login_is_not_taken_back(world: Home) -> None:
    """What is entered in place of one is meant to go on, and so is perhaps that one elsewhere."""
    world.enter("youtube")
    world.enter("youtube")
    world.run()
    assert world.web.of(GOOGLE_REVOKE) == world.web.of(GOOGLE_TOKEN) == []
