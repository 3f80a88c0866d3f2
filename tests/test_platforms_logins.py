"""Logins and apps at Twitch, Kick and YouTube, with a whole daemon; where each secret goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib.cookies import HEADER

from .listener import wait_until
from .standin.accounts import GOOGLE
from .standin.base import Reply
from .standin.kick import API as KICK_API
from .standin.kick import LOGIN as KICK_LOGIN
from .standin.kick import STARTED
from .standin.twitch import GQL, HELIX, ID, WEB_CLIENT_ID
from .standin.world import API_KEY, APP_SECRETS, MARK, World, bodies, clips
from .standin.youtube import DATA_API, SITE, Video

AUTH_TOKEN = f"website-{MARK}"
LOGIN_INFO = f"info-{MARK}"
PLATFORMS = "/api/auth/platforms"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = World(tmp_path_factory.mktemp("logins"), apps=True).start()
    one.twitch.add("anna")
    one.twitch.auth_tokens[AUTH_TOKEN] = {"anna"}
    one.twitch.users_by_token[AUTH_TOKEN] = (WEB_CLIENT_ID, "anna")
    yield one
    one.close()


def call(world: World, method: str, path: str, body: Any = None, wanted: int = 200) -> Any:
    status, answer, _ = world.daemon.call(method, PLATFORMS + path, body)
    assert status == wanted, answer
    return answer


def tried(world: World, platform: str) -> tuple[bool, str | None]:
    found = call(world, "POST", f"/{platform}/test")
    return found["success"], found["username"]


def cookies(world: World, sapisid: str | None = None) -> str:
    lines = [f".youtube.com\tTRUE\t/\tTRUE\t2000000000\t{name}\t{value}" for name, value in (
        ("LOGIN_INFO", LOGIN_INFO), ("SAPISID", sapisid or world.youtube.member))]
    return "\n".join((HEADER, *lines, ""))


def test_nothing_is_connected_at_first(world: World) -> None:
    found = call(world, "GET", "")["platforms"]
    assert [(one["platform"], one["status"]) for one in found] == [
        ("twitch", "not_connected"), ("youtube", "not_connected"), ("kick", "not_connected")]
    flows = call(world, "GET", "/oauth/availability")["platforms"]
    assert {name: (one["available"], one["flow"]) for name, one in flows.items()} == {
        "twitch": (True, "device"), "youtube": (True, "device"), "kick": (True, "redirect")}
    assert call(world, "GET", "/myspace", wanted=404)["error"]["code"] == "PLATFORM_NOT_FOUND"
    assert tried(world, "twitch") == (False, None)


def test_apps_ask_for_many_channels_at_once(world: World) -> None:
    rows = ["platform,channel,quality,enabled"]
    for number in range(3):
        world.kick.add(f"kick{number}")
        world.twitch.add(f"twitch{number}")
        rows += [f"kick,kick{number},source,yes", f"twitch,twitch{number},source,yes"]
    status, answer, _ = world.daemon.call(
        "POST", "/api/channels/import", raw="\n".join(rows).encode(),
        headers={"Content-Type": "text/csv"})
    assert status == 200 and answer["created"] == 6
    wait_until(lambda: any(
        len(one.values("user_login")) == 3 for one in world.standin.asked(HELIX)), 20.0)
    wait_until(lambda: any(
        len(one.values("user_id")) == 3 for one in world.standin.asked(KICK_API)), 20.0)
    listed = world.daemon.wait("/api/channels", lambda found: all(
        one["status"] == "offline" for one in found["channels"]))
    assert len(listed["channels"]) == 6
    assert world.standin.asked("kick.com", "/api/v2") == [], "only for a recording"


def test_logging_in_by_a_code(world: World) -> None:
    for platform in ("twitch", "youtube"):
        begun = call(world, "POST", f"/{platform}/oauth/start")
        assert (begun["flow"], begun["user_code"]) == ("device", "ABCD-EFGH")
        assert call(world, "GET", f"/{platform}")["status"] == "not_connected"
    wait_until(lambda: min(world.accounts.asked.values()) >= 1, 20.0)
    for where in ("twitch", "google"):
        world.accounts.confirm(where)
    for _ in range(2):
        world.hear("platform_auth_updated", kind="api")
    for platform, name in (("twitch", "anna"), ("youtube", "Anna's videos")):
        found = call(world, "GET", f"/{platform}")
        assert (found["status"], found["username"]) == ("connected", name)
        assert tried(world, platform) == (True, name)
    # An app without a secret has no token of its own: Helix is asked with the person's.
    status, settings, _ = world.daemon.call(
        "PATCH", "/api/settings", {"twitch_client_secret": None})
    assert (status, settings["twitch_client_secret"]) == (200, None)
    world.check(world.add("twitch", "anna"))
    assert HELIX in world.standin.sent_to(world.accounts.given["twitch-access1"])


def test_logging_in_by_redirect(world: World) -> None:
    begun = call(world, "POST", "/kick/oauth/start")
    assert begun["flow"] == "redirect"
    back = world.accounts.consent(begun["auth_url"])
    forged = back.replace(begun["state"], "x" * 43)
    assert call(world, "POST", "/kick/oauth/callback", {"redirect_url": forged}, 400)
    found = call(world, "POST", "/kick/oauth/callback", {"redirect_url": back})
    assert (found["status"], found["username"]) == ("connected", "Anna")
    assert world.hear("platform_auth_updated", platform="kick")["kind"] == "api"
    assert call(world, "POST", "/kick/oauth/callback", {"redirect_url": back}, 400)
    assert tried(world, "kick") == (True, "Anna")


def test_a_deleted_login_is_taken_back(world: World) -> None:
    begun = call(world, "POST", "/kick/oauth/start")
    call(world, "POST", "/kick/oauth/callback",
         {"redirect_url": world.accounts.consent(begun["auth_url"])})
    assert world.hear("platform_auth_updated", platform="kick")["kind"] == "api"
    call(world, "DELETE", "/kick", wanted=204)
    assert world.hear("platform_auth_updated", platform="kick")["kind"] == "api"
    assert call(world, "GET", "/kick")["status"] == "not_connected"
    tokens = [world.accounts.given[f"kick-{kind}2"] for kind in ("refresh", "access")]
    wait_until(lambda: world.accounts.revoked == tokens, 20.0)


def test_the_site_s_own_token_of_twitch(world: World) -> None:
    """With it a stream for subscribers is recorded."""
    found = call(world, "PUT", "/twitch", {"auth_token": AUTH_TOKEN})
    assert found["credentials"]["playback"]["status"] == "unverified"
    assert world.hear("platform_auth_updated", platform="twitch")["kind"] == "playback"
    assert tried(world, "twitch") == (True, "anna")
    channel_id = world.daemon.get("/api/channels")["channels"][-1]["id"]
    live = world.twitch.go_live("anna", media=bodies(0, 6), subscribers_only=True)
    recording_id = world.recording_of(channel_id)
    world.wait_segments(recording_id, 6)
    live.ended = True
    recording = world.wait_complete(recording_id)
    world.twitch.go_offline("anna")
    world.assert_media(recording, clips()[:6])


def test_the_session_of_kick(world: World) -> None:
    world.kick.add("kim", live=True, needs_token=True)
    call(world, "PUT", "/kick", {"session_token": world.kick.session_token})
    assert tried(world, "kick") == (True, "anna")
    world.broadcast_six()
    recording = world.record_six(world.add("kick", "kim"))
    world.kick.channels["kim"].live = False
    assert recording["broadcast_id"] == STARTED


def test_an_app_that_comes_or_goes_makes_no_other_broadcast(world: World) -> None:
    """One whose recording was stopped is not recorded again."""
    world.kick.add("mia", live=True, shape={"created_at": "2026-03-04 05:06:50"})
    world.broadcast_six()
    channel_id = world.add("kick", "mia")
    recording_id = world.recording_of(channel_id)
    world.wait_segments(recording_id, 1)
    assert world.daemon.call("POST", f"/api/recordings/{recording_id}/stop")[0] == 202
    world.wait_complete(recording_id)
    asked = len(world.standin.asked("kick.com", "/api/v2/channels/mia"))
    for value in (None, APP_SECRETS["kick"]):
        assert world.daemon.call("PATCH", "/api/settings", {"kick_client_secret": value})[0] == 200
        found = world.check(channel_id)
        assert (found["live"], found["recording_id"]) == (True, None)
        assert world.channel(channel_id)["status_reason"] == "stopped"
    assert len(world.standin.asked("kick.com", "/api/v2/channels/mia")) > asked
    world.kick.channels["mia"].live = False


@pytest.mark.parametrize("way", ["json", "form"])
def test_cookies_of_youtube(way: str, world: World) -> None:
    call(world, "DELETE", "/youtube", wanted=204)
    if way == "json":
        found = call(world, "POST", "/youtube/cookies", {"cookie_content": cookies(world)})
    else:
        body = (f'--x\r\nContent-Disposition: form-data; name="file"; filename="c.txt"\r\n\r\n'
                f"{cookies(world)}\r\n--x--\r\n")
        status, found, _ = world.daemon.call(
            "POST", f"{PLATFORMS}/youtube/cookies", raw=body.encode(),
            headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert status == 200
    assert found["credentials"]["playback"]["status"] == "unverified"
    assert tried(world, "youtube") == (True, None)
    assert call(world, "GET", "/youtube")["status"] == "connected"


def test_cookies_that_are_none(world: World) -> None:
    for content in ("", "nothing", f"{HEADER}\n"):
        refused = call(world, "POST", "/youtube/cookies", {"cookie_content": content}, 400)
        assert refused["error"]["details"]
    assert call(world, "GET", "/youtube")["status"] == "connected"


def test_members_only_with_cookies(world: World) -> None:
    video = Video("abcdefghijk", refusal="members")
    world.youtube.add("@chess", video)
    world.broadcast_six()
    channel_id = world.add("youtube", "@chess")
    world.check(channel_id)
    recording = world.record_six(channel_id)
    assert recording["broadcast_id"] == "abcdefghijk"
    video.state = "ended"
    assert any("yt_dlp" in one for one in world.argv)
    assert not any(MARK in one for one in world.argv)


@pytest.mark.parametrize(("platform", "body", "kind"), [
    ("twitch", {"access_token": f"bad-{MARK}"}, "api"),
    ("twitch", {"auth_token": f"bad-{MARK}"}, "playback"),
    ("youtube", {"access_token": f"bad-{MARK}"}, "api"),
    ("kick", {"access_token": f"bad-{MARK}"}, "api"),
    ("kick", {"session_token": f"bad-{MARK}"}, "playback"),
])
def test_a_token_that_is_no_good(
    platform: str, body: dict[str, str], kind: str, world: World
) -> None:
    call(world, "PUT", f"/{platform}", body)
    assert tried(world, platform)[0] is False
    assert world.hear("platform_auth_expired", platform=platform) == {
        "platform": platform, "kind": kind}
    found = call(world, "GET", f"/{platform}")
    assert (found["status"], found["credentials"][kind]["status"]) == ("expired", "expired")
    assert found["credentials"][kind]["problem"]
    call(world, "DELETE", f"/{platform}", wanted=204)
    assert call(world, "GET", f"/{platform}")["status"] == "not_connected"


def test_what_cannot_be_entered(world: World) -> None:
    for platform, body in (("twitch", {}), ("twitch", {"session_token": "x"}),
                           ("youtube", {"auth_token": "x"}), ("kick", {"access_token": "a b"}),
                           ("kick", {"password": "x"})):
        assert call(world, "PUT", f"/{platform}", body, 400)["error"]["details"]


def test_an_app_that_is_not_taken(world: World) -> None:
    fault = world.standin.fail(KICK_LOGIN, Reply.json({"error": "invalid_client"}, 401))
    world.kick.api_tokens.clear()
    failed = world.fail(world.add("kick", "kick0x"))
    world.standin.heal(fault)
    assert failed["status_reason"] == "login_expired"
    assert "kick_client_secret" in failed["last_error"]


def test_each_secret_is_only_where_it_belongs(world: World) -> None:
    given = world.accounts.given
    wanted = {
        APP_SECRETS["twitch"]: [ID], APP_SECRETS["youtube"]: [GOOGLE],
        APP_SECRETS["kick"]: [KICK_LOGIN], API_KEY: [DATA_API],
        AUTH_TOKEN: [GQL, ID], world.kick.session_token: ["kick.com"],
        world.youtube.member: [SITE], LOGIN_INFO: [SITE],
        given["twitch-access1"]: [HELIX, ID], given["google-access1"]: [DATA_API],
        given["kick-access1"]: [KICK_API], given["kick-access2"]: [KICK_API, KICK_LOGIN],
        given["kick-code1"]: [KICK_LOGIN], given["kick-code2"]: [KICK_LOGIN],
        given["twitch-device1"]: [ID], given["google-device1"]: [GOOGLE],
        given["twitch-refresh1"]: [], given["google-refresh1"]: [GOOGLE],
        given["kick-refresh1"]: [], given["kick-refresh2"]: [KICK_LOGIN],
        f"bad-{MARK}": sorted({ID, DATA_API, KICK_API, "kick.com"}),
        "kick-app-token-1": [KICK_API], next(iter(world.twitch.app_tokens)): [HELIX],
    }
    found = {text: world.standin.sent_to(text) for text in wanted}
    assert found == wanted
    assert {text for text in given.values()} <= wanted.keys()


def test_no_secret_is_said(world: World) -> None:
    world.daemon.get("/api/settings")
    world.daemon.get("/api/logs?limit=500")
    kept = [path for path in (world.directory / "data").rglob("*")
            if path.is_file() and path.suffix not in (".ts", "") and "sqlite" not in path.name]
    for text in (*world.daemon.log, *world.daemon.said,
                 *(path.read_text(errors="replace") for path in kept)):
        assert MARK not in text
        assert "kick-app-token" not in text
    assert len(kept) > 3 and len(world.daemon.said) > 50
    database = Path(world.directory / "data" / "battles-record.sqlite3")
    assert database.stat().st_mode & 0o077 == 0
    assert [f"{one.host}{one.path}" for one in world.standin.unexpected] == []
