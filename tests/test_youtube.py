"""Platform `youtube` against the stand-in, with streamlink's own plugin: names, every state of
a page, the Data API, streams, profiles. What it does with yt-dlp is in `test_ytdlp`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest
from streamlink.stream.ffmpegmux import MuxedStream

from brlib.errors import Invalid, PlatformError, Trouble
from brlib.models import Broadcast, Channel, utc_now
from brlib.platforms.base import App, Offline
from brlib.platforms.youtube import YouTube
from brlib.platforms.youtube_api import YouTubeApi
from brlib.platforms.youtube_page import look, trouble_of
from brlib.platforms.ytdlp import Format, Found, YtDlp

from .standin.adapter import StandInSessions
from .standin.base import Cut, Reply, StandIn
from .standin.logins import GivenLogins
from .standin.youtube import DATA_API, MANIFESTS, SITE, Video, YouTubeHost

ID = "abcdefghijk"
KEY = App(api_key="AIza-data-api-key")


@dataclass
class Scene:
    standin: StandIn
    host: YouTubeHost
    logins: GivenLogins
    clock_s: float = 1000.0

    def live(self, refusal: str | None = None, state: str = "live") -> Video:
        """@chess has a broadcast."""
        video = Video(ID, refusal=refusal, state=state)
        self.host.add("@chess", video)
        return video


@pytest.fixture
def scene() -> Scene:
    standin, host = StandIn(), YouTubeHost()
    host.join(standin)
    return Scene(standin, host, GivenLogins("youtube"))


@pytest.fixture
def youtube(scene: Scene) -> Iterator[YouTube]:
    one = YouTube(StandInSessions(scene.standin), scene.logins, clock=lambda: scene.clock_s)
    yield one
    one.close()


def channel(name: str = "@chess", quality: str = "source") -> Channel:
    return Channel(f"ch_{name}", "youtube", name, name, f"https://www.youtube.com/{name}", quality,
                   True, utc_now())


UC = "UCabcdefghij_klmnop-qrst"


@pytest.mark.parametrize(("typed", "name", "url"), [
    ("@Chess", "@Chess", "@Chess"), ("Chess", "@Chess", "@Chess"), (UC, UC, f"channel/{UC}"),
    ("https://www.youtube.com/@Chess", "@Chess", "@Chess"),
    ("youtube.com/@Chess/streams?app=desktop", "@Chess", "@Chess"),
    ("https://m.youtube.com/@Chess/live", "@Chess", "@Chess"),
    (f"https://www.youtube.com/channel/{UC}/live", UC, f"channel/{UC}"),
    ("https://www.youtube.com/c/Chess/featured", "c/Chess", "c/Chess"),
    ("https://youtube.com/user/Chess", "user/Chess", "user/Chess"),
    ("c/Chess", "c/Chess", "c/Chess"), ("https://www.youtube.com/Chess", "c/Chess", "c/Chess"),
    ("@将棋", "@将棋", "@%E5%B0%86%E6%A3%8B"),
    ("https://www.youtube.com/@%E5%B0%86%E6%A3%8B", "@将棋", "@%E5%B0%86%E6%A3%8B"),
])
def test_names(typed: str, name: str, url: str, youtube: YouTube) -> None:
    address = youtube.address(typed)
    assert (address.name, address.url) == (name, f"https://www.youtube.com/{url}")
    assert youtube._sessions.find_plugin(youtube._pages, f"{address.url}/live") is not None


@pytest.mark.parametrize(("typed", "says"), [
    ("", "no YouTube channel"), ("@", "no YouTube channel"), ("a b", "no YouTube channel"),
    ("https://www.youtube.com/", "no YouTube channel"), ("@" + "a" * 31, "no YouTube channel"),
    ("https://www.youtube.com/playlist?list=PL1", "no YouTube channel"),
    ("https://www.youtube.com/channel/", "no YouTube channel"),
    ("https://youtube.com.evil.example/@Chess", "no YouTube channel"),
    ("https://[www.youtube.com/@Chess", "no YouTube channel"),
    ("ftp://www.youtube.com/@Chess", "no YouTube channel"),
    (f"https://www.youtube.com/watch?v={ID}", "one video"), (f"https://youtu.be/{ID}", "one video"),
    (f"https://www.youtube.com/live/{ID}?si=x", "one video"),
])
def test_what_names_no_channel(typed: str, says: str, youtube: YouTube) -> None:
    with pytest.raises(Invalid, match=says):
        youtube.address(typed)


def test_live(scene: Scene, youtube: YouTube) -> None:
    scene.live()
    found = youtube.check_many([channel()])["ch_@chess"]
    assert found == Broadcast(
        id=ID, title="Endgames", category="Gaming", viewers=1234,
        started_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc), display_name="Chess",
        thumbnail_url=f"https://i.ytimg.com/vi/{ID}/live.jpg")
    assert [one.path for one in scene.standin.requests] == ["/@chess/live"]


def test_a_channel_by_its_id(scene: Scene, youtube: YouTube) -> None:
    scene.live()
    address = youtube.address(scene.host.channels["@chess"].id)
    one = Channel("ch_x", "youtube", address.name, "x", address.url, "source", True, utc_now())
    assert youtube.check(one) is not None
    assert youtube.open(one) is not None


@pytest.mark.parametrize(("state", "expected"), [
    (None, Offline()), ("ended", Offline()),
    ("upcoming", Offline(datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc), "Endgames")),
])
def test_healthy_and_not_live(
    state: str | None, expected: Offline, scene: Scene, youtube: YouTube
) -> None:
    scene.host.add("@chess", Video(ID, state=state) if state else None)
    assert youtube.check_many([channel()]) == {"ch_@chess": expected}
    assert youtube.check(channel()) is None
    assert youtube.open(channel()) is None


# What the player refuses, the trouble, whether cookies make it count as live.
@pytest.mark.parametrize(("refusal", "trouble", "live_with_cookies"), [
    ("members", Trouble.RESTRICTED, True), ("age", Trouble.RESTRICTED, True),
    ("private", Trouble.RESTRICTED, True), ("bot", Trouble.BLOCKED, False),
    ("limited", Trouble.RATE_LIMITED, False), ("strange", Trouble.ERROR, False),
])
def test_a_refusing_player(
    refusal: str, trouble: Trouble, live_with_cookies: bool, scene: Scene, youtube: YouTube
) -> None:
    scene.live(refusal=refusal)
    with pytest.raises(PlatformError) as raised:
        youtube.check(channel())
    assert raised.value.trouble is trouble
    scene.logins.playback_text = "# Netscape HTTP Cookie File"
    if live_with_cookies:
        assert youtube.check(channel()) is not None
    else:
        with pytest.raises(PlatformError):
            youtube.check(channel())


def test_what_was_for_members_and_is_over(scene: Scene, youtube: YouTube) -> None:
    scene.live(refusal="members", state="ended")
    assert youtube.check(channel()) is None


@pytest.mark.parametrize(("answer", "trouble", "retry_after_s"), [
    (Reply(404, b"<html>", "text/html"), Trouble.NOT_FOUND, None),
    (Reply(429), Trouble.RATE_LIMITED, 1800.0),
    (Reply(429, headers={"Retry-After": "3000"}), Trouble.RATE_LIMITED, 3000.0),
    (Reply(302, headers={"Location": "https://www.google.com/sorry/index?q=1"}),
     Trouble.RATE_LIMITED, 1800.0),
    (Reply(403), Trouble.BLOCKED, None),
    (Reply(500), Trouble.ERROR, None),
    (Reply(200, b"", "text/html"), Trouble.ERROR, None),
    (Reply(200, b"<html>var ytInitialPlayerResponse = {]", "text/html"), Trouble.ERROR, None),
    (Reply(200, b"<html>var ytInitialData = {};", "text/html"), Trouble.ERROR, None),
    (Reply(200, b"<html>ytInitialPlayerResponse = " + b'{"a":' * 100_000, "text/html"),
     Trouble.ERROR, None),
    (Cut(), Trouble.ERROR, None),
    (Cut(Reply(200, b"<html>var ytInitialData = {};", "text/html")), Trouble.ERROR, None),
])
def test_a_failed_check_is_never_offline(
    answer: Reply | Cut, trouble: Trouble, retry_after_s: float | None, scene: Scene,
    youtube: YouTube,
) -> None:
    scene.host.add("@chess")
    scene.standin.add(lambda _: Reply(200, b"sorry", "text/html"), "www.google.com")
    scene.standin.fail(SITE, answer)
    with pytest.raises(PlatformError) as raised:
        youtube.check(channel())
    assert (raised.value.trouble, raised.value.retry_after_s) == (trouble, retry_after_s)


def test_a_channel_that_is_gone() -> None:
    data = {"alerts": [{"alertRenderer": {
        "type": "ERROR", "text": {"simpleText": "This account has been terminated."}}}]}
    with pytest.raises(PlatformError, match="terminated") as raised:
        look(f"var ytInitialData = {json.dumps(data)};", cookies=False)
    assert raised.value.trouble is Trouble.NOT_FOUND


def test_data_in_a_script_of_its_own(scene: Scene) -> None:
    """Some pages carry it so."""
    data = json.dumps({"metadata": {"channelMetadataRenderer": {"title": "x"}}})
    page = f'<script id="yt-initial-data" type="application/json">{data}</script>'
    assert look(page, cookies=False) == Offline()


@pytest.mark.parametrize(("words", "trouble"), [
    ("HTTP Error 429: Too Many Requests", Trouble.RATE_LIMITED),
    ("The current session has been rate-limited by YouTube", Trouble.RATE_LIMITED),
    ("This video is available to this channel's members on level: Pawn", Trouble.RESTRICTED),
    ("The uploader has not made this video available in your country", Trouble.RESTRICTED),
    ("An error occurred. Please try again later.", Trouble.ERROR),
    ("Playback on a mortgage page", Trouble.ERROR), ("", Trouble.ERROR),
])
def test_what_it_says(words: str, trouble: Trouble) -> None:
    assert trouble_of(words).trouble is trouble


def test_consent_is_given_where_it_is_asked(scene: Scene, youtube: YouTube) -> None:
    scene.live()
    scene.host.consent = True
    # Ours is sent with each request; without it there is the page.
    assert youtube.check(channel()) is not None
    assert len(scene.standin.requests) == 1
    youtube._pages.http.cookies.clear()
    assert youtube.check(channel()) is not None
    posted = [one for one in scene.standin.requests if one.method == "POST"]
    assert [one.form()["set_ytc"] for one in posted] == ["true"]


class TestDataApi:
    """A known broadcast is asked for there; everything else is on the page."""

    @pytest.fixture(autouse=True)
    def key(self, scene: Scene) -> None:
        scene.logins.given_app = KEY

    def test_one_request_tells_of_all(self, scene: Scene, youtube: YouTube) -> None:
        channels = [channel(f"@c{n}") for n in range(60)]
        for number, one in enumerate(channels):
            scene.host.add(one.name, Video(f"video-{number:05d}"))
        youtube.check_many(channels)
        scene.standin.clear()
        scene.host.channels["@c0"].video = Video("video-00000", title="Openings", viewers=7)
        found = youtube.check_many(channels)
        assert len(scene.standin.asked(DATA_API)) == len(scene.standin.requests) == 2
        first = found["ch_@c0"]
        assert isinstance(first, Broadcast)
        assert (first.title, first.viewers, first.category) == ("Openings", 7, "Gaming")
        scene.clock_s += 59.0
        youtube.check_many(channels)
        assert len(scene.standin.requests) == 2
        # But for a person who asks.
        youtube.check_many(channels[:1], fresh=True)
        assert [one.host for one in scene.standin.requests[2:]] == [DATA_API]
        scene.clock_s += 2.0
        youtube.check_many(channels)
        assert len(scene.standin.requests) == 5

    def test_the_end_is_confirmed_by_the_page(self, scene: Scene, youtube: YouTube) -> None:
        video = scene.live()
        assert youtube.check(channel()) is not None
        video.state = "ended"
        assert youtube.check(channel()) is None
        assert [one.host for one in scene.standin.requests] == [SITE, DATA_API, SITE]

    @pytest.mark.parametrize(("answer", "pause_s", "refusals"), [
        (Reply(500), 600.0, []),
        (Reply(200, b"<html>"), 600.0, []),
        (Reply(429, headers={"Retry-After": "900"}), 900.0, []),
        (Reply.json({"error": {"message": "API key not valid.", "errors": [
            {"reason": "badRequest"}]}}, 400), 3600.0, [("youtube", "api")]),
        (Reply.json({"error": {"errors": [{"reason": "quotaExceeded"}]}}, 403), 5 * 3600.0, []),
    ])
    def test_without_it_there_is_the_page(
        self, answer: Reply, pause_s: float, refusals: list[tuple[str, str]], scene: Scene
    ) -> None:
        scene.standin.fail(DATA_API, answer)
        three = datetime(2026, 3, 4, 3, 0, 0, tzinfo=timezone.utc)
        api = YouTubeApi(
            StandInSessions(scene.standin), scene.logins, lambda: scene.clock_s, lambda: three)
        known = Broadcast(id=ID)
        for later_s, asked in ((0.0, 1), (pause_s - 1.0, 1), (2.0, 2)):
            scene.clock_s += later_s
            assert api.find_live(known, ()) is None
            assert len(scene.standin.requests) == asked
        assert set(scene.logins.refusals) == set(refusals)
        api.close()

    def test_the_key_goes_to_one_host_and_in_no_address(
        self, scene: Scene, youtube: YouTube
    ) -> None:
        scene.live()
        youtube.check(channel())
        youtube.check(channel())
        youtube.open(channel())
        assert scene.standin.sent_to("AIza-data-api-key") == [DATA_API]
        assert all("AIza" not in one.target for one in scene.standin.asked(DATA_API))


@pytest.mark.parametrize(("quality", "name", "itag"), [
    ("source", "1080p60", 301), ("720p60", "720p", 95), ("160p", "360p", 93)])
def test_open_by_the_plugin(
    quality: str, name: str, itag: int, scene: Scene, youtube: YouTube
) -> None:
    scene.live()
    opened = youtube.open(channel(quality=quality))
    assert opened is not None and opened.quality == name
    assert f"/itag/{itag}/" in opened.stream.url


def test_an_address_that_expired_is_another_one_when_opened_again(
    scene: Scene, youtube: YouTube
) -> None:
    scene.live()
    first, second = youtube.open(channel()), youtube.open(channel())
    assert first is not None and second is not None
    assert first.stream.url != second.stream.url


def test_opening_again_and_again_keeps_one_plugin(scene: Scene, youtube: YouTube) -> None:
    """Each plugin object leaves an atexit entry behind."""
    scene.live()
    youtube.open(channel())
    kept = youtube._kept.get(channel()).plugin
    for _ in range(200):
        assert youtube.open(channel()) is not None
    assert youtube._kept.get(channel()).plugin is kept
    youtube.forget("ch_@chess")
    assert len(youtube._kept) == len(youtube._live) == 0


def test_open_what_is_restricted_without_cookies(scene: Scene, youtube: YouTube) -> None:
    scene.live(refusal="members")
    with pytest.raises(PlatformError, match="store the cookies") as raised:
        youtube.open(channel())
    assert raised.value.trouble is Trouble.RESTRICTED


class Apart(YtDlp):
    """Finds picture and sound, each for itself, and no playlist of both."""

    def find(self, url: str, cookies: str | None = None, deadline_s: float | None = None) -> Found:
        return Found("is_live", tuple(
            Format(name, f"https://{MANIFESTS}/{name}", False, None, {})
            for name in ("audio_only", "360p", "720p60")), ())


@pytest.mark.parametrize(("quality", "parts"), [
    ("source", ["720p60", "audio_only"]), ("audio_only", ["audio_only"])])
def test_picture_and_sound_apart(quality: str, parts: list[str], scene: Scene) -> None:
    scene.live()
    scene.host.for_plugin = False
    youtube = YouTube(StandInSessions(scene.standin), scene.logins, Apart())
    opened = youtube.open(channel(quality=quality))
    youtube.close()
    assert opened is not None and opened.quality == parts[0]
    streams = opened.stream.substreams if len(parts) > 1 else [opened.stream]
    assert [one.url.rpartition("/")[2] for one in streams] == parts
    assert isinstance(opened.stream, MuxedStream) is (len(parts) > 1)


def test_profile(scene: Scene, youtube: YouTube) -> None:
    scene.host.add("@chess")
    shown = youtube.profile(channel())
    assert (shown.display_name, shown.profile_image_url, shown.banner_image_url) == (
        "Chess", "https://yt3.googleusercontent.com/avatar=s800",
        "https://yt3.googleusercontent.com/banner=w2120")
    with pytest.raises(PlatformError) as raised:
        youtube.profile(channel("@nobody"))
    assert raised.value.trouble is Trouble.NOT_FOUND


def test_times_of_an_upcoming_broadcast_without_a_stamp() -> None:
    player = {"playabilityStatus": {"status": "LIVE_STREAM_OFFLINE", "liveStreamability": {
        "liveStreamabilityRenderer": {"offlineSlate": {"liveStreamOfflineSlateRenderer": {
            "scheduledStartTime": "1772600767"}}}}}}
    found = look(f"var ytInitialPlayerResponse = {json.dumps(player)};", cookies=False)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert found == Offline(epoch + timedelta(seconds=1772600767))


@pytest.mark.parametrize("details", [{"isLive": True}, {"isLive": True, "videoId": ""}])
def test_live_without_a_video_is_no_answer(details: dict[str, object]) -> None:
    player = {"playabilityStatus": {"status": "OK"}, "videoDetails": details}
    with pytest.raises(PlatformError, match="do not know"):
        look(f"var ytInitialPlayerResponse = {json.dumps(player)};", cookies=False)
