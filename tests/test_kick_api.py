"""Kick's API against the stand-in: who is live, what a broadcast is called, and who is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Broadcast, iso
from brlib.platforms.base import App, Offline
from brlib.platforms.kick import Kick

from .kick_world import APP, CHANNELS, STREAMS, Scene, channel, new_scene
from .standin.base import Reply
from .standin.kick import API, LOGIN, SITE, STARTED

HOUR_S, DAY_S = 3600.0, 86_400.0
START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as one:
        one.logins.given_app = APP
        yield one


@pytest.fixture
def kick(scene: Scene) -> Kick:
    return scene.kick


def trouble(scene: Scene, name: str) -> Trouble:
    with pytest.raises(PlatformError) as caught:
        scene.kick.check(channel(name))
    return caught.value.trouble


def test_live_with_an_app(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True, category=None)
    broadcast = kick.check(channel("chess"))
    assert broadcast is not None and broadcast.started_at is not None
    assert (broadcast.id, broadcast.title, broadcast.category, broadcast.viewers) == (
        "2026-03-04T05:06:07Z", "Blitz", None, 12)
    assert broadcast.started_at.isoformat() == "2026-03-04T05:06:07+00:00"
    assert broadcast.display_name == "Chess"
    assert broadcast.thumbnail_url == "https://images.kick.com/thumb.webp"
    assert scene.standin.asked(SITE) == []


def test_a_hundred_channels_are_two_requests_and_then_one(scene: Scene, kick: Kick) -> None:
    channels = [channel(f"c{n}") for n in range(100)]
    for number, one in enumerate(channels):
        scene.host.add(one.name, live=number % 2 == 0)
    assert kick.batch_size == 100
    for _ in range(2):
        found = kick.check_many(channels)
        assert [isinstance(found[one.id], Broadcast) for one in channels] == [True, False] * 50
        assert set(map(type, found.values())) == {Broadcast, Offline}
    # Fifty slugs a request, once; one token.
    assert scene.asked(CHANNELS) == 2
    assert scene.asked(STREAMS) == 2
    assert len(scene.standin.asked(LOGIN)) == 1
    assert len(scene.ids) == 100


def test_a_token_is_renewed_when_it_ends_or_is_refused(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True)
    scene.host.token_lasts_s = "7200"
    logins: Callable[[], int] = lambda: len(scene.standin.asked(LOGIN))
    kick.check(channel("chess"))
    scene.clock_s = 7100.0
    kick.check(channel("chess"))
    assert logins() == 1
    scene.clock_s = 7141.0
    kick.check(channel("chess"))
    assert logins() == 2
    scene.host.api_tokens.clear()
    assert kick.check(channel("chess")) is not None
    assert logins() == 3
    assert scene.logins.refusals == []


@pytest.mark.parametrize("app", [App("kick-app", "wrong-secret"), APP])
def test_an_app_that_is_not_taken(app: App, scene: Scene, kick: Kick) -> None:
    scene.logins.given_app = app
    scene.host.add("chess")
    scene.standin.fail(API, Reply.json({"message": "Unauthorized"}, 401))
    with pytest.raises(PlatformError, match="kick_client_id") as raised:
        kick.check(channel("chess"))
    assert raised.value.trouble is Trouble.LOGIN_EXPIRED
    assert scene.logins.refusals == [("kick", "api")]


@pytest.mark.parametrize("answer", [
    {"data": [], "message": "Internal error"}, {"data": [], "message": "Unauthorized"},
    {"data": [], "message": ["OK"]}, {"data": None, "message": "OK"}, {"message": "OK"},
])
@pytest.mark.parametrize("path", [STREAMS, CHANNELS])
def test_what_does_not_say_that_nobody_is_live(
    scene: Scene, kick: Kick, path: str, answer: dict[str, Any]
) -> None:
    scene.host.add("chess", live=True)
    scene.standin.fail(API, Reply.json(answer), path)
    assert trouble(scene, "chess") is Trouble.ERROR
    scene.standin.heal()
    assert isinstance(kick.check(channel("chess")), Broadcast)


@pytest.mark.parametrize("message", [
    {"message": "OK"}, {"message": "success"}, {"message": ""}, {}])
def test_what_does_say_it(scene: Scene, kick: Kick, message: dict[str, str]) -> None:
    scene.host.add("chess")
    assert kick.check(channel("chess")) is None
    scene.standin.fail(API, Reply.json({"data": [], **message}), STREAMS)
    assert kick.check(channel("chess")) is None


# What a broadcast is called.


@pytest.mark.parametrize("later_s", [0, 1, 119, -119])
@pytest.mark.parametrize("app_first", [True, False])
def test_an_app_that_comes_or_goes_makes_no_other_broadcast(
    scene: Scene, kick: Kick, later_s: int, app_first: bool
) -> None:
    """The site may be off by a little about when it began; a restart changes nothing."""
    site_says = START + timedelta(seconds=later_s)
    scene.host.add("chess", live=True, shape={
        "created_at": site_says.replace(tzinfo=None).isoformat(" ")})
    known, seen = channel("chess"), set()
    for app in (app_first, not app_first, app_first):
        scene.logins.given_app = APP if app else None
        broadcast = scene.kick.check(known)
        assert broadcast is not None
        seen.add(broadcast.id)
        known = channel("chess", broadcast_id=broadcast.id, live_since=broadcast.started_at)
        scene.restart()
    assert seen == {STARTED if app_first else iso(site_says)}


@pytest.mark.parametrize(("known", "wanted"), [
    ({}, STARTED),
    ({"broadcast_id": "2026-03-04T05:04:07Z"}, "2026-03-04T05:04:07Z"),
    ({"broadcast_id": "2026-03-04T05:04:06Z"}, STARTED),
    ({"broadcast_id": "2026-03-04T05:08:08Z"}, STARTED),
    # What began again while it was being recorded counts from then on.
    ({"broadcast_id": "2026-03-04T05:06:00Z", "live_since": START - timedelta(hours=3)},
     "2026-03-04T05:06:00Z"),
    ({"broadcast_id": "uuid-5", "live_since": START}, "uuid-5"),
    ({"broadcast_id": "uuid-4", "live_since": START - timedelta(hours=3)}, STARTED),
    ({"live_since": START}, STARTED),
])
def test_the_id_is_the_start(
    scene: Scene, kick: Kick, known: dict[str, Any], wanted: str
) -> None:
    scene.host.add("chess", live=True)
    broadcast = kick.check(channel("chess", **known))
    assert broadcast is not None and broadcast.id == wanted


@pytest.mark.parametrize("app", [APP, None])
def test_without_a_start_there_is_no_id(scene: Scene, kick: Kick, app: App | None) -> None:
    scene.logins.given_app = app
    scene.host.add("chess", live=True, started=None, shape={"created_at": None})
    broadcast = kick.check(channel("chess", broadcast_id=STARTED))
    assert broadcast is not None and broadcast.id is None


# Who is gone, and who is called otherwise.


def checks(scene: Scene, times: int, *names: str) -> None:
    for _ in range(times):
        scene.kick.check_many([channel(name) for name in names])


def test_names_are_asked_about_once_a_day(scene: Scene) -> None:
    for name in ("chess", "cooking"):
        scene.host.add(name)
    checks(scene, 5, "chess", "cooking")
    assert scene.asked(CHANNELS) == 1
    scene.clock_s += DAY_S - 1.0
    checks(scene, 1, "chess", "cooking")
    assert scene.asked(CHANNELS) == 1
    scene.clock_s += 1.0
    checks(scene, 5, "chess", "cooking")
    assert scene.asked(CHANNELS) == 2
    # As many times after a restart, and by many at once.
    scene.restart()
    checks(scene, 5, "chess", "cooking")
    assert scene.asked(CHANNELS) == 3


def test_who_is_seen_live_is_not_asked_about(scene: Scene, kick: Kick) -> None:
    scene.ids["chess"] = scene.host.add("chess", live=True).user_id
    assert kick.check(channel("chess")) is not None
    assert scene.asked(CHANNELS) == 0


def test_a_channel_that_was_deleted(scene: Scene) -> None:
    """Found among others by one request a check, and remembered across restarts."""
    names = [f"c{number}" for number in range(60)]
    for name in names:
        scene.host.add(name)
    checks(scene, 1, *names)
    del scene.host.channels["c7"]
    scene.clock_s += DAY_S
    asked = scene.asked(CHANNELS)
    for number in range(20):
        checks(scene, 1, *names)
        assert scene.asked(CHANNELS) <= asked + number + 1
    assert trouble(scene, "c7") is Trouble.NOT_FOUND
    found = scene.kick.check_many([channel(name) for name in names])
    assert [one for one in found.values() if one != Offline()] == [found["ch_c7"]]
    scene.restart()
    assert trouble(scene, "c7") is Trouble.NOT_FOUND


def test_a_channel_that_comes_back(scene: Scene, kick: Kick) -> None:
    """Within the hour where its name is asked about, at once where it is live."""
    gone = scene.host.add("chess")
    kick.check(channel("chess"))
    del scene.host.channels["chess"]
    scene.clock_s += DAY_S
    checks(scene, 1, "chess")
    assert trouble(scene, "chess") is Trouble.NOT_FOUND
    asked = scene.asked(CHANNELS)
    scene.host.channels["chess"] = gone
    gone.live = True
    assert kick.check(channel("chess")) is not None
    gone.live = False
    assert kick.check(channel("chess")) is None
    assert scene.asked(CHANNELS) == asked


def test_a_deleted_channel_is_asked_about_once_an_hour(scene: Scene) -> None:
    scene.ids["chess"] = 4711
    checks(scene, 10, "chess")
    assert scene.asked(CHANNELS) == 1
    scene.clock_s += HOUR_S
    checks(scene, 10, "chess")
    assert scene.asked(CHANNELS) == 2
    scene.host.add("chess")
    scene.clock_s += HOUR_S
    checks(scene, 1, "chess")
    assert scene.kick.check(channel("chess")) is None


def test_a_channel_that_is_called_otherwise(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True)
    assert kick.check(channel("chess")) is not None
    scene.host.rename("chess", "checkers")
    scene.clock_s += HOUR_S
    with pytest.raises(PlatformError, match="is called checkers now") as caught:
        kick.check(channel("chess"))
    assert caught.value.trouble is Trouble.NOT_FOUND
    asked = scene.asked(CHANNELS)
    checks(scene, 5, "chess")
    assert scene.asked(CHANNELS) == asked
    assert kick.check(channel("checkers")) is not None
    scene.host.channels["checkers"].live = False
    assert trouble(scene, "chess") is Trouble.NOT_FOUND


def test_a_name_that_is_somebody_else_s_now(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True)
    kick.check(channel("chess"))
    scene.host.rename("chess", "checkers")
    scene.host.add("chess", live=True, title="Another")
    scene.clock_s += HOUR_S
    with pytest.raises(PlatformError, match="somebody else's"):
        kick.check(channel("chess"))
    broadcast = kick.check(channel("chess"))
    assert broadcast is not None and broadcast.title == "Another"


def test_an_api_that_calls_a_channel_otherwise_than_its_site(scene: Scene, kick: Kick) -> None:
    """Its answer for the slug counts; it is asked for that once an hour."""
    one = scene.host.add("chess", live=True)
    scene.ids["chess"] = one.user_id
    one.slug = "chess-club"
    scene.standin.fail(API, Reply.json({"message": "OK", "data": [
        {"slug": "chess", "broadcaster_user_id": one.user_id}]}), CHANNELS)
    for _ in range(5):
        assert kick.check(channel("chess")) is not None
    assert scene.asked(CHANNELS) == 1


@pytest.mark.parametrize("answer", [Reply(500), Reply(429), Reply.json({"message": "Oops"})])
def test_names_that_cannot_be_asked_about(scene: Scene, kick: Kick, answer: Reply) -> None:
    """Nothing is known then, and for ten minutes nobody asks."""
    scene.ids["chess"] = scene.host.add("chess").user_id
    scene.standin.fail(API, answer, CHANNELS)
    checks(scene, 5, "chess")
    assert kick.check(channel("chess")) is None
    assert scene.asked(CHANNELS) == 1
    scene.clock_s += 600.0
    scene.standin.heal()
    checks(scene, 5, "chess")
    assert scene.asked(CHANNELS) == 2
