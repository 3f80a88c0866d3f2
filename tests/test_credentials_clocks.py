"""Tests of brlib.credentials: clocks that jump, and tokens that are asked about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from brlib.credentials import LoginStatus

from .credentials_home import (
    INVALID, KICK_TOKEN, KICK_USERS, NOW, TWITCH_TOKEN, VALID, VALIDATE, Home, granted, searched,
    secret,
)

HOUR_S, DAY_S = 3600, 86400
UPDATED = ("platform_auth_updated", "twitch", "api")
EXPIRED = ("platform_auth_expired", "twitch", "api")


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        one.web.tell(VALIDATE, VALID)
        yield one


@pytest.mark.parametrize("jump", [timedelta(days=4000), -timedelta(days=4000)])
def test_clocks_that_jump_end_no_login(world: Home, jump: timedelta) -> None:
    """A machine without a clock of its own starts in the past and learns the time later."""
    counted = iter(range(1, 1000))
    world.web.tell(TWITCH_TOKEN, lambda asked: granted(next(counted)))
    world.enter("twitch")
    world.web.tell(VALIDATE, (200, {"client_id": "tw-app", "login": "a", "expires_in": 14400}))
    world.pass_time(HOUR_S)
    world.now += jump
    world.pass_time(HOUR_S + 60)
    world.now -= jump
    world.pass_time(HOUR_S + 60)
    assert world.credentials.api_token("twitch") is not None
    assert EXPIRED not in world.events()
    assert len(world.web.of(TWITCH_TOKEN)) <= 3


def test_what_only_time_ends_is_not_ended_by_a_wrong_clock(world: Home) -> None:
    world.put("youtube", {
        "access_token": secret("a"), "expires_at": NOW + timedelta(days=2)})
    world.now += timedelta(days=1000)
    world.run()
    assert world.view("youtube").status is LoginStatus.EXPIRED
    assert world.credentials.api_token("youtube") is None
    world.now -= timedelta(days=1000)
    world.run()
    assert world.view("youtube").status is LoginStatus.UNVERIFIED
    assert world.credentials.api_token("youtube") == secret("a")
    world.pass_time(3 * DAY_S)
    # Both times, each once.
    assert world.events() == [("platform_auth_expired", "youtube", "api")] * 2


def test_after_a_long_time_without_power(world: Home) -> None:
    world.enter("twitch")
    world.web.tell(TWITCH_TOKEN, granted(1))
    world.restart(30 * DAY_S)
    assert world.credentials.api_token("twitch") is None
    world.run()
    assert world.credentials.api_token("twitch") == secret("access1")


# Validation.


def test_twitch_is_asked_at_the_start_and_every_hour(world: Home) -> None:
    world.enter("twitch", 10 * DAY_S)
    world.web.tell(VALIDATE, (200, {"client_id": "tw-app", "login": "anna"}))
    world.run()
    assert world.web.of(VALIDATE) == []  # it was just entered
    world.restart()
    world.run()
    (asked,) = world.web.of(VALIDATE)
    assert asked.headers["Authorization"] == "OAuth " + secret("access0")
    assert world.events() == [UPDATED]
    world.pass_time(5 * HOUR_S)
    assert len(world.web.of(VALIDATE)) == 6
    view = world.view("twitch")
    assert (view.status, view.username) == (LoginStatus.CONNECTED, "anna")
    assert view.last_validated == world.now


def test_a_token_that_twitch_has_ended_is_renewed(world: Home) -> None:
    world.enter("twitch", 10 * DAY_S)
    world.web.tell(VALIDATE, INVALID, VALID)
    world.web.tell(TWITCH_TOKEN, granted(1))
    world.pass_time(HOUR_S)
    assert world.credentials.api_token("twitch") == secret("access1")


def test_a_token_that_twitch_has_ended_for_good(world: Home) -> None:
    world.put("twitch", {"access_token": secret("access0")})
    world.web.tell(VALIDATE, INVALID)
    world.pass_time(DAY_S)
    assert world.events() == [EXPIRED]
    assert len(world.web.of(VALIDATE)) == 1


def test_a_token_of_another_app_is_not_given_out(world: Home) -> None:
    world.enter("twitch", 10 * DAY_S)
    world.web.tell(VALIDATE, (200, {"client_id": "other-app", "login": "anna"}))
    world.pass_time(HOUR_S)
    assert world.credentials.api_token("twitch") is None
    assert "another client id" in str(world.view("twitch").credentials["api"].problem)
    world.set(twitch_client_id="other-app")
    assert world.credentials.api_token("twitch") == secret("access0")


def test_a_platform_that_took_no_token_is_asked_whether_it_is_good(world: Home) -> None:
    world.enter("kick", 10 * DAY_S)
    world.web.tell(KICK_USERS, (401, {"message": "Unauthorized"}))
    world.web.tell(KICK_TOKEN, granted(1, "7200"))
    world.pass_time(600)
    assert world.web.of(KICK_USERS) == []
    for _ in range(20):
        world.credentials.refused("kick", "api", "HTTP 401")
        world.run()
    assert len(world.web.of(KICK_USERS)) == 1
    assert world.credentials.api_token("kick") == secret("access1")


def test_a_platform_that_errs_about_a_good_token(world: Home) -> None:
    """Once a minute at most, and nothing comes of it."""
    world.enter("kick", 10 * DAY_S)
    world.web.tell(KICK_USERS, (200, {"data": [{"name": "Anna"}]}))
    for _ in range(30):
        world.credentials.refused("kick", "api", f"no {secret('access0')}")
        world.pass_time(10)
    assert 4 <= len(world.web.of(KICK_USERS)) <= 6
    assert world.credentials.api_token("kick") == secret("access0")
