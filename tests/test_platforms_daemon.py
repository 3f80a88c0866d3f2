"""Twitch, Kick and YouTube as a whole daemon records them, by the real plugins and yt-dlp."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from .media import Clip, ts_clips
from .pictures import BLUE, RED, pixel
from .listener import wait_until
from .standin.twitch import GQL, USHER
from .standin.base import Cut, Reply, Request
from .standin.twitch_media import WEAVER
from .standin.world import BANNER_URL, World, bodies, clips
from .standin.youtube import Video


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = World(tmp_path_factory.mktemp("platforms")).start()
    yield one
    one.close()


def publish(world: World, login: str, first: int, last: int, ad: bool = False) -> None:
    for body in bodies(first, last):
        world.twitch.publish(login, body, 0.5, ad=ad)


def end(world: World, login: str) -> None:
    """The playlist ends, and the site says so, too."""
    live = world.twitch.users[login].live
    assert live is not None
    live.ended = True


def test_a_twitch_channel_is_recorded(world: World) -> None:
    world.twitch.add("anna", banner=BANNER_URL)
    channel_id = world.add("twitch", "https://www.twitch.tv/Anna")
    assert world.check(channel_id)["live"] is False
    assert world.channel(channel_id)["status"] == "offline"
    live = world.twitch.go_live("anna", "Endgames", "Chess", 34, media=bodies(0, 6))
    found = world.check(channel_id)
    assert (found["live"], found["title"], found["category"], found["viewers"]) == (
        True, "Endgames", "Chess", 34)
    recording_id = world.recording_of(channel_id)
    world.wait_segments(recording_id, 6)
    publish(world, "anna", 6, 10)
    end(world, "anna")
    recording = world.wait_complete(recording_id)
    assert (recording["title"], recording["category"], recording["broadcast_id"]) == (
        "Endgames", "Chess", live.id)
    assert (recording["quality"], recording["completeness"], recording["end_reason"]) == (
        "1080p60", 1.0, "ended")
    world.assert_media(recording, clips()[:10])
    # GQL says "live" for a while yet; whoever asks for the stream learns better.
    asked = len(world.standin.asked(USHER))
    wait_until(lambda: len(world.standin.asked(USHER)) > asked, 20.0)
    world.twitch.go_offline("anna")
    wait_until(lambda: world.check(channel_id)["status"] == "offline")
    assert world.daemon.get(f"/api/recordings?channel={channel_id}")["total"] == 1


def test_images_are_fetched_when_a_channel_is_added(world: World, tmp_path: Path) -> None:
    world.twitch.add("beth", display_name="Beth", banner=BANNER_URL)
    channel_id = world.add("twitch", "beth")
    profile = world.daemon.wait(
        f"/api/channels/{channel_id}/profile", lambda p: p["banner_image_url"])
    for kind, colour in (("profile", RED), ("banner", BLUE)):
        status, image, _ = world.daemon.call("GET", profile[f"{kind}_image_url"])
        assert status == 200
        (tmp_path / kind).write_bytes(image)
        assert pixel(tmp_path / kind, 0.5, 0.5) == colour


def test_an_advertisement_is_a_gap(world: World) -> None:
    world.twitch.go_live("carl", media=bodies(0, 3))
    recording_id = world.recording_of(world.add("twitch", "carl"))
    world.wait_segments(recording_id, 3)
    publish(world, "carl", 20, 23, ad=True)
    publish(world, "carl", 3, 6)
    end(world, "carl")
    recording = world.wait_complete(recording_id)
    world.twitch.go_offline("carl")
    world.assert_media(recording, clips()[:6])
    assert world.gaps(recording_id) == [("ad", 3)]
    assert recording["completeness"] == pytest.approx(6 / 9)


def test_an_address_that_expires_is_renewed(world: World) -> None:
    world.twitch.go_live("dora", media=bodies(0, 3))
    recording_id = world.recording_of(world.add("twitch", "dora"))
    world.wait_segments(recording_id, 3)
    world.twitch.expire_addresses()
    publish(world, "dora", 3, 9)
    world.wait_segments(recording_id, 9)
    end(world, "dora")
    recording = world.wait_complete(recording_id)
    world.twitch.go_offline("dora")
    world.assert_media(recording, clips()[:9])
    assert recording["completeness"] == 1.0
    addresses = {one.path for one in world.standin.asked(WEAVER) if "/dora/" in one.path}
    assert {path.split("/")[2] for path in addresses} == {"0", "1"}


def test_a_streamer_who_comes_back_is_in_the_same_recording(world: World) -> None:
    world.twitch.go_live("emil", media=bodies(0, 4))
    channel_id = world.add("twitch", "emil")
    recording_id = world.recording_of(channel_id)
    world.wait_segments(recording_id, 4)
    world.twitch.drop("emil")
    world.daemon.wait(
        f"/api/recordings/{recording_id}", lambda r: r["activity"] == "reconnecting")
    asked = len(world.standin.asked(GQL))
    wait_until(lambda: len(world.standin.asked(GQL)) > asked, 20.0)
    world.twitch.come_back("emil", media=bodies(6, 10))
    world.wait_segments(recording_id, 8)
    end(world, "emil")
    recording = world.wait_complete(recording_id)
    world.twitch.go_offline("emil")
    world.assert_media(recording, [*clips()[:4], *clips()[6:10]])
    assert [cause for cause, _ in world.gaps(recording_id)] == ["offline"]
    assert world.daemon.get(f"/api/recordings?channel={channel_id}")["total"] == 1


@pytest.mark.long
@pytest.mark.parametrize("status, early_s", [(403, 0.0), (403, 1.5), (410, 0.0)])
def test_every_address_is_good_for_ten_seconds(
    status: int, early_s: float, world: World
) -> None:
    """Playlists and segments, over half a minute: each segment, none twice, no gap."""
    login, wanted = f"hana{status}x{early_s:.0f}", ts_clips(30, segment_s=1.0)
    world.twitch.address_life_s = 10.0
    fault = world.standin.fail(WEAVER, Reply(status), when=lambda request: old(
        request, 10.0 - early_s * request.path.endswith(".ts")))
    try:
        world.twitch.go_live(login, media=())
        paced(world, login, wanted[:3], every_s=0.0)
        recording_id = world.recording_of(world.add("twitch", login))
        paced(world, login, wanted[3:], every_s=1.0)
        end(world, login)
        recording = world.wait_complete(recording_id)
    finally:
        world.standin.heal(fault)
        world.twitch.address_life_s = None
        world.twitch.go_offline(login)
    world.assert_media(recording, wanted)
    assert (recording["completeness"], world.gaps(recording_id)) == (1.0, [])
    addresses = {one.path.split("/")[2] for one in world.standin.asked(WEAVER)
                 if f"/{login}/" in one.path and one.path.endswith(".ts")}
    assert len(addresses) >= 3


def old(request: Request, life_s: float) -> bool:
    """Whether an address of Twitch's video hosts is no longer good."""
    return time.monotonic() - int(request.path.split("/")[2]) / 1000 > life_s


def paced(world: World, login: str, wanted: list[Clip], every_s: float) -> None:
    pace = threading.Event()
    for clip in wanted:
        world.twitch.publish(login, clip.body, clip.duration_s)
        pace.wait(every_s)


@pytest.mark.long
@pytest.mark.parametrize("missed", [0, 4])
def test_a_drop_of_twenty_seconds_and_another_id(missed: int, world: World) -> None:
    """The same recording; a gap only where segments were missed."""
    login = f"ivan{missed}"
    first = world.twitch.go_live(login, media=bodies(0, 6))
    channel_id = world.add("twitch", login)
    recording_id = world.recording_of(channel_id)
    world.wait_segments(recording_id, 6)
    world.twitch.drop(login)
    threading.Event().wait(20.0)
    second = world.twitch.come_back(login, media=())
    # What was not missed goes on in time where it was.
    second.started_at = first.started_at + timedelta(seconds=(6 + missed) / 2)
    publish(world, login, 6 + missed, 12)
    world.wait_segments(recording_id, 12 - missed)
    world.check(channel_id)
    end(world, login)
    recording = world.wait_complete(recording_id)
    world.twitch.go_offline(login)
    world.assert_media(recording, [*clips()[:6], *clips()[6 + missed:12]])
    assert [cause for cause, _ in world.gaps(recording_id)] == ["offline"] * bool(missed)
    assert recording["completeness"] == pytest.approx((12 - missed) / 12)
    assert recording["broadcast_id"] == second.id != first.id
    assert world.daemon.get(f"/api/recordings?channel={channel_id}")["total"] == 1


def test_another_title_while_recording(world: World) -> None:
    live = world.twitch.go_live("finn", "Openings", "Chess", media=bodies(0, 3))
    channel_id = world.add("twitch", "finn")
    recording_id = world.recording_of(channel_id)
    world.wait_segments(recording_id, 3)
    live.title, live.category = "Dinner", "Cooking"
    world.check(channel_id)
    heard = world.hear("channel_status", channel_id=channel_id, title="Dinner")
    assert (heard["category"], heard["status"]) == ("Cooking", "recording")
    publish(world, "finn", 3, 6)
    end(world, "finn")
    world.wait_complete(recording_id)
    world.twitch.go_offline("finn")
    index = (world.capture(recording_id) / "index.m3u8").read_text()
    assert index.index("Openings") < index.index("Dinner") < index.index("Cooking")


def test_a_stream_for_subscribers(world: World) -> None:
    world.twitch.go_live("hugo", subscribers_only=True)
    channel_id = world.add("twitch", "hugo")
    for _ in range(2):
        world.check(channel_id)
        channel = world.daemon.wait(
            f"/api/channels/{channel_id}", lambda c: c["status"] == "error")
        assert channel["status_reason"] == "restricted"
        assert "subscribers" in channel["last_error"] and "auth-token" in channel["last_error"]
    world.twitch.go_offline("hugo")
    assert world.check(channel_id)["status"] == "offline"
    assert world.channel(channel_id)["last_error"] is None
    assert world.hear("channel_error", channel_id=channel_id)["reason"] == "restricted"
    # It was one incident, however often it was tried.
    heard = world.hear_all("channel_status", channel_id=channel_id, status="offline")
    assert not [one for one in heard if one["type"] == "channel_error"
                and one["data"]["channel_id"] == channel_id]


def test_a_channel_that_nobody_knows(world: World) -> None:
    assert world.fail(world.add("twitch", "nobody_at_all"))["status_reason"] == "not_found"


@pytest.mark.parametrize("category", ["Chess", None])
def test_kick_without_an_app(category: str | None, world: World) -> None:
    """The plugin refuses a stream without a category: the playback address is taken."""
    slug = f"kim_{(category or 'none').lower()}"
    world.kick.add(slug, live=True, title="Blitz", category=category)
    world.broadcast_six()
    channel_id = world.add("kick", f"https://kick.com/{slug}")
    found = world.check(channel_id)
    assert (found["title"], found["category"], found["viewers"]) == ("Blitz", category, 12)
    recording = world.record_six(channel_id)
    world.kick.channels[slug].live = False
    assert (recording["quality"], recording["broadcast_id"]) == (
        "1080p60", world.kick.channels[slug].started)


def test_what_came_to_its_end_is_not_recorded_again(world: World) -> None:
    """Although the platform calls it live for a while yet."""
    kick = world.kick.add("mona", live=True)
    world.broadcast_six()
    channel_id = world.add("kick", "mona")
    recording = world.record_six(channel_id)
    for _ in range(2):
        asked = len(world.origin.requests)
        assert world.check(channel_id)["live"] is True
        wait_until(lambda: any(
            one.path.endswith("1080p60/live.m3u8") for one in world.origin.requests[asked:]))
        world.daemon.wait(f"/api/channels/{channel_id}", lambda c: c["status"] == "live")
    assert [one["id"] for one in recordings(world, channel_id)] == [recording["id"]]
    assert sum(path.is_dir() for path in world.capture("").iterdir()) == len(
        world.daemon.get("/api/recordings?limit=500")["recordings"])
    # It goes on all the same; and another one may be as short as it likes.
    world.broadcast_six()
    again = world.record_six(channel_id)
    kick.shape["created_at"] = "2026-03-04 09:00:00"
    world.broadcast_six()
    world.origin.end()
    short = world.wait_complete(world.recording_of(channel_id))
    kick.live = False
    assert [one["id"] for one in recordings(world, channel_id)] == [
        short["id"], again["id"], recording["id"]]
    world.assert_media(short, clips()[:6])


def recordings(world: World, channel_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.daemon.get(
        f"/api/recordings?channel={channel_id}")["recordings"]
    return found


@pytest.mark.parametrize("by", ["plugin", "yt-dlp"])
def test_youtube_is_recorded(by: str, world: World) -> None:
    world.youtube.for_plugin = by == "plugin"
    video = Video("abcdefghijk" if by == "plugin" else "lmnopqrstuv")
    world.youtube.add(f"@{by}", video)
    world.broadcast_six()
    channel_id = world.add("youtube", f"https://www.youtube.com/@{by}")
    found = world.check(channel_id)
    assert (found["title"], found["category"], found["viewers"]) == ("Endgames", "Gaming", 1234)
    recording = world.record_six(channel_id)
    video.state = "ended"
    assert (recording["quality"], recording["broadcast_id"]) == ("1080p60", video.id)


def test_youtube_announces(world: World) -> None:
    world.youtube.add("@later", Video("wxyzabcdefg", state="upcoming"))
    channel_id = world.add("youtube", "@later")
    assert world.check(channel_id)["status"] == "offline"
    assert world.channel(channel_id)["status_reason"] == "upcoming"


@pytest.mark.parametrize(("refusal", "reason", "says"), [
    ("members", "restricted", "members"), ("age", "restricted", "age"),
    ("bot", "blocked", "bot"), ("limited", "rate_limited", "no more requests"),
])
def test_youtube_refuses(refusal: str, reason: str, says: str, world: World) -> None:
    world.youtube.add(f"@{refusal}", Video(f"refusal{refusal:.4}"[:11], refusal=refusal))
    failed = world.fail(world.add("youtube", f"@{refusal}"))
    assert failed["status_reason"] == reason
    assert says in failed["last_error"]


@pytest.fixture(scope="module")
def quiet(world: World) -> tuple[str, str]:
    """Channels that are not live: of Twitch, and of another platform."""
    world.twitch.add("gwen")
    world.kick.add("gwen")
    found = world.add("twitch", "gwen"), world.add("kick", "gwen")
    for channel_id in found:
        world.check(channel_id)
    return found


@pytest.mark.parametrize(("answer", "reason", "says"), [
    (Reply.json({"errors": [{"message": "failed integrity check"}]}), "blocked", "bot"),
    (Reply(403), "blocked", "proxy or VPN"),
    (Reply(500), "error", "trouble"),
    (Cut(), "error", "cannot be reached"),
    (Reply.json({}, 429, Retry_After="1"), "rate_limited", "less often"),
    (Reply.json({}, 429, Ratelimit_Reset="1"), "rate_limited", "less often"),
], ids=["integrity", "403", "500", "cut", "Retry-After", "Ratelimit-Reset"])
def test_what_twitch_refuses_is_not_offline(
    answer: Reply | Cut, reason: str, says: str, world: World, quiet: tuple[str, str]
) -> None:
    channel_id, other_id = quiet
    refuse(world, answer, reason, says, channel_id)
    assert world.check(other_id)["status"] == "offline"
    assert world.check_soon(channel_id)["status"] == "offline"
    assert world.channel(channel_id)["last_error"] is None


def refuse(world: World, answer: Reply | Cut, reason: str, says: str, channel_id: str) -> None:
    fault = world.standin.fail(GQL, answer)
    failed = world.fail(channel_id)
    world.standin.heal(fault)
    assert failed["status_reason"] == reason and says in failed["last_error"]
    assert world.hear("channel_error", channel_id=channel_id)["reason"] == reason


def test_twitch_sets_a_limit_and_no_end_of_it(world: World, quiet: tuple[str, str]) -> None:
    """The last of Twitch here: it is left alone for a while."""
    channel_id, other_id = quiet
    refuse(world, Reply(429), "rate_limited", "less often", channel_id)
    assert world.check(other_id)["status"] == "offline"


def test_kick_blocks(world: World) -> None:
    world.kick.add("lars", live=True)
    channel_id = world.add("kick", "lars")
    fault = world.standin.fail("kick.com", Reply(403))
    failed = world.fail(channel_id)
    world.standin.heal(fault)
    world.kick.channels["lars"].live = False
    assert failed["status_reason"] == "blocked" and "403" in failed["last_error"]


def test_nothing_was_asked_that_nobody_answers(world: World) -> None:
    assert [f"{one.host}{one.path}" for one in world.standin.unexpected] == []
