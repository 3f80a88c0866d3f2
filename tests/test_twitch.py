"""Platform `twitch`: names, who is live, what is no healthy answer, and profiles, against the
stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from brlib.errors import Invalid, PlatformError, Trouble
from brlib.models import Broadcast, Channel, utc_now
from brlib.platforms.base import Offline
from brlib.platforms.twitch_api import address, gql_users, refusal

from .standin.base import Answer, Cut, Hang, Reply
from .standin.twitch import GQL, refused
from .twitch_world import NOW, World, channel, channels, new_world


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as one:
        yield one


@pytest.fixture(params=["gql", "app", "login"])
def any_way(request: pytest.FixtureRequest, world: World) -> World:
    """With GQL, with an app's token and with a user's."""
    if request.param == "app":
        world.use_app()
    elif request.param == "login":
        world.use_login()
    return world


# Addresses.

@pytest.mark.parametrize("typed", [
    "somebody", "SomeBody", " @SomeBody ", "https://www.twitch.tv/somebody", "twitch.tv/somebody",
    "http://twitch.tv/SomeBody/", "https://m.twitch.tv/somebody?sr=a#b", "www.twitch.tv/@somebody",
    "HTTPS://WWW.TWITCH.TV/somebody", "https://www.twitch.tv/somebody/videos?filter=all",
])
def test_what_people_type_becomes_a_login(typed: str) -> None:
    found = address(typed)
    assert (found.name, found.url) == ("somebody", "https://www.twitch.tv/somebody")


@pytest.mark.parametrize("typed", ["xqc", "a" * 25, "1_2", "twitch"])
def test_legal_names(typed: str) -> None:
    assert address(typed).name == typed


@pytest.mark.parametrize("typed", [
    "", "ab", "a" * 26, "_abc", "some body", "some-body", "häns", "a\nbcd", "abc\n?", "twitch.tv",
    "https://www.twitch.tv/", "https://www.twitch.tv/videos/123456", "https://kick.com/somebody",
    "https://www.twitch.tv/directory/category/chess", "https://clips.twitch.tv/SomeClip",
    "ftp://twitch.tv/somebody", "https://twitch.tv.evil.example/somebody", "http://[::1/somebody",
    "https://www.twitch.tv/somebody/clip/AbC", "evil.example/somebody", "ſomebody",
])
def test_illegal_names_are_refused_by_field(typed: str) -> None:
    with pytest.raises(Invalid) as caught:
        address(typed)
    assert [problem.field for problem in caught.value.problems] == ["name"]


# Who is live.

def test_live(any_way: World) -> None:
    live = any_way.host.go_live("somebody", "Blitz", "Chess", 1234)
    live.started_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert any_way.twitch.check(channel()) == Broadcast(
        live.id, "Blitz", "Chess", 1234, live.started_at, display_name="Somebody",
        thumbnail_url="https://static-cdn.jtvnw.net/previews-ttv/"
                      "live_user_somebody-1280x720.jpg")


def test_offline_and_unknown(any_way: World) -> None:
    any_way.host.add("somebody")
    assert any_way.twitch.check(channel()) is None
    error = any_way.trouble("nobody")
    assert error.trouble is Trouble.NOT_FOUND and "nobody" in str(error)


def test_a_rerun_is_not_live(any_way: World) -> None:
    any_way.host.go_live("somebody", kind="rerun")
    assert any_way.twitch.check(channel()) is None


def test_a_hundred_channels_are_one_request(world: World) -> None:
    for one in channels(100)[::2]:
        world.host.go_live(one.name)
    for one in channels(100)[1:98:2]:
        world.host.add(one.name)
    checked = world.twitch.check_many(channels(100))
    assert world.asked("*") == world.asked(GQL) == 1
    assert all(isinstance(checked[one.id], Broadcast) for one in channels(100)[::2])
    assert all(checked[one.id] == Offline() for one in channels(100)[1:98:2])
    missing = checked["ch_name99"]
    assert isinstance(missing, PlatformError) and missing.trouble is Trouble.NOT_FOUND


def test_250_channels_are_three_requests(world: World) -> None:
    for one in channels(250):
        world.host.add(one.name)
    assert set(world.twitch.check_many(channels(250))) == {one.id for one in channels(250)}
    assert world.asked("*") == 3


def test_a_failure_after_the_first_hundred(world: World) -> None:
    for one in channels(300):
        world.host.add(one.name)
    world.standin.fail(GQL, Reply(429), when=lambda request: b"name150" in request.body)
    checked = world.twitch.check_many(channels(300))
    assert world.asked(GQL) == 2
    assert checked["ch_name99"] == Offline()
    late = [checked[f"ch_name{number}"] for number in (100, 199, 200, 299)]
    assert [one.trouble for one in late if isinstance(one, PlatformError)] == \
        [Trouble.RATE_LIMITED] * 4


def test_one_that_is_somebody_else_spoils_no_other(world: World) -> None:
    """As for a channel that was renamed."""
    world.standin.fail(GQL, Reply.json({"data": {"users": [
        {"login": "newer", "stream": None}, {"login": "name1", "stream": None}]}}))
    checked = world.twitch.check_many(channels(2))
    assert isinstance(checked["ch_name0"], PlatformError)
    assert checked["ch_name1"] == Offline()


def test_two_channels_of_one_name(world: World) -> None:
    world.host.go_live("somebody")
    twin = Channel("ch_twin", "twitch", "somebody", "", "", "source", True, utc_now())
    checked = world.twitch.check_many([channel(), twin])
    assert checked["ch_twin"] is checked["ch_somebody"]


def test_nothing_to_check(world: World) -> None:
    assert world.twitch.check_many([]) == {}
    assert world.asked("*") == 0


@pytest.mark.parametrize(("title", "expected"), [
    (None, "The channel's"), ("", "The channel's"), ("a\nb\tc \x00\x1b[31m", "a b c [31m"),
    ("\ud83d half", "? half"), ("🎮 ЧЕМПИОНАТ ../../etc", "🎮 ЧЕМПИОНАТ ../../etc"),
    ("x" * 900, "x" * 500), ("  ", "The channel's"),
])
def test_odd_titles(world: World, title: str | None, expected: str) -> None:
    world.host.add("somebody", title="The channel's")
    world.host.go_live("somebody", title)
    broadcast = world.twitch.check(channel())
    assert broadcast is not None and broadcast.title == expected


def test_nothing_but_a_stream(any_way: World) -> None:
    """What may be null is; a stream is live all the same."""
    any_way.host.add("somebody", display_name="")
    live = any_way.host.go_live("somebody", None, None, None)
    assert any_way.twitch.check(channel()) == Broadcast(
        live.id, None, None, None, live.started_at.replace(
            microsecond=live.started_at.microsecond // 1000 * 1000),
        thumbnail_url="https://static-cdn.jtvnw.net/previews-ttv/live_user_somebody-1280x720.jpg")


@pytest.mark.parametrize("stream", [
    {"id": 5, "viewersCount": -1, "createdAt": "yesterday", "previewImageURL": "javascript:x"},
    {"id": None, "viewersCount": "many", "createdAt": 7, "game": [], "type": None},
    {"createdAt": "0001-01-01T00:00:00+14:00", "viewersCount": True, "title": {"a": 1}}, {},
])
def test_a_stream_of_strange_values_is_live(world: World, stream: dict[str, Any]) -> None:
    user = {"login": "somebody", "stream": stream}
    world.standin.fail(GQL, Reply.json({"data": {"users": [user]}}))
    assert world.twitch.check(channel()) == Broadcast()


def test_another_id_after_a_drop(any_way: World) -> None:
    ids = [any_way.host.go_live("somebody").id]
    any_way.host.drop("somebody")
    assert any_way.twitch.check(channel()) is None
    assert any_way.twitch.open(channel()) is None
    ids.append(any_way.host.come_back("somebody").id)
    found = any_way.twitch.check(channel())
    assert found is not None and found.id == ids[1] != ids[0]


# What is no healthy answer.

GQL_FAILURES: list[tuple[str, Answer, Trouble, float | None, str]] = [
    ("integrity", Reply.json({"errors": [{"message": "failed integrity check"}]}),
     Trouble.BLOCKED, None, "integrity"),
    ("403", Reply(403, b"<html>"), Trouble.BLOCKED, None, "403"),
    ("403 waits", Reply(403, headers={"Retry-After": "9"}), Trouble.BLOCKED, 9.0, "403"),
    ("429", Reply(429), Trouble.RATE_LIMITED, None, "less often"),
    ("429 seconds", Reply(429, headers={"Retry-After": "7"}), Trouble.RATE_LIMITED, 7.0, ""),
    ("429 for years", Reply(429, headers={"Retry-After": "999999999"}),
     Trouble.RATE_LIMITED, 3600.0, ""),
    ("429 nonsense", Reply(429, headers={"Retry-After": "soon"}), Trouble.RATE_LIMITED, None, ""),
    ("429 reset", Reply(429, headers={"Ratelimit-Reset": str(int(NOW.timestamp()) + 30)}),
     Trouble.RATE_LIMITED, 30.0, ""),
    ("429 reset is over", Reply(429, headers={"Ratelimit-Reset": "1"}),
     Trouble.RATE_LIMITED, 0.0, ""),
    ("500", Reply(500), Trouble.ERROR, None, "500"),
    ("503 waits", Reply(503, headers={"Retry-After": "11"}), Trouble.ERROR, 11.0, "503"),
    ("400", refused(400, "Bad Request", 'The "Client-ID" header is invalid.'), Trouble.ERROR,
     None, "newer version"),
    ("401", refused(401, "Unauthorized", "no"), Trouble.ERROR, None, "401"),
    ("elsewhere", Reply(302, headers={"Location": "https://evil.example/"}), Trouble.ERROR,
     None, "302"),
    ("no JSON", Reply(200, b"<html>"), Trouble.ERROR, None, ""),
    ("half JSON", Reply(200, b'{"data": {"us'), Trouble.ERROR, None, ""),
    ("no object", Reply.json([]), Trouble.ERROR, None, "not understood"),
    ("deep", Reply(200, b"[" * 50_000), Trouble.ERROR, None, ""),
    ("no data", Reply.json({}), Trouble.ERROR, None, "not understood"),
    ("null data", Reply.json({"data": None}), Trouble.ERROR, None, "not understood"),
    ("null users", Reply.json({"data": {"users": None}}), Trouble.ERROR, None, "not understood"),
    ("too few", Reply.json({"data": {"users": []}}), Trouble.ERROR, None, "not understood"),
    ("somebody else", Reply.json({"data": {"users": [{"login": "other", "stream": None}]}}),
     Trouble.ERROR, None, "in part"),
    ("no stream field", Reply.json({"data": {"users": [{"login": "somebody"}]}}),
     Trouble.ERROR, None, "in part"),
    ("stream failed", Reply.json({
        "errors": [{"message": "service timeout", "path": ["users", 0, "stream"]}],
        "data": {"users": [{"login": "somebody", "stream": None}]}}), Trouble.ERROR, None, "part"),
    ("user failed", Reply.json({
        "errors": [{"message": "service timeout", "path": ["users", 0]}],
        "data": {"users": [None]}}), Trouble.ERROR, None, "in part"),
    ("all failed", Reply.json({
        "errors": [{"message": "service timeout", "path": ["users"]}],
        "data": {"users": [None]}}), Trouble.ERROR, None, "service timeout"),
    ("no answer", Cut(), Trouble.ERROR, None, "cannot be reached"),
    ("broken off", Cut(Reply(200, b"{}" * 500)), Trouble.ERROR, None, "cannot be reached"),
    ("silence", Hang(60.0), Trouble.ERROR, None, "cannot be reached"),
]


@pytest.mark.parametrize(("answer", "trouble", "retry_s", "says"), [
    pytest.param(*case[1:], id=case[0]) for case in GQL_FAILURES])
def test_gql_fails(
    world: World, answer: Answer, trouble: Trouble, retry_s: float | None, says: str
) -> None:
    world.standin.fail(GQL, answer)
    error = world.trouble()
    assert (error.trouble, error.retry_after_s) == (trouble, retry_s)
    assert says in str(error)
    assert world.asked("evil.example") == 0


def test_a_lesser_field_that_failed_spoils_nothing() -> None:
    users = gql_users({
        "errors": [{"message": "service error", "path": ["users", 1, "broadcastSettings"]}],
        "data": {"users": [{"login": "a"}, {"login": "b"}]}}, ["a", "b"])
    assert [user.failed for user in users] == [frozenset(), frozenset({"broadcastSettings"})]


@pytest.mark.parametrize(("header", "expected"), [
    ("Sun, 01 Mar 2099 12:00:00 GMT", 3600.0), ("Sun, 01 Mar 2020 12:00:00 GMT", 0.0),
    ("-5", None), ("1e400", None), ("nan", None), ("", None), ("120", 120.0),
])
def test_retry_after(header: str, expected: float | None) -> None:
    assert refusal(503, {"Retry-After": header}, None, NOW).retry_after_s == expected


# Profiles.

def test_profile(world: World) -> None:
    banner = "https://static-cdn.jtvnw.net/jtv_user_pictures/somebody-banner-480.jpeg"
    world.host.add("somebody", display_name="SomeBody", banner=banner)
    profile = world.twitch.profile(channel())
    assert profile.display_name == "SomeBody" and profile.banner_image_url == banner
    assert profile.profile_image_url is not None
    assert profile.profile_image_url.endswith("-300x300.png")
    world.host.users["somebody"].banner = None
    assert world.twitch.profile(channel()).banner_image_url is None


@pytest.mark.parametrize(("answer", "trouble"), [
    (None, Trouble.NOT_FOUND), (Reply(429), Trouble.RATE_LIMITED),
    (Reply.json({"data": {"users": [{"login": "somebody"}]}}), Trouble.ERROR),
    (Reply.json({"data": {"users": [{"login": "somebody", "profileImageURL": None}]},
                 "errors": [{"message": "x", "path": ["users", 0, "bannerImageURL"]}]}),
     Trouble.ERROR),
])
def test_no_profile(world: World, answer: Answer | None, trouble: Trouble) -> None:
    if answer is not None:
        world.standin.fail(GQL, answer)
    with pytest.raises(PlatformError) as caught:
        world.twitch.profile(channel())
    assert caught.value.trouble is trouble
