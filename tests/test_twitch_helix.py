"""Platform `twitch` with an app or a login: Helix, the app's token, and doing without."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Broadcast
from brlib.platforms.base import App, Offline

from .standin.base import Answer, Cut, Reply
from .standin.twitch import GQL, HELIX, ID, refused
from .twitch_world import NOW, SECRET, World, at_once, channel, channels, new_world


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as one:
        yield one


@pytest.mark.parametrize("login", [False, True])
def test_helix_asks_who_exists_only_once_a_day(world: World, login: bool) -> None:
    world.use_login() if login else world.use_app()
    for one in channels(249):
        world.host.add(one.name)
    for one in channels(30):
        world.host.go_live(one.name)
    checked = world.twitch.check_many(channels(250))
    assert all(isinstance(checked[one.id], Broadcast) for one in channels(30))
    assert world.asked(HELIX, "/helix/streams") == world.asked(HELIX, "/helix/users") == 3
    world.host.go_offline("name0")
    world.standin.clear()
    checked = world.twitch.check_many(channels(250))
    assert world.asked("*") == world.asked(HELIX, "/helix/streams") == 3
    assert checked["ch_name0"] == checked["ch_name248"] == Offline()
    assert isinstance(checked["ch_name249"], PlatformError)
    world.host.add("name249")
    world.now_s += 3600.0
    assert world.twitch.check_many(channels(250))["ch_name249"] == Offline()
    assert world.asked(HELIX, "/helix/users") == 1
    del world.host.users["name7"]
    world.now_s += 86_400.0
    gone = world.twitch.check_many(channels(8))["ch_name7"]
    assert isinstance(gone, PlatformError) and gone.trouble is Trouble.NOT_FOUND


def test_a_person_who_asks_hears_of_a_new_channel(world: World) -> None:
    world.use_app()
    assert world.trouble("somebody").trouble is Trouble.NOT_FOUND
    world.host.add("somebody")
    assert world.trouble("somebody").trouble is Trouble.NOT_FOUND
    one = channel()
    assert world.twitch.check_many([one], fresh=True) == {one.id: Offline()}


def test_who_exists_cannot_be_told(world: World) -> None:
    """The others have their answers; nothing is said of those that are absent."""
    world.use_app()
    world.host.go_live("somebody")
    fault = world.standin.fail(HELIX, Reply(503), "/helix/users")
    checked = world.twitch.check_many([channel(), channel("nobody")])
    assert isinstance(checked["ch_somebody"], Broadcast)
    assert isinstance(checked["ch_nobody"], PlatformError)
    world.standin.heal(fault)
    assert world.trouble("nobody").trouble is Trouble.NOT_FOUND
    # What was known holds until it can be looked up again.
    world.host.go_offline("somebody")
    world.now_s += 100_000.0
    world.standin.fail(HELIX, Reply(503), "/helix/users")
    assert world.twitch.check(channel()) is None
    assert world.trouble("nobody").trouble is Trouble.NOT_FOUND


@pytest.mark.parametrize(("answer", "trouble", "retry_s"), [
    (Reply(429, headers={"Ratelimit-Reset": str(int(NOW.timestamp()) + 42)}),
     Trouble.RATE_LIMITED, 42.0),
    (Reply(503), Trouble.ERROR, None), (Reply(403), Trouble.BLOCKED, None),
    (Reply(200, b"<html>"), Trouble.ERROR, None), (Reply.json({"data": {}}), Trouble.ERROR, None),
    (Reply.json({"data": [{"id": "1"}]}), Trouble.ERROR, None), (Cut(), Trouble.ERROR, None),
])
def test_helix_fails(
    world: World, answer: Answer, trouble: Trouble, retry_s: float | None
) -> None:
    """And nobody else is asked: GQL is no way around a limit."""
    world.use_app()
    world.standin.fail(HELIX, answer, "/helix/streams")
    error = world.trouble()
    assert (error.trouble, error.retry_after_s) == (trouble, retry_s)
    assert world.asked(GQL) == 0


def test_a_login_that_helix_finds_malformed(world: World) -> None:
    world.use_app()
    world.host.go_live("somebody")
    world.standin.fail(HELIX, refused(400, "Bad Request", "Invalid login names"))
    assert world.twitch.check(channel()) is not None
    assert world.asked(GQL) == 1


# Tokens for the API.

def test_the_app_token_is_fetched_once_and_renewed_early(world: World) -> None:
    world.use_app()
    world.host.app_token_life_s = 5000
    world.host.go_live("somebody")
    for second, fetched in ((0, 1), (1, 1), (4399, 1), (4401, 2), (8000, 2)):
        world.now_s = float(second)
        assert world.twitch.check(channel()) is not None
        assert world.asked(ID) == fetched
    assert world.asked(HELIX) == 5 and world.asked(GQL) == 0


def test_an_app_token_that_ended_early(world: World) -> None:
    world.use_app()
    world.host.go_live("somebody")
    world.twitch.check(channel())
    world.host.expire_app_tokens()
    assert world.twitch.check(channel()) is not None
    assert world.asked(ID) == 2 and world.asked(HELIX) == 3


def test_a_good_token_is_used_while_a_new_one_is_not_to_be_had(world: World) -> None:
    world.use_app()
    world.host.app_token_life_s = 5000
    world.host.go_live("somebody")
    world.twitch.check(channel())
    world.standin.fail(ID, Reply(503))
    world.now_s = 4500.0
    assert world.twitch.check(channel()) is not None
    world.now_s = 5001.0
    assert world.trouble().trouble is Trouble.ERROR


@pytest.mark.parametrize(("client_id", "secret"), [("client-id", "wrong-secret"), ("who", "what")])
def test_an_app_that_twitch_does_not_take(
    world: World, client_id: str, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Checks go on without it, and it is tried again only later or when it was changed."""
    world.use_app()
    world.keys.given_app = App(client_id, secret)
    world.host.go_live("somebody")
    for _ in range(3):
        assert world.twitch.check(channel()) is not None
    assert world.asked(ID) == 1 and world.asked(GQL) == 3
    assert [record.levelno for record in caplog.records if "client_secret" in record.message] \
        == [logging.WARNING]
    assert secret not in caplog.text
    world.now_s = 601.0
    world.twitch.check(channel())
    assert world.asked(ID) == 2
    world.keys.given_app = App("client-id", SECRET)
    world.twitch.check(channel())
    assert world.asked(HELIX, "/helix/streams") == 1


def test_helix_takes_no_token_of_the_app(world: World) -> None:
    world.use_app()
    world.host.go_live("somebody")
    world.standin.fail(HELIX, refused(401, "Unauthorized", "Invalid OAuth token"))
    assert world.twitch.check(channel()) is not None
    assert world.twitch.check(channel()) is not None
    assert (world.asked(ID), world.asked(HELIX), world.asked(GQL)) == (2, 2, 2)
    assert world.keys.refusals == []


@pytest.mark.parametrize("answer", [
    Reply(200, b"<html>"), Reply.json({}), Reply.json({"access_token": ""}), Reply(429), Cut()])
def test_no_token_to_be_had(world: World, answer: Answer) -> None:
    world.use_app()
    world.standin.fail(ID, answer)
    world.trouble()
    assert world.asked(HELIX) == 0


def test_a_login_that_ended(world: World) -> None:
    world.use_login()
    world.host.users_by_token.clear()
    world.host.go_live("somebody")
    assert world.twitch.check(channel()) is not None
    assert world.keys.refusals == [("twitch", "api", "Invalid OAuth token")]
    assert world.asked(GQL) == 1


def test_many_threads_ask_for_one_token(world: World) -> None:
    world.use_app()
    for one in channels(60):
        world.host.go_live(one.name)
    found: list[Broadcast | None] = []

    def some(first: int) -> None:
        found.extend(world.twitch.check(one) for one in channels(60)[first::6])

    at_once([partial(some, first) for first in range(6)])
    assert len(found) == 60 and all(found)
    assert {broadcast.id for broadcast in found if broadcast} == {
        user.live.id for user in world.host.users.values() if user.live}
    assert world.asked(ID) == 1 and len(world.twitch._web._idle) <= 6


def test_close_while_a_check_is_on_its_way(world: World) -> None:
    world.host.add("somebody")
    begun, go_on = threading.Event(), threading.Event()

    def slow(request: object) -> bool:
        begun.set()
        return not go_on.wait(5.0)

    def close() -> None:
        assert begun.wait(5.0)
        world.twitch.close()
        go_on.set()

    world.standin.fail(GQL, Reply(500), when=slow)
    at_once([lambda: world.twitch.check(channel()), close])
    assert world.twitch._web._idle == []
