"""Tests of brlib.credentials: logging in by an address that a person brings back."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from brlib.credentials import LoginStatus, RedirectLogin
from brlib.errors import Conflict, Invalid, PlatformError, RecorderError

from .credentials_home import (
    KICK_REVOKE, KICK_TOKEN, KICK_USERS, MARK, TWITCH_DEVICE, Asked, Home, granted, searched,
    secret,
)

UPDATED = "platform_auth_updated"
REDIRECT_URI = "http://localhost/kick"


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    with searched(tmp_path, caplog) as one:
        one.web.tell(KICK_USERS, (200, {"data": [{"user_id": 1, "name": "Anna"}]}))
        one.web.tell(TWITCH_DEVICE, (200, {
            "device_code": secret("device"), "user_code": "ABCD", "interval": 5,
            "verification_uri": "https://www.twitch.tv/activate", "expires_in": 1800}))
        yield one


def begin_redirect(world: Home) -> RedirectLogin:
    begun = world.credentials.begin("kick")
    assert isinstance(begun, RedirectLogin)
    return begun


def test_a_redirect_login(world: Home) -> None:
    begun = begin_redirect(world)
    parts = urlsplit(begun.auth_url)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://id.kick.com/oauth/authorize"
    assert query == {
        "client_id": "ki-app", "response_type": "code", "redirect_uri": REDIRECT_URI,
        "state": begun.state, "scope": "user:read channel:read",
        "code_challenge": query["code_challenge"], "code_challenge_method": "S256"}
    assert len(begun.state) >= 43
    world.web.tell(KICK_TOKEN, granted(1, "7200", scope="user:read channel:read"))
    view = world.credentials.callback("kick", secret("code"), begun.state)
    assert (view.status, view.username) == (LoginStatus.CONNECTED, "Anna")
    form = world.web.of(KICK_TOKEN)[0].form
    verifier = form.pop("code_verifier")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    assert challenge.decode().rstrip("=") == query["code_challenge"]
    assert form == {
        "client_id": "ki-app", "client_secret": secret("ki-app"), "code": secret("code"),
        "grant_type": "authorization_code", "redirect_uri": REDIRECT_URI}
    assert world.credentials.api_token("kick") == secret("access1")
    assert world.kept("kick").scopes == ("user:read", "channel:read")
    assert world.events() == [(UPDATED, "kick", "api")]


@pytest.mark.parametrize("address", [
    "{uri}?code={code}&state={state}", "  {uri}/?state={state}&code={code}&x=1#_=_\n",
    "localhost/kick?code={code}&state={state}", "?code={code}&state={state}",
])
def test_a_pasted_address(world: Home, address: str) -> None:
    begun = begin_redirect(world)
    world.web.tell(KICK_TOKEN, granted(1))
    world.credentials.callback("kick", redirect_url=address.format(
        uri=REDIRECT_URI, code=secret("code"), state=begun.state))
    assert world.web.of(KICK_TOKEN)[0].form["code"] == secret("code")


def test_a_login_goes_on_after_a_restart(world: Home) -> None:
    begun = begin_redirect(world)
    world.restart(300)
    world.web.tell(KICK_TOKEN, granted(1))
    assert world.credentials.callback(
        "kick", secret("code"), begun.state).status is LoginStatus.CONNECTED


def refused_callback(world: Home, field: str | None, **given: Any) -> None:
    with pytest.raises(Invalid) as caught:
        world.credentials.callback("kick", **given)
    assert [problem.field for problem in caught.value.problems] == ([field] if field else [])
    assert MARK not in str(caught.value)
    assert world.view("kick").status is LoginStatus.NOT_CONNECTED


def test_a_state_is_taken_once_and_for_ten_minutes(world: Home) -> None:
    begun, second = begin_redirect(world), begin_redirect(world)
    world.web.tell(KICK_TOKEN, (400, {"error": "invalid_grant"}), granted(1))
    refused_callback(world, "state", code=secret("code"), state="forged")
    refused_callback(world, "state", code=secret("code"), state=begun.state[:-1])
    refused_callback(world, "code", code=secret("code"), state=begun.state)
    refused_callback(world, "state", code=secret("code"), state=begun.state)
    world.pass_time(600)
    refused_callback(world, "state", code=secret("code"), state=second.state)
    assert len(world.web.of(KICK_TOKEN)) == 1


def test_a_state_is_of_one_platform(world: Home) -> None:
    """The id of a device login is none, either."""
    world.credentials.begin("twitch")
    (flow,) = world.store.login_flows.find_all()
    refused_callback(world, "state", code=secret("code"), state=flow.id)


@pytest.mark.parametrize("given, field", [
    ({}, "code"), ({"code": "a"}, "state"), ({"state": "a"}, "code"),
    ({"code": "", "state": "a"}, "code"), ({"code": "a b", "state": "a"}, "code"),
    ({"code": "a\n", "state": "a"}, "code"), ({"code": "a" * 5000, "state": "a"}, "code"),
    ({"code": "a", "state": "\ud800"}, "state"),
    ({"redirect_url": ""}, "redirect_url"), ({"redirect_url": "http://["}, "redirect_url"),
    ({"redirect_url": REDIRECT_URI}, "redirect_url"),
    ({"redirect_url": REDIRECT_URI + "?code=a"}, "redirect_url"),
    ({"redirect_url": REDIRECT_URI + "?state=a"}, "redirect_url"),
    ({"redirect_url": REDIRECT_URI + "?state=a&code=" + "x" * 9000}, "redirect_url"),
    ({"redirect_url": REDIRECT_URI + "?state=a&code=b%20c"}, "code"),
    ({"redirect_url": REDIRECT_URI + "?state=a&code=b"}, "state"),
])
def test_what_is_no_end_of_a_login(world: Home, given: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        world.credentials.callback("kick", **given)
    assert field in [problem.field for problem in caught.value.problems]


def test_a_person_who_says_no(world: Home) -> None:
    begun = begin_redirect(world)
    denied = f"{REDIRECT_URI}?error=access_denied&state={begun.state}"
    refused_callback(world, "redirect_url", redirect_url=denied)
    refused_callback(world, "state", code=secret("code"), state=begun.state)


@pytest.mark.parametrize("answer, error", [
    ((400, {"error": "invalid_grant"}), Invalid),
    ((401, {"error": "invalid_client"}), PlatformError),
    ((400, {"error": "Invalid request"}), PlatformError),
    ((500, b""), PlatformError), ((429, {}), PlatformError), (requests.Timeout(), PlatformError),
    ((200, {"message": secret("x")}), PlatformError),
])
def test_a_code_that_brings_nothing(
    world: Home, answer: Any, error: type[RecorderError]
) -> None:
    begun = begin_redirect(world)
    world.web.tell(KICK_TOKEN, answer)
    with pytest.raises(error) as caught:
        world.credentials.callback("kick", secret("code"), begun.state)
    assert MARK not in str(caught.value)
    assert world.view("kick").status is LoginStatus.NOT_CONNECTED


@pytest.mark.parametrize("answer", [
    (401, {"error": "invalid_client"}), (500, b""), (429, {}), (302, b""), (200, b"<html>"),
    requests.Timeout(), requests.ConnectionError(),
])
def test_what_failed_can_be_brought_back_again(world: Home, answer: Any) -> None:
    """Also after a restart; and once it is done, no more."""
    begun = begin_redirect(world)
    world.web.tell(KICK_TOKEN, answer, answer, granted(1))
    for _ in range(2):
        with pytest.raises(PlatformError):
            world.credentials.callback("kick", secret("code"), begun.state)
        world.restart(60)
    assert world.credentials.callback(
        "kick", secret("code"), begun.state).status is LoginStatus.CONNECTED
    with pytest.raises(Invalid):
        world.credentials.callback("kick", secret("code"), begun.state)
    assert len(world.web.of(KICK_TOKEN)) == 3


def test_what_failed_can_be_brought_back_for_ten_minutes(world: Home) -> None:
    begun = begin_redirect(world)
    world.web.tell(KICK_TOKEN, (500, b""))
    with pytest.raises(PlatformError):
        world.credentials.callback("kick", secret("code"), begun.state)
    world.pass_time(600)
    refused_callback(world, "state", code=secret("code"), state=begun.state)
    assert world.store.login_flows.find_all() == []


def test_an_app_that_is_taken_away_meanwhile_may_come_back(world: Home) -> None:
    begun = begin_redirect(world)
    world.web.tell(KICK_TOKEN, granted(1))
    world.set(kick_client_secret=None)
    with pytest.raises(Conflict, match="kick_client_secret"):
        world.credentials.callback("kick", secret("code"), begun.state)
    world.set(kick_client_secret=secret("ki-app"))
    assert world.credentials.callback(
        "kick", secret("code"), begun.state).status is LoginStatus.CONNECTED


def test_two_at_once_redeem_it_once(world: Home) -> None:
    """The second comes while the platform thinks, and a third afterwards; time goes on."""
    begun = begin_redirect(world)
    others: list[Exception] = []

    def slowly(asked: Asked) -> Any:
        try:
            world.credentials.callback("kick", secret("code"), begun.state)
        except Conflict as error:
            others.append(error)
        world.now += timedelta(minutes=11)
        world.run()
        return granted(1)

    world.web.tell(KICK_TOKEN, slowly)
    assert world.credentials.callback(
        "kick", secret("code"), begun.state).status is LoginStatus.CONNECTED
    assert len(others) == len(world.web.of(KICK_TOKEN)) == 1
    with pytest.raises(Invalid):
        world.credentials.callback("kick", secret("code"), begun.state)


def test_a_login_that_is_deleted_while_it_is_redeemed(world: Home) -> None:
    begun = begin_redirect(world)

    def delete(asked: Asked) -> Any:
        world.credentials.delete("kick")
        return granted(1)

    world.web.tell(KICK_TOKEN, delete)
    refused_callback(world, "state", code=secret("code"), state=begun.state)
    world.run()
    assert len(world.web.of(KICK_REVOKE)) == 2


def test_another_app_before_the_address_comes_back(world: Home) -> None:
    begun = begin_redirect(world)
    world.set(kick_client_id="another")
    refused_callback(world, "state", code=secret("code"), state=begun.state)


def test_a_login_by_code_has_no_address(world: Home) -> None:
    with pytest.raises(Invalid, match="nothing has to be brought back"):
        world.credentials.callback("twitch", "a", "b")
