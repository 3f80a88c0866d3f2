"""Pages of which platform `url` asks yt-dlp: how seldom it is asked, and the real one against a
page that shows a live stream. Formats apart are recorded as one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream, MuxedHLSStream

from brlib.capture import Capture
from brlib.errors import PlatformError, Trouble
from brlib.models import Channel, SessionEnd, utc_now
from brlib.platforms import Offline, Sessions, UrlPlatform, YtDlp
from brlib.platforms.ytdlp import Format, Found
from brlib.platforms.ytdlp_streams import streams_of

from .conftest import children
from .engine import FAST, Engine
from .faults import Asked, Fault
from .faults import Reply as Answer
from .listener import wait_until
from .media import stream_kinds, ts_clips, video_frames
from .origin import Origin
from .remux_origin import FPS, SEPARATE_AUDIO, Site, encoder
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


# The real ones.


@dataclass
class Page(Fault):
    body: bytes = (b'<!DOCTYPE html><html><head><meta property="og:title" content="Endgames">'
                   b'</head><video><source src="/master.m3u8" type="application/x-mpegURL">'
                   b'</video></html>')

    def act(self, asked: Asked) -> Answer | None:
        return Answer(200, self.body, "text/html") if asked.path.startswith("/watch") else None


def test_a_page_is_recorded(engine: Callable[..., Engine]) -> None:
    with Origin() as origin:
        origin.faults.append(Page())
        for clip in ts_clips(4):
            origin.add(clip)
        one = engine()
        one.add(f"{origin.base_url}/watch/chess")
        one.wait_segments(4)
        origin.end()
        recording = one.wait_complete()
        assert video_frames(Path(recording.files[0])) == sum(clip.frames for clip in ts_clips(4))
        assert (recording.title, recording.quality) == ("Endgames", "1080p60")


def test_stopping_waits_for_no_run(
    engine: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    monkeypatch.setattr("brlib.platforms.ytdlp.COMMAND", (
        sys.executable, "-c", f"import time; open({str(started)!r}, 'w'); time.sleep(600)"))
    before = children()
    with Origin() as origin:
        one = engine()
        channel = one.add(f"{origin.base_url}/page.html")
        wait_until(started.exists)
        assert children() - before
        one.service.stop()
        # Before anyone is waited for.
        wait_until(lambda: not children() - before)
        assert one.service.supervisor.join(20.0)
        assert one.service.store.channels.get(channel.id).last_error is None


def test_picture_and_sound_apart_are_recorded_as_one(tmp_path: Path) -> None:
    session = Sessions().new()
    capture = Capture.create("c", tmp_path / "capture", on_news=lambda: None, timeouts=FAST)
    with Site(tmp_path) as site, encoder(tmp_path, 3, 4, SEPARATE_AUDIO, "1.m3u8"):
        formats = (Format("audio_only", site.url("0.m3u8"), False, None, {}),
                   Format("90p", site.url("1.m3u8"), False, None, {}))
        streams = streams_of(session, Found("is_live", formats, ()))
        assert {name: type(one) for name, one in streams.items()} == {
            "audio_only": HLSStream, "90p": MuxedStream}
        reading = capture.open(streams["90p"])
        wait_until(lambda: reading.end is not None, 20.0)
        assert reading.end is SessionEnd.ENDLIST
        reading.close()
    capture.suspend()
    session.http.close()
    part = tmp_path / "capture" / "0001.ts"
    assert stream_kinds(part) == ["h264 160x90", "aac"]
    assert video_frames(part) == 3 * FPS
    assert capture.sums.captured_s == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(("body", "names"), [
    (b"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",DEFAULT=YES,URI=\"a.m3u8\"\n"
     b"#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1280x720,AUDIO=\"a\"\n720p.m3u8\n", ["720p"]),
    (b"<html>", None),
])
def test_formats_apart_are_put_together_by_their_playlist(
    body: bytes, names: list[str] | None, scene: Scene
) -> None:
    scene.standin.fail(MEDIA, Reply(200, body), "/all.m3u8")
    session = StandInSessions(scene.standin).new()
    found = Found("is_live", tuple(
        Format(name, f"https://{MEDIA}/{name}", False, f"https://{MEDIA}/all.m3u8", {})
        for name in ("audio_only", "720p")), ())
    if names is None:
        with pytest.raises(PlatformError, match="playlist cannot be read"):
            streams_of(session, found)
    else:
        streams = streams_of(session, found)
        assert {name: type(one) for name, one in streams.items()} == {"720p": MuxedHLSStream}
    session.http.close()


def test_formats_of_one_kind_alone() -> None:
    session = Sessions().new()
    sound = Format("audio_only", f"https://{MEDIA}/a", False, None, {})
    picture = Format("720p", f"https://{MEDIA}/v", False, None, {})
    for one in (sound, picture):
        assert {name: type(stream) for name, stream in streams_of(
            session, Found("is_live", (one,), ())).items()} == {one.name: HLSStream}
    session.http.close()
