"""Pages of which platform `url` asks yt-dlp: how seldom it is asked, and when it has to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Broadcast, Channel, utc_now
from brlib.platforms import Offline, UrlPlatform, YtDlp
from brlib.platforms.ytdlp import Format, Found

from .standin.adapter import StandInSessions
from .standin.base import Reply, Request, StandIn

HOST, MEDIA = "tv.example", "cdn.example"
PAGE_URL = f"https://{HOST}/live/chess?token=s3cret-token"
PLAYLIST_URL = f"https://{MEDIA}/720p.m3u8"
CHANNEL = Channel("ch_page", "url", PAGE_URL, "x", PAGE_URL, "source", True, utc_now())


def hls(name: str = "720p", url: str = PLAYLIST_URL) -> Format:
    return Format(name, url, name != "audio_only", None, {"User-Agent": "of yt-dlp"})


LIVE = Found("is_live", (hls("360p", f"https://{MEDIA}/360p.m3u8"), hls()), (), "b1", "Endgames")
OVER = Found("was_live", (hls(),), ())
UNKNOWN = Found(None, (), ("Unsupported URL: https://tv.example",))


@dataclass
class Scene:
    """A page and its playlists, and a yt-dlp that finds what a test says."""

    standin: StandIn = field(default_factory=StandIn)
    found: Found | PlatformError = LIVE
    runs: list[str] = field(default_factory=list)
    clock_s: float = 1000.0
    page: Reply = Reply(200, b"<!DOCTYPE html><html>", "text/html")
    newest: int = 5
    ended: bool = False
    status: int = 200

    def answer(self, request: Request) -> Reply:
        if request.host == HOST:
            return self.page
        if self.status != 200:
            return Reply(self.status)
        if request.path.endswith("master.m3u8"):
            return Reply(200, b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360\n"
                              b"360p.m3u8\n")
        return Reply(200, playlist(self.newest, self.ended))


def playlist(newest: int, ended: bool = False) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{newest}",
             "#EXTINF:2.0,", f"{newest}.ts"]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else [])]).encode()


class Scripted(YtDlp):
    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._scene = scene

    def find(self, url: str, cookies: str | None = None, deadline_s: float | None = None) -> Found:
        assert cookies is None
        self._scene.runs.append(url)
        if isinstance(self._scene.found, PlatformError):
            raise self._scene.found
        return self._scene.found


@pytest.fixture
def scene() -> Scene:
    one = Scene()
    one.standin.add(one.answer, HOST, MEDIA)
    return one


@pytest.fixture
def platform(scene: Scene) -> Iterator[UrlPlatform]:
    one = UrlPlatform(StandInSessions(scene.standin), Scripted(scene), clock=lambda: scene.clock_s)
    yield one
    one.close()


def rhythm(platform: UrlPlatform) -> object:
    """What the check loop hears."""
    return platform.check_many([CHANNEL])[CHANNEL.id]


def pressed(platform: UrlPlatform) -> object:
    """What a person hears who asks."""
    return platform.check_many([CHANNEL], fresh=True)[CHANNEL.id]


def test_while_it_is_live_its_playlist_tells(scene: Scene, platform: UrlPlatform) -> None:
    for scene.newest in range(5, 10):
        scene.clock_s += 600.0
        live = platform.check(CHANNEL)
        assert live is not None and rhythm(platform) == live
        assert (live.id, live.title) == ("b1", "Endgames")
        assert live.edge is not None and live.edge.startswith(f"{scene.newest}:")
    opened = platform.open(CHANNEL)
    assert opened is not None and opened.quality == "720p"
    assert opened.stream.url == PLAYLIST_URL
    assert scene.runs == [PAGE_URL]


def test_what_is_for_the_page_stays_there(scene: Scene, platform: UrlPlatform) -> None:
    platform.check(CHANNEL)
    assert scene.standin.sent_to("s3cret-token") == [HOST]
    assert {one.headers["User-Agent"] == "of yt-dlp" for one in scene.standin.asked(HOST)} == {
        False}
    assert {one.headers["User-Agent"] for one in scene.standin.asked(MEDIA)} == {"of yt-dlp"}


def test_only_the_quality_that_is_recorded_is_looked_at(
    scene: Scene, platform: UrlPlatform
) -> None:
    platform.check(replace(CHANNEL, quality="360p"))
    assert {one.path for one in scene.standin.asked(MEDIA)} == {"/360p.m3u8"}


def test_one_format_that_is_a_multivariant_playlist(scene: Scene, platform: UrlPlatform) -> None:
    scene.found = replace(LIVE, formats=(hls("live", f"https://{MEDIA}/master.m3u8"),))
    assert platform.check(CHANNEL) is not None
    opened = platform.open(CHANNEL)
    assert opened is not None and opened.stream.url == f"https://{MEDIA}/360p.m3u8"


def test_the_rhythm_of_offline(scene: Scene, platform: UrlPlatform) -> None:
    scene.found = OVER
    for later_s, runs in ((0.0, 1), (30.0, 1), (149.0, 1), (2.0, 2), (170.0, 2)):
        scene.clock_s += later_s
        assert rhythm(platform) == Offline()
        assert len(scene.runs) == runs


def test_who_doubts_is_never_told_the_same_twice(scene: Scene, platform: UrlPlatform) -> None:
    """Two answers end a recording: they have to be two."""
    scene.found = OVER
    assert platform.check(CHANNEL) is None
    for later_s in (10.0, 10.0, 9.0):
        scene.clock_s += later_s
        for ask in (platform.check, platform.open):
            with pytest.raises(PlatformError, match="just now"):
                ask(CHANNEL)
    scene.clock_s += 2.0
    assert platform.open(CHANNEL) is None
    assert len(scene.runs) == 2


def test_a_site_that_is_slow_to_notice_the_end(scene: Scene, platform: UrlPlatform) -> None:
    assert platform.check(CHANNEL) is not None
    scene.ended = True
    assert rhythm(platform) == Offline() and len(scene.runs) == 1
    # What was missed of it is still there to be had.
    opened = platform.open(CHANNEL)
    assert opened is not None and opened.stream.url == PLAYLIST_URL
    for later_s, runs in ((31.0, 2), (31.0, 2), (150.0, 3)):
        scene.clock_s += later_s
        assert rhythm(platform) == Offline()
        assert len(scene.runs) == runs
    scene.ended = False
    scene.clock_s += 181.0
    assert platform.check(CHANNEL) is not None


def test_an_address_that_expired_is_renewed(scene: Scene, platform: UrlPlatform) -> None:
    assert platform.check(CHANNEL) is not None
    scene.status = 403
    with pytest.raises(PlatformError, match="403") as raised:
        platform.open(CHANNEL)
    assert raised.value.trouble is Trouble.BLOCKED and len(scene.runs) == 1
    scene.status, scene.clock_s = 200, scene.clock_s + 31.0
    scene.found = replace(LIVE, formats=(hls("720p", f"https://{MEDIA}/new/720p.m3u8"),))
    scene.standin.fail(MEDIA, Reply(403), "/720p.m3u8")
    opened = platform.open(CHANNEL)
    assert opened is not None and opened.stream.url == f"https://{MEDIA}/new/720p.m3u8"
    assert len(scene.runs) == 2


def test_a_page_that_nobody_knows(scene: Scene, platform: UrlPlatform) -> None:
    scene.found = UNKNOWN
    for later_s, runs in ((0.0, 1), (60.0, 1), (3500.0, 1), (60.0, 2)):
        scene.clock_s += later_s
        with pytest.raises(PlatformError, match="answers HTML, not a live stream"):
            platform.check(CHANNEL)
        assert len(scene.runs) == runs
    page, scene.page = scene.page, Reply(404)
    assert platform.check(CHANNEL) is None
    scene.page = page
    with pytest.raises(PlatformError, match="answers HTML, not a live stream"):
        platform.check(CHANNEL)
    scene.page = Reply(200, playlist(7))
    live = platform.check(CHANNEL)
    assert live is not None and live.edge is not None and len(scene.runs) == 2


def test_trouble_is_no_answer_and_soon_forgotten(scene: Scene, platform: UrlPlatform) -> None:
    scene.found = PlatformError("yt-dlp had no answer", Trouble.BLOCKED, 7.0)
    for later_s, runs in ((0.0, 1), (29.0, 1), (2.0, 2)):
        scene.clock_s += later_s
        heard = rhythm(platform)
        assert isinstance(heard, PlatformError)
        assert (str(heard), heard.trouble, heard.retry_after_s) == (
            "yt-dlp had no answer", Trouble.BLOCKED, 7.0)
        assert len(scene.runs) == runs


@pytest.mark.parametrize("page", [
    Reply(200, playlist(1)), Reply(200, b"<?xml version='1.0'?><MPD type='static'></MPD>"),
    Reply(200, b"\x47" + b"\xff" * 187, "video/mp2t"), Reply(404), Reply(410), Reply(403),
    Reply(429, headers={"Retry-After": "9"}), Reply(500), Reply(200, b"{}"),
])
def test_for_anything_else_it_is_not_run(page: Reply, scene: Scene, platform: UrlPlatform) -> None:
    scene.page = page
    rhythm(platform)
    assert scene.runs == []


@pytest.mark.parametrize("before", [OVER, UNKNOWN, PlatformError("yt-dlp had no answer")])
def test_a_person_who_asks_gets_an_answer_of_now(
    before: Found | PlatformError, scene: Scene, platform: UrlPlatform
) -> None:
    scene.found = before
    rhythm(platform)
    scene.found = LIVE
    scene.clock_s += 5.0
    assert isinstance(pressed(platform), Broadcast) and len(scene.runs) == 2
    # What is live is looked at, as ever.
    scene.newest += 1
    live = pressed(platform)
    assert isinstance(live, Broadcast) and live.edge is not None and live.edge.startswith("6:")
    assert len(scene.runs) == 2
    scene.ended, scene.found = True, OVER
    assert pressed(platform) == Offline() and len(scene.runs) == 3


NEW = replace(LIVE, formats=(hls("720p", f"https://{MEDIA}/new/720p.m3u8"),), id="b2")


def test_what_an_encoder_left_behind_hides_no_broadcast(
    scene: Scene, platform: UrlPlatform
) -> None:
    """Its playlist stands for hours as if it were live; the site goes on at another address."""
    assert rhythm(platform) == rhythm(platform)
    scene.found = NEW
    for later_s, runs in ((30.0, 1), (149.0, 1), (2.0, 2)):
        scene.clock_s += later_s
        live = rhythm(platform)
        assert isinstance(live, Broadcast) and live.id == ("b1" if runs == 1 else "b2")
        assert len(scene.runs) == runs
    # Where the site still names it, it is asked again as seldom.
    for later_s, runs in ((178.0, 2), (3.0, 3), (178.0, 3), (3.0, 4)):
        scene.clock_s += later_s
        assert isinstance(rhythm(platform), Broadcast) and len(scene.runs) == runs


def test_who_records_is_told_sooner_where_it_goes_on(scene: Scene, platform: UrlPlatform) -> None:
    assert platform.check(CHANNEL) is not None
    scene.clock_s += 29.0
    opened = platform.open(CHANNEL)
    assert opened is not None and opened.stream.url == PLAYLIST_URL
    scene.clock_s += 2.0
    scene.found = NEW
    opened = platform.open(CHANNEL)
    assert opened is not None and opened.stream.url == f"https://{MEDIA}/new/720p.m3u8"
    assert len(scene.runs) == 2
    scene.found = LIVE
    scene.clock_s += 31.0
    live = platform.check(CHANNEL)
    assert live is not None and live.id == "b1" and len(scene.runs) == 3


def test_a_page_that_was_known_is_not_unknown_for_an_hour(
    scene: Scene, platform: UrlPlatform
) -> None:
    """It shows something else for a moment, while its broadcast goes on."""
    assert platform.open(CHANNEL) is not None
    scene.status, scene.found = 403, UNKNOWN
    scene.clock_s += 31.0
    for ask in (platform.check, platform.open):
        with pytest.raises(PlatformError):
            ask(CHANNEL)
    assert len(scene.runs) == 2
    scene.status, scene.found = 200, LIVE
    scene.clock_s += 31.0
    assert platform.open(CHANNEL) is not None
