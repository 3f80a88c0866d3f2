"""Platform `url` where a site has code of its own: pages of a plugin that lists finished videos
and is refused, single videos of YouTube, and what refusals of any address are told as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from streamlink.exceptions import PluginError
from streamlink.plugin import Plugin
from streamlink.session.session import Streamlink
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream
from streamlink.stream.http import HTTPStream

from brlib.errors import Invalid, PlatformError, Trouble
from brlib.models import Broadcast, Channel, utc_now
from brlib.platforms import Offline, Opened, UrlPlatform
from brlib.platforms.youtube import YouTube
from brlib.workers import Pool

from .standin.adapter import StandInSessions
from .standin.base import Cut, Hang, Reply, Request, StandIn
from .standin.logins import GivenLogins
from .standin.youtube import SITE, Video, YouTubeHost

PAGE_URL, MEDIA = "https://tv.example/live", "cdn.example"
LIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2.0,\n7.ts\n"
ENDED = LIST + b"#EXT-X-ENDLIST\n"
UNBEGUN = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"


def channel(url: str = PAGE_URL, quality: str = "720p") -> Channel:
    return Channel("ch_page", "url", url, "x", url, quality, True, utc_now())


# Pages of a plugin.


@dataclass
class Scene:
    """What a site's plugin lists, and what its media servers answer."""

    standin: StandIn = field(default_factory=StandIn)
    streams: Callable[[Streamlink], dict[str, Any]] = lambda session: {}
    replies: dict[str, Reply] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply | None:
        return self.replies.get(request.path)


class Pages(StandInSessions):
    """With a plugin for every page."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.standin)
        self._scene = scene

    def find_plugin(self, session: Streamlink, url: str) -> tuple[str, Plugin] | None:
        scene = self._scene

        class Tv(Plugin):
            def _get_streams(self) -> dict[str, Any]:
                self.id, self.title = "b1", "Endgames"
                return scene.streams(self.session)

        return "tv", Tv(session, url)


@pytest.fixture
def scene() -> Scene:
    one = Scene()
    one.standin.add(one.answer, MEDIA, "tv.example")
    return one


@pytest.fixture
def platform(scene: Scene) -> Iterator[UrlPlatform]:
    one = UrlPlatform(Pages(scene))
    yield one
    one.close()


def listed(kind: type[HTTPStream], path: str) -> Callable[[Streamlink], dict[str, Any]]:
    return lambda session: {"720p": kind(session, f"https://{MEDIA}{path}", headers={"X-Tv": "1"}),
                            "360p": kind(session, f"https://{MEDIA}/360p")}


def muxed(session: Streamlink) -> dict[str, Any]:
    return {"720p": MuxedStream(session, HLSStream(session, f"https://{MEDIA}/list"),
                                HLSStream(session, f"https://{MEDIA}/sound"))}


@pytest.mark.parametrize(("streams", "reply", "live", "opens"), [
    (listed(HLSStream, "/list"), Reply(200, LIST), True, True),
    (muxed, Reply(200, LIST), True, True),
    (listed(HLSStream, "/list"), Reply(200, UNBEGUN), True, True),
    # What of it is missing is taken when a recording goes on.
    (listed(HLSStream, "/list"), Reply(200, ENDED), False, True),
    (muxed, Reply(200, ENDED), False, True),
    (listed(HLSStream, "/list"), Reply(200, UNBEGUN + b"#EXT-X-ENDLIST\n"), False, True),
    # The stand-in's answers have a length, as files have.
    (listed(HTTPStream, "/list"), Reply(200, b"\0" * 100, "video/mp4"), False, False),
    (listed(HTTPStream, "/list"), Reply(100, kind="video/mp2t"), True, True),
    (lambda session: {}, Reply(200), False, False),
])
def test_what_a_plugin_lists(
    streams: Callable[[Streamlink], dict[str, Any]], reply: Reply, live: bool, opens: bool,
    scene: Scene, platform: UrlPlatform, monkeypatch: pytest.MonkeyPatch,
) -> None:
    if reply.status == 100:
        reply = endless(monkeypatch)
    scene.streams, scene.replies = streams, {"/list": reply}
    found = platform.check(channel())
    assert (found is not None) is live
    if found is not None:
        assert (found.id, found.title) == ("b1", "Endgames")
        assert (found.edge is not None) is (reply.body == LIST)
    assert isinstance(platform.open(channel()), Opened) is opens
    # Only what would be recorded is looked at, as the plugin wants it asked for.
    assert {one.path for one in scene.standin.asked(MEDIA)} <= {"/list"}
    if streams is not muxed:
        assert all(one.headers["X-Tv"] == "1" for one in scene.standin.asked(MEDIA))


def endless(monkeypatch: pytest.MonkeyPatch) -> Reply:
    """An answer without a length."""
    monkeypatch.setattr("tests.standin.adapter.wire", lambda *_, **__: (
        b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + b"\x47" * 100))
    return Reply(200)


@pytest.mark.parametrize(("reply", "trouble", "says"), [
    (Reply(404), Trouble.ERROR, "not there"), (Reply(403), Trouble.BLOCKED, "HTTP 403"),
    (Reply(200, b"<html>", "text/html"), Trouble.ERROR, "none"),
])
def test_what_is_listed_and_not_to_be_had_is_not_offline(
    reply: Reply, trouble: Trouble, says: str, scene: Scene, platform: UrlPlatform
) -> None:
    scene.streams, scene.replies = listed(HLSStream, "/list"), {"/list": reply}
    with pytest.raises(PlatformError, match=says) as raised:
        platform.check(channel())
    assert raised.value.trouble is trouble


def asks(error: bool) -> Callable[[Streamlink], dict[str, Any]]:
    """A plugin that takes a refusal for "nothing is on", or lets it out."""
    def streams(session: Streamlink) -> dict[str, Any]:
        session.http.get(PAGE_URL, raise_for_status=error)
        return {}
    return streams


@pytest.mark.parametrize("reply", [Cut(), Hang(60.0)])
def test_a_plugin_that_keeps_to_itself_that_nobody_answered(
    reply: Cut | Hang, scene: Scene, platform: UrlPlatform
) -> None:
    """Many do, and an outage of ours would end a recording."""
    def streams(session: Streamlink) -> dict[str, Any]:
        with suppress(PluginError):
            session.http.get(f"{PAGE_URL}?token=s3cret")
        return {}

    scene.streams = streams
    scene.standin.fail("tv.example", reply)
    for ask in (platform.check, platform.open):
        with pytest.raises(PlatformError, match="^The site cannot be reached") as raised:
            ask(channel())
        assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("reply", [Cut(), Reply(503)])
def test_what_a_capture_meets_meanwhile_is_not_of_the_page(
    reply: Cut | Reply, scene: Scene, platform: UrlPlatform
) -> None:
    """It reads with the same session, in threads of its own."""
    def streams(session: Streamlink) -> dict[str, Any]:
        def fetch() -> None:
            with suppress(PluginError):
                session.http.get(f"https://{MEDIA}/7.ts", raise_for_status=False)

        pool = Pool("capture", 1)
        assert pool.submit("fetch", fetch) and pool.join(5.0)
        return {}

    scene.streams = streams
    scene.standin.fail(MEDIA, reply)
    assert platform.check(channel()) is None
    assert len(scene.standin.asked(MEDIA)) == 1


def test_what_streamlink_says_is_bounded(scene: Scene, platform: UrlPlatform) -> None:
    def streams(session: Streamlink) -> dict[str, Any]:
        raise PluginError("Unable to validate:\n  " + "x" * 9999 + " https://a.example/?k=s3cret")

    scene.streams = streams
    with pytest.raises(PlatformError) as raised:
        platform.check(channel())
    assert len(str(raised.value)) < 400 and "\n" not in str(raised.value)


REFUSALS = [
    (401, {}, Trouble.BLOCKED, None, "user:password@"),
    (403, {"Retry-After": "60"}, Trouble.BLOCKED, 60.0, "HTTP 403"),
    (429, {}, Trouble.RATE_LIMITED, None, "no more requests"),
    (429, {"Retry-After": "120"}, Trouble.RATE_LIMITED, 120.0, "no more requests"),
    (451, {}, Trouble.BLOCKED, None, "legal"),
    (503, {}, Trouble.ERROR, None, "HTTP 503"),
    (503, {"Retry-After": "5"}, Trouble.RATE_LIMITED, 5.0, "HTTP 503"),
]


@pytest.mark.parametrize(("status", "headers", "trouble", "wait_s", "says"), REFUSALS)
def test_refusals(
    status: int, headers: dict[str, str], trouble: Trouble, wait_s: float | None, says: str,
    scene: Scene, platform: UrlPlatform,
) -> None:
    """Of a plugin's page, whatever the plugin makes of them, and of a bare address."""
    scene.replies["/live"] = Reply(status, headers=headers)
    bare = UrlPlatform(StandInSessions(scene.standin))
    for one, streams in ((platform, asks(False)), (platform, asks(True)), (bare, None)):
        scene.streams = streams or scene.streams
        with pytest.raises(PlatformError, match=says) as raised:
            one.check(channel())
        assert (raised.value.trouble, raised.value.retry_after_s) == (trouble, wait_s)
    bare.close()


def test_a_plugin_that_fails_by_itself(scene: Scene, platform: UrlPlatform) -> None:
    def fails(session: Streamlink) -> dict[str, Any]:
        raise PluginError("Unable to parse https://tv.example/live?token=s3cret")

    scene.streams = fails
    with pytest.raises(PlatformError, match="streamlink: Unable to parse https://tv.example$"):
        platform.check(channel())


# Single videos of YouTube.

ID = "abcdefghijk"
VIDEO_URL = f"https://www.youtube.com/watch?v={ID}"


@dataclass
class Tube:
    standin: StandIn
    video: Video
    platform: UrlPlatform
    clock_s: float = 1000.0


@pytest.fixture
def tube() -> Iterator[Tube]:
    standin, host, video = StandIn(), YouTubeHost(), Video(ID)
    host.join(standin)
    host.add("@chess", video)
    sessions = StandInSessions(standin)
    youtube = YouTube(sessions, GivenLogins("youtube"))
    one = Tube(standin, video, UrlPlatform(
        sessions, videos=youtube, clock=lambda: one.clock_s))
    yield one
    one.platform.close()
    youtube.close()


@pytest.mark.parametrize("typed", [
    VIDEO_URL, f"https://youtu.be/{ID}?si=x", f"http://m.youtube.com/watch?app=m&v={ID}&t=1",
    f"https://www.youtube.com/live/{ID}?feature=share", f"https://youtube.com/shorts/{ID}",
    f"https://www.youtube.com/embed/{ID}", f"https://music.youtube.com/watch?v={ID}",
])
def test_addresses_of_a_video(typed: str, tube: Tube) -> None:
    address = tube.platform.address(typed)
    assert (address.name, address.url) == (VIDEO_URL, VIDEO_URL)
    assert ID in address.display_name


@pytest.mark.parametrize("typed", [
    "https://www.youtube.com/@chess", "https://www.youtube.com/watch?v=short",
    "https://www.youtube.com/embed/live_stream?channel=UCx", "https://youtu.be/",
    "https://www.youtube.com/playlist?list=PL1", "https://user@www.youtube.com/@chess/live",
])
def test_youtubes_other_addresses(typed: str, tube: Tube) -> None:
    with pytest.raises(Invalid, match="platform youtube"):
        tube.platform.address(typed)


def test_a_live_video(tube: Tube) -> None:
    live = tube.platform.check_many([channel(VIDEO_URL)])["ch_page"]
    assert isinstance(live, Broadcast) and live == tube.platform.check(channel(VIDEO_URL))
    assert (live.id, live.title, live.viewers) == (ID, "Endgames", 1234)
    assert {one.target for one in tube.standin.requests} == {f"/watch?v={ID}"}
    opened = tube.platform.open(channel(VIDEO_URL))
    assert opened is not None and opened.quality == "720p" and "/itag/95/" in opened.stream.url


def test_a_video_that_is_over_is_asked_for_as_seldom_as_youtube(tube: Tube) -> None:
    tube.video.state = "ended"
    for later_s, asked in ((0.0, 1), (30.0, 1), (149.0, 1), (2.0, 2)):
        tube.clock_s += later_s
        assert tube.platform.check_many([channel(VIDEO_URL)]) == {"ch_page": Offline()}
        assert len(tube.standin.asked(SITE)) == asked
    # Who doubts a recording gets an answer of now.
    assert tube.platform.check(channel(VIDEO_URL)) is None
    assert len(tube.standin.asked(SITE)) == 3
    assert tube.platform.open(channel(VIDEO_URL)) is None
    tube.platform.forget("ch_page")
    assert tube.platform._offline == {}


def test_a_person_who_asks_for_a_video_gets_an_answer_of_now(tube: Tube) -> None:
    tube.video.state = "ended"
    assert tube.platform.check_many([channel(VIDEO_URL)]) == {"ch_page": Offline()}
    tube.video.state = "live"
    heard = tube.platform.check_many([channel(VIDEO_URL)], fresh=True)
    assert isinstance(heard["ch_page"], Broadcast)


def test_a_refused_video_is_not_offline(tube: Tube) -> None:
    tube.video.refusal = "bot"
    heard = tube.platform.check_many([channel(VIDEO_URL)])["ch_page"]
    assert isinstance(heard, PlatformError) and heard.trouble is Trouble.BLOCKED
    tube.video.refusal = "members"
    with pytest.raises(PlatformError, match="cookies") as raised:
        tube.platform.open(channel(VIDEO_URL))
    assert raised.value.trouble is Trouble.RESTRICTED


def test_upcoming(tube: Tube) -> None:
    tube.video.state = "upcoming"
    heard = tube.platform.check_many([channel(VIDEO_URL)])["ch_page"]
    assert isinstance(heard, Offline) and heard.upcoming_at is not None
    assert replace(heard, upcoming_at=None) == Offline(title="Endgames")
