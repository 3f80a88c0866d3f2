"""Platform `twitch` opens streams by streamlink's real plugin; where each secret goes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from requests import Response
from streamlink.plugin import Plugin
from streamlink.session.session import Streamlink

from brlib.errors import Trouble
from brlib.platforms.twitch import Twitch
from brlib.platforms.twitch_api import WEB_CLIENT_ID

from .standin.adapter import StandInSessions
from .standin.base import Answer, Cut, Hang, Reply, Request, StandIn
from .standin.twitch import GQL, HELIX, ID, USHER, refused, usher_error
from .standin.twitch_media import PORTRAIT, VARIANTS, WEAVER
from .twitch_world import AUTH_TOKEN, SECRET, USER_TOKEN, World, at_once, channel, new_world

ONE = (VARIANTS[0],)


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as one:
        yield one


# Streams.

QUALITIES = [
    ("source", "1080p60"), ("1440p60", "1080p60"), ("1080p60", "1080p60"), ("1080p", "720p60"),
    ("720p60", "720p60"), ("720p", "480p"), ("480p", "480p"), ("360p", "360p"), ("160p", "160p"),
    ("audio_only", "audio_only"),
]


def test_qualities(world: World) -> None:
    world.host.go_live("somebody", variants=(*VARIANTS, PORTRAIT))
    for wanted, got in QUALITIES:
        opened = world.twitch.open(channel(quality=wanted))
        assert opened is not None and opened.quality == got
        assert opened.stream.url.endswith(("/" + got + ".m3u8", "/" + got + "30.m3u8"))


def test_an_upright_picture_is_better_than_none(world: World) -> None:
    world.host.go_live("somebody", variants=(PORTRAIT, VARIANTS[-1]))
    opened = world.twitch.open(channel())
    assert opened is not None and opened.quality == "2560p60_portrait"


def test_in_part_for_subscribers(world: World) -> None:
    world.host.go_live("somebody", restricted=("1080p60",))
    opened = world.twitch.open(channel())
    assert opened is not None and opened.quality == "720p60"


def test_offline_unknown_and_not_there_yet(world: World) -> None:
    world.host.add("somebody")
    assert world.twitch.open(channel()) is None
    assert world.twitch.open(channel("nobody")) is None
    world.host.go_live("somebody")
    world.standin.fail(USHER, usher_error(
        404, "twirp error not_found: transcode does not exist", "transcode_does_not_exist"))
    assert world.twitch.open(channel()) is None


def test_a_list_that_outlives_its_streams(world: World) -> None:
    world.host.go_live("somebody")
    world.standin.fail(WEAVER, Reply(404))
    assert world.twitch.open(channel()) is None


def test_one_bad_variant_costs_only_itself(world: World) -> None:
    live = world.host.go_live("somebody")
    live.broken["1080p60"] = 404
    opened = world.twitch.open(channel())
    assert opened is not None and opened.quality == "720p60"
    live.broken = dict.fromkeys((name for name, *_ in VARIANTS), 404) | {"160p30": 503}
    assert "does not give it" in str(world.open_trouble())


def test_for_subscribers_only(world: World) -> None:
    world.host.go_live("somebody", subscribers_only=True)
    error = world.open_trouble()
    assert error.trouble is Trouble.RESTRICTED and "auth-token" in str(error)
    assert world.twitch.check(channel()) is not None
    world.host.auth_tokens[AUTH_TOKEN] = set()
    world.keys.given_playback = AUTH_TOKEN
    assert "is not subscribed" in str(world.open_trouble())
    world.host.auth_tokens[AUTH_TOKEN] = {"somebody"}
    assert world.twitch.open(channel()) is not None
    assert world.keys.refusals == []


OPEN_FAILURES: list[tuple[str, str, Answer, Trouble, float | None, str]] = [
    ("integrity", GQL, Reply.json({"errors": [{"message": "failed integrity check"}]}),
     Trouble.BLOCKED, None, "bot"),
    ("gql 403", GQL, refused(403, "Forbidden", "no"), Trouble.BLOCKED, None, "403"),
    ("gql 401", GQL, refused(401, "Unauthorized", "no"), Trouble.ERROR, None, "401"),
    ("gql 429", GQL, Reply(429, headers={"Retry-After": "5"}), Trouble.RATE_LIMITED, 5.0, ""),
    ("gql 500", GQL, Reply(500), Trouble.ERROR, None, "500"),
    ("gql timeout", GQL, Reply.json({"errors": [{"message": "service timeout"}]}),
     Trouble.ERROR, None, "service timeout"),
    ("gql HTML", GQL, Reply(200, b"<html>"), Trouble.ERROR, None, "not understand"),
    ("gql shape", GQL, Reply.json({"data": {"streamPlaybackAccessToken": {"value": 5}}}),
     Trouble.ERROR, None, "not understand"),
    ("gql silent", GQL, Hang(60.0), Trouble.ERROR, None, "cannot be reached"),
    ("usher 403", USHER, Reply(403, b"<html>"), Trouble.BLOCKED, None, "403"),
    ("elsewhere only", USHER, usher_error(403, "Content Geoblocked", "content_geoblocked"),
     Trouble.RESTRICTED, None, "Geoblocked"),
    ("an address", USHER, usher_error(403, "at https://x.example/?token=1", "other"),
     Trouble.BLOCKED, None, "403"),
    ("usher 429", USHER, Reply(429, headers={"Retry-After": "6"}), Trouble.RATE_LIMITED, 6.0, ""),
    ("usher 503", USHER, Reply(503), Trouble.ERROR, None, "503"),
    ("usher silent", USHER, Hang(60.0), Trouble.ERROR, None, "cannot be reached"),
    ("usher cut", USHER, Cut(), Trouble.ERROR, None, "cannot be reached"),
    ("usher garbage", USHER, Reply(200, b"<html>"), Trouble.ERROR, None, "not understand"),
    ("usher empty", USHER, Reply(200, b"#EXTM3U\n"), Trouble.ERROR, None, "does not give it"),
    ("lists 503", WEAVER, Reply(503), Trouble.ERROR, None, "does not give it"),
    ("lists cut", WEAVER, Cut(), Trouble.ERROR, None, "does not give it"),
]


@pytest.mark.parametrize(("host", "answer", "trouble", "retry_s", "says"), [
    pytest.param(*case[1:], id=case[0]) for case in OPEN_FAILURES])
def test_no_stream_is_not_offline(
    world: World, host: str, answer: Answer, trouble: Trouble, retry_s: float | None, says: str
) -> None:
    world.host.go_live("somebody", variants=ONE)
    fault = world.standin.fail(host, answer)
    error = world.open_trouble()
    assert (error.trouble, error.retry_after_s) == (trouble, retry_s)
    assert says in str(error)
    world.standin.heal(fault)
    assert world.twitch.open(channel()) is not None


@pytest.mark.parametrize("token", [AUTH_TOKEN, "with\nline", "sp ace", "ümlaut", ""])
def test_a_bad_playback_token(
    world: World, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs no recording: public streams are opened without it."""
    world.host.go_live("somebody")
    world.keys.given_playback = token
    assert world.twitch.open(channel()) is not None
    [(platform, kind, reason)] = world.keys.refusals
    assert (platform, kind) == ("twitch", "playback") and reason
    assert not token or token not in caplog.text + reason
    world.host.drop("somebody")
    world.keys.given_playback = None
    assert world.twitch.open(channel()) is None


def test_an_error_does_not_hold_what_streamlink_said(world: World) -> None:
    """Its words hold signed addresses; logs print whole chains."""
    world.host.go_live("somebody")
    world.standin.fail(USHER, Cut())
    error = world.open_trouble()
    assert error.__cause__ is None and error.__context__ is None


def test_expired_addresses_are_resolved_anew(world: World) -> None:
    world.host.go_live("somebody")
    first = world.twitch.open(channel())
    world.host.expire_addresses()
    second = world.twitch.open(channel())
    assert first is not None and second is not None
    assert first.stream.url != second.stream.url
    assert [one.stream.session.http.get(one.stream.url, raise_for_status=False).status_code
            for one in (first, second)] == [403, 200]


def test_advertisements_are_marked_for_the_capture(world: World) -> None:
    """streamlink's own filter: such segments are fetched, and never written."""
    world.host.go_live("somebody", variants=ONE)
    for body, ad in ((b"spot", True), (b"spot", True), (b"game", False)):
        world.host.publish("somebody", body, 2.0, ad)
    opened = world.twitch.open(channel())
    assert opened is not None
    reader = opened.stream.__reader__
    session = opened.stream.session
    text = session.http.get(opened.stream.url).text
    parsed = opened.stream.__parser__(opened.stream.url).parse(text)
    marks = [reader.__writer__.should_filter_segment(None, one) for one in parsed.segments]
    assert marks == [False, False, False, True, True, False]


# Secrets, and what is kept.

def test_each_secret_goes_to_its_host_only(world: World) -> None:
    world.host.go_live("somebody")
    world.host.auth_tokens[AUTH_TOKEN] = set()
    world.use_app()
    world.keys.given_playback = AUTH_TOKEN
    opened = world.twitch.open(channel())
    assert opened is not None
    assert opened.stream.session.http.get(opened.stream.url).ok
    world.twitch.check(channel())
    world.twitch.profile(channel())
    [app_token] = world.host.app_tokens
    world.keys.given_app = None
    world.twitch.check(channel())
    world.use_login()
    world.twitch.check(channel())
    assert world.standin.sent_to(AUTH_TOKEN) == [GQL]
    assert world.standin.sent_to(SECRET) == [ID]
    assert world.standin.sent_to(app_token) == [HELIX]
    assert world.standin.sent_to(USER_TOKEN) == [HELIX]
    own = [one for one in world.standin.asked(GQL) if b"users(logins:" in one.body]
    assert len(own) == 2 and not any("Authorization" in one.headers for one in own)


def test_a_secret_is_not_sent_on(world: World) -> None:
    world.use_app()
    for host in (ID, HELIX, GQL):
        fault = world.standin.fail(
            host, Reply(307, headers={"Location": "https://evil.example/"}))
        world.trouble()
        world.standin.heal(fault)
        world.keys.given_app = None if host == HELIX else world.keys.given_app
    assert world.asked("evil.example") == 0


def test_the_token_is_kept_no_longer_than_a_request(world: World) -> None:
    world.host.go_live("somebody")
    world.host.auth_tokens[AUTH_TOKEN] = set()
    world.keys.given_playback = AUTH_TOKEN
    world.twitch.open(channel())
    world.keys.given_playback = None
    world.standin.clear()
    world.twitch.open(channel())
    assert world.standin.sent_to(AUTH_TOKEN) == []


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(one, kind) for one in gc.get_objects())


def test_nothing_grows_with_opening(world: World) -> None:
    """Each plugin object leaves an atexit entry behind: one a channel, whatever happens."""
    world.host.go_live("somebody", variants=ONE)
    world.keys.given_playback = AUTH_TOKEN
    world.twitch.open(channel())
    before = [alive(kind) for kind in (Plugin, Streamlink, Response)]
    for number in range(200):
        if number == 100:
            world.host.auth_tokens[AUTH_TOKEN] = set()
        assert world.twitch.open(channel()) is not None
    assert [alive(kind) for kind in (Plugin, Streamlink, Response)] == before


def test_forgotten_channels_give_back_their_session(world: World) -> None:
    world.host.go_live("somebody", variants=ONE)
    world.twitch.open(channel())
    before = alive(Streamlink)
    world.twitch.forget("ch_somebody")
    world.twitch.forget("ch_somebody")
    world.twitch.forget("ch_unknown")
    assert len(world.twitch._kept) == 0 and alive(Streamlink) <= before


def test_a_capture_on_the_same_session_is_no_part_of_the_answer(world: World) -> None:
    """Its failures are not those of the stream that is being opened."""
    outcome: list[int] = []

    def meanwhile(request: Request) -> Reply | None:
        if request.host == "edge.example":
            return Reply(503)
        at_once([lambda: outcome.append(
            session.http.get("https://edge.example/1.ts", raise_for_status=False).status_code)])
        return Reply(404)

    standin = StandIn()
    standin.add(meanwhile, WEAVER, "edge.example")
    world.host.join(standin)
    world.host.go_live("somebody", variants=ONE)
    twitch = Twitch(StandInSessions(standin), world.keys)
    session = twitch._kept.get(channel())._session
    assert twitch.open(channel()) is None
    assert outcome == [503]
    twitch.close()


# What the project relies on in streamlink's plugin.

def test_names_of_the_plugin(world: World) -> None:
    sessions = StandInSessions(world.standin)
    found = sessions.find_plugin(sessions.new(), "https://www.twitch.tv/somebody")
    assert found is not None and found[0] == "twitch"
    plugin: Any = found[1]
    assert plugin.api.headers == {"Client-ID": WEB_CLIENT_ID}
    assert plugin.session.get_option("webbrowser") is False
    assert not plugin.get_option("low-latency")
