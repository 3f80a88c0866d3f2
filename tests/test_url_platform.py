"""Platform `url` by itself: playlists, pages through a real plugin of streamlink, refusals.

The page is Kick's, whose plugin needs two answers only; its hosts are rerouted to the
origin by an adapter on the session, the plugin itself is untouched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from requests import PreparedRequest, Request, Response
from requests.adapters import HTTPAdapter
from streamlink.session.session import Streamlink

from brlib.errors import Invalid, PlatformError
from brlib.models import Channel, ChannelStatus, utc_now
from brlib.platforms import Sessions, UrlPlatform
from brlib.platforms.page import PAGE_MAX_BYTES, image_of

from .engine import Engine
from .faults import Asked, Fault, Reply
from .media import ts_clips
from .origin import Origin


class Reroute(HTTPAdapter):
    """Sends everything to one loopback port, and says that it came from where it was asked."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override]
        wanted = request.url or ""
        parts = urlsplit(wanted)
        request.url = f"http://127.0.0.1:{self._port}{parts.path}"
        options["proxies"] = {}
        response = super().send(request, **options)
        request.url = response.url = wanted
        return response


class Rerouted(Sessions):
    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def new(self) -> Streamlink:
        session = super().new()
        # Kick's plugin mounts an adapter of its own; the longer prefix wins.
        for prefix in ("https://", "https://kick.com/api/"):
            session.http.mount(prefix, Reroute(self._port))
        return session


class Api(Fault):
    """Answers for kick.com's API."""

    def __init__(self, status: int, data: Any) -> None:
        self.status = status
        self.data = data

    def act(self, asked: Asked) -> Reply | None:
        if not asked.path.endswith("/livestream"):
            return None
        return Reply(self.status, json.dumps({"data": self.data}).encode(), "application/json")


LIVE = {"playback_url": "https://stream.example/master.m3u8?token=t", "id": 5,
        "category": {"name": "Chess"}, "session_title": "Blitz"}


def channel(url: str, quality: str = "source") -> Channel:
    return Channel("ch_aaaaaaaaaaaa", "url", url, "x", url, quality, True, utc_now())


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as one:
        for clip in ts_clips(3):
            one.add(clip)
        yield one


@pytest.fixture
def platform(origin: Origin) -> Iterator[UrlPlatform]:
    one = UrlPlatform(Rerouted(origin.port))
    yield one
    one.close()


def test_a_page_that_a_plugin_knows(origin: Origin, platform: UrlPlatform) -> None:
    origin.faults.append(Api(200, LIVE))
    page = channel("https://kick.com/somebody", "720p")
    broadcast = platform.check(page)
    assert broadcast is not None
    assert (broadcast.id, broadcast.title, broadcast.category) == ("5", "Blitz", "Chess")
    opened = platform.open(page)
    assert opened is not None
    assert opened.quality == "720p"
    assert opened.stream.url.endswith("/720p/live.m3u8")


def test_a_page_whose_channel_is_offline(origin: Origin, platform: UrlPlatform) -> None:
    origin.faults.append(Api(200, None))
    page = channel("https://kick.com/somebody")
    assert platform.check(page) is None
    assert platform.open(page) is None


def test_a_page_that_blocks_us_is_an_error_and_not_offline(
    origin: Origin, platform: UrlPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    origin.faults.append(Api(403, None))
    with pytest.raises(PlatformError, match="403"):
        platform.check(channel("https://kick.com/somebody"))
    # The plugin logs an exception, whose frames hold the connection.
    caplog.clear()


def test_one_plugin_object_a_channel(origin: Origin, platform: UrlPlatform) -> None:
    """Each leaves an atexit entry behind: making one a check would leak."""
    origin.faults.append(Api(200, LIVE))
    page = channel("https://kick.com/somebody")
    platform.check(page)
    kept = platform._kept.get(page).plugin_page
    platform.check(page)
    assert platform._kept.get(page).plugin_page is kept is not None


@pytest.mark.parametrize("path", ["/live.m3u8", "/master.m3u8", "/moved.m3u8"])
def test_a_playlist_is_live_until_it_says_otherwise(
    path: str, origin: Origin, platform: UrlPlatform
) -> None:
    address = channel(origin.base_url + path)
    broadcast = platform.check(address)
    assert broadcast is not None and broadcast.edge is not None
    assert broadcast.edge.startswith("2:")
    origin.end()
    assert platform.check(address) is None


@pytest.mark.parametrize(("path", "says"), [
    ("/page.html", "answers HTML, not a live stream"),
    ("/empty.m3u8", "no segments"),
])
def test_what_is_no_stream_says_so(
    path: str, says: str, origin: Origin, platform: UrlPlatform
) -> None:
    with pytest.raises(PlatformError, match=says):
        platform.check(channel(origin.base_url + path))


def test_gone_is_offline_and_broken_is_not(origin: Origin, platform: UrlPlatform) -> None:
    assert platform.check(channel(origin.base_url + "/nothing.m3u8")) is None
    address = channel(origin.url)
    origin.go_away()
    try:
        with pytest.raises(PlatformError, match="cannot be reached"):
            platform.check(address)
    finally:
        origin.come_back()
    assert platform.check(address) is not None


@pytest.mark.parametrize("name", [
    "", "nonsense", "file:///etc/passwd", "rtmp://host/live", "javascript:alert(1)",
    "http://", "http:///path", "http://host:port/", "http://a b/", "hls://http://host/x.m3u8",
    "http://[::1/x.m3u8", "data:text/plain,x",
])
def test_addresses_that_are_none(name: str, platform: UrlPlatform) -> None:
    with pytest.raises(Invalid) as refused:
        platform.address(name)
    assert refused.value.problems[0].field == "name"


def test_a_name_for_people() -> None:
    platform = UrlPlatform(Sessions())
    address = platform.address(" https://user:secret@cdn.example/live/Main.m3u8?token=x ")
    assert address.display_name == "cdn.example_live_Main"
    assert address.url == "https://user:secret@cdn.example/live/Main.m3u8?token=x"


class Radio(Fault):
    """An address that gives media without end."""

    def act(self, asked: Asked) -> Reply | None:
        if not asked.path.endswith("/radio"):
            return None
        return Reply(200, b"\xff\xfb\x90\x00" * 100_000, "audio/mpeg", bytes_per_s=4000)


def test_a_radio_stream_is_left_at_its_first_bytes(
    origin: Origin, platform: UrlPlatform
) -> None:
    """The whole of it would take 100 s."""
    origin.faults.append(Radio())
    with pytest.raises(PlatformError, match="audio/mpeg, not a live stream"):
        platform.check(channel(origin.base_url + "/radio"))


def test_the_edge_is_that_of_the_variant_that_is_recorded(
    origin: Origin, platform: UrlPlatform
) -> None:
    """The edge tells a dead encoder, and is compared with what was taken."""
    edges = set()
    for quality in ("1080p60", "360p"):
        broadcast = platform.check(channel(origin.master_url, quality))
        assert broadcast is not None
        edges.add(broadcast.edge)
    assert len(edges) == 2


def test_a_surprise_in_a_check_is_an_error_of_the_channel_and_backs_off(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(self: UrlPlatform, channels: object, fresh: bool) -> None:
        raise OverflowError("cannot convert float infinity to integer")

    monkeypatch.setattr(UrlPlatform, "check_many", surprise)
    one = engine()
    added = one.add("http://127.0.0.1:9/live.m3u8")
    event = one.wait("channel_error", channel_id=added.id)
    assert "float infinity" in event.data["error"]
    one.wait("channel_status", channel_id=added.id, status="error")
    state, _ = one.service.supervisor.state(one.service.store.channels.get(added.id))
    assert state is ChannelStatus.ERROR


PAGE_URL = "https://host.example/user/live?x=1"


def meta(content: str, name: str = "og:image", attribute: str = "property") -> str:
    return f'<html><head><title>x</title><meta {attribute}="{name}" content="{content}"></head>'


@pytest.mark.parametrize("html, expected", [
    (meta("https://cdn.example/a.png?x=1&amp;y=2"), "https://cdn.example/a.png?x=1&y=2"),
    (meta("/a.png"), "https://host.example/a.png"),
    (meta("a.png"), "https://host.example/user/a.png"),
    (meta("//cdn.example/a.png"), "https://cdn.example/a.png"),
    (meta(" http://cdn.example/a.png "), "http://cdn.example/a.png"),
    (meta("/a.png", "og:image:url", "name"), "https://host.example/a.png"),
    (meta("/a.png", "OG:Image").upper(), "https://host.example/A.PNG"),
    (meta("/a.png") + meta("/b.png"), "https://host.example/a.png"),
    (meta("data:image/png;base64,AAAA") + meta("/b.png"), "https://host.example/b.png"),
    (meta("file:///etc/passwd"), None), (meta("javascript:alert(1)"), None),
    (meta("http://[::1"), None), (meta("http:///a.png"), None), (meta(""), None),
    (meta("/a.png", "og:title"), None), (f"<!-- {meta('/a.png')} -->", None),
    ('<script>"' + meta("/a.png") + '"</script>', None),
    ("<meta property=og:image>", None), ("<meta content=x>", None),
    ("<meta property=og:image content=/a.png", None), ("", None), ("#EXTM3U", None),
])
def test_the_image_of_a_page(html: str, expected: str | None) -> None:
    assert image_of(html, PAGE_URL) == expected


class Page(Fault):
    """An answer for the paths that begin with `/page`, and which paths were asked for."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[str] = []

    def act(self, asked: Asked) -> Reply | None:
        self.asked.append(asked.path)
        return self.reply if asked.path.startswith("/page") else None


@pytest.mark.parametrize("reply, image", [
    (Reply(200, meta("/a.png").encode(), "text/html; charset=utf-8"), "/a.png"),
    (Reply(200, meta("/a.png").encode(), "video/mp2t"), None),
    (Reply(200, b"<html></html>", "text/html"), None),
    (Reply(200, b" " * PAGE_MAX_BYTES + meta("/a.png").encode(), "text/html"), None),
    (Reply(200, b"\xff\xfe\0" + meta("/a.png").encode("latin-1"), "text/html"), "/a.png"),
    # Without end at 1 MB/s: what is not looked at is not waited for.
    (Reply(200, meta("/a.png").encode() + bytes(10 ** 8), "text/html", bytes_per_s=10 ** 6),
     "/a.png"),
])
def test_the_profile_of_a_page(
    reply: Reply, image: str | None, origin: Origin, platform: UrlPlatform
) -> None:
    origin.faults.append(Page(reply))
    profile = platform.profile(channel(origin.base_url + "/page"))
    assert profile.profile_image_url == (image and origin.base_url + image)
    assert profile.display_name is profile.banner_image_url is None


def test_a_playlist_has_no_profile_and_is_not_asked_for(
    origin: Origin, platform: UrlPlatform
) -> None:
    page = Page(Reply(200, meta("/a.png").encode(), "text/html"))
    origin.faults.append(page)
    address = channel(origin.base_url + "/page/Live.M3U8?token=t")
    assert platform.profile(address).profile_image_url is None
    assert page.asked == []


@pytest.mark.parametrize("reply, says", [
    (Reply(404), "answers HTTP 404"), (Reply(503), "answers HTTP 503"),
    (Reply(200, b"x" * 1000, "text/html", cut=True), "broke off"),
    (Reply(302, headers=(("Location", "/page"),)), "cannot be reached"),
])
def test_a_page_that_cannot_be_had_is_no_page_without_an_image(
    reply: Reply, says: str, origin: Origin, platform: UrlPlatform
) -> None:
    origin.faults.append(Page(reply))
    with pytest.raises(PlatformError, match=says) as failed:
        platform.profile(channel(origin.base_url + "/page?token=s3cret"))
    assert "s3cret" not in str(failed.value)


def test_a_profile_waits_for_no_check(origin: Origin, platform: UrlPlatform) -> None:
    origin.faults.append(Page(Reply(200, meta("/a.png").encode(), "text/html")))
    page = channel(origin.base_url + "/page")
    with platform._kept.get(page).lock:
        assert platform.profile(page).profile_image_url == origin.base_url + "/a.png"


@pytest.mark.parametrize("name, platform", [
    ("https://www.twitch.tv/somebody", "twitch"), ("https://kick.com/somebody", "kick"),
    ("https://www.youtube.com/watch?v=abcdefghijk", "youtube"), ("https://youtu.be/x", "youtube"),
])
def test_platforms_of_our_own_are_not_taken_as_addresses(name: str, platform: str) -> None:
    with pytest.raises(Invalid, match=f"platform {platform}"):
        UrlPlatform(Sessions()).address(name)
    assert UrlPlatform(Sessions()).address(name.replace(".tv", ".tv.example.org").replace(
        ".com", ".com.example.org").replace("youtu.be", "example.org"))


def test_netrc_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    session = Sessions().new().http
    for url, headers, expected in (
        ("http://h/x", {}, None), ("http://h/x", {"Authorization": "Bearer b"}, "Bearer b"),
        ("http://u:p@h/x", {}, "Basic dTpw"),
    ):
        request = session.prepare_request(Request("GET", url, headers=headers))
        assert request.headers.get("Authorization") == expected
    session.close()
