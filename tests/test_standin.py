"""The stand-in for the platforms, both ways: inside this process, and as a proxy."""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
import requests
from streamlink.stream.hls.hls import HLSStream

from brlib.platforms import sessions
from brlib.platforms.sessions import Sessions
from brlib.workers import run
from tests.origin import Origin
from tests.standin.adapter import Rewrite, StandInSessions
from tests.standin.base import Cut, Hang, Reply, Request, StandIn, matches
from tests.standin.proxy import AUTHORITY, Proxy

SECRET = "s3cr&t/of+ä?them all"
LIVE = {"data": {"playback_url": "https://a1.us-west-2.playback.live-video.net/master.m3u8?token=t",
                 "id": 5, "category": {"name": "Chess"}, "session_title": "Blitz"}}
HOSTS = """gql.twitch.tv usher.ttvnw.net video-weaver.fra02.hls.ttvnw.net id.twitch.tv
api.twitch.tv euw10.playlist.ttvnw.net static-cdn.jtvnw.net kick.com web.kick.com api.kick.com
id.kick.com files.kick.com a1.us-west-2.playback.live-video.net www.youtube.com youtube.com
consent.youtube.com rr1---sn-a.googlevideo.com manifest.googlevideo.com i.ytimg.com
yt3.ggpht.com yt3.googleusercontent.com oauth2.googleapis.com www.googleapis.com
youtube.googleapis.com accounts.google.com""".split()


@pytest.fixture
def standin() -> StandIn:
    return StandIn()


@pytest.fixture
def proxy(standin: StandIn) -> Iterator[Proxy]:
    with Proxy(standin) as one:
        yield one


@pytest.fixture
def outside(proxy: Proxy) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": proxy.url, "http": proxy.url}
        session.verify = str(AUTHORITY)
        yield session


@pytest.fixture(params=["adapter", "proxy"])
def session(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[requests.Session]:
    """Reaches the stand-in in one of the two ways."""
    if request.param == "proxy":
        yield request.getfixturevalue("outside")
        return
    with requests.Session() as one:
        for scheme in ("https://", "http://"):
            one.mount(scheme, Rewrite(standin))
        yield one


@pytest.fixture(params=["adapter", "proxy"])
def platform_sessions(
    request: pytest.FixtureRequest, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> Sessions:
    """What a platform gets, in a test of its own or in a daemon's environment."""
    if request.param == "adapter":
        return StandInSessions(standin)
    proxy: Proxy = request.getfixturevalue("proxy")
    for name, value in proxy.environment().items():
        monkeypatch.setenv(name, value)
    return Sessions()


def echo(request: Request) -> Reply | None:
    if not request.path.startswith("/echo"):
        return None
    return Reply.json({"path": request.path, "slugs": request.values("slug"),
                       "kind": request.headers.get("content-TYPE"), "secure": request.secure,
                       "body": request.body.decode(), "method": request.method})


@pytest.mark.parametrize(("pattern", "host", "wanted"), [
    ("kick.com", "kick.com", True),
    ("kick.com", "api.kick.com", False),
    ("*.kick.com", "api.kick.com", True),
    ("*.kick.com", "kick.com", False),
    ("*.kick.com", "evilkick.com", False),
    ("*", "anything.example", True),
])
def test_names(pattern: str, host: str, wanted: bool) -> None:
    assert matches(pattern, host) is wanted


def test_a_request_arrives_as_it_was_sent(standin: StandIn, session: requests.Session) -> None:
    standin.add(echo, "api.kick.com")
    answer = session.post("https://api.kick.com/echo/a%20b?slug=x&slug=y", json={"a": 1})
    assert answer.json() == {
        "path": "/echo/a b", "slugs": ["x", "y"], "kind": "application/json", "secure": True,
        "body": json.dumps({"a": 1}), "method": "POST"}
    assert [one.json() for one in standin.asked("api.kick.com", "/echo")] == [{"a": 1}]
    assert session.get("http://api.kick.com/echo").json()["secure"] is False


def test_the_most_exact_name_is_asked_first(standin: StandIn, session: requests.Session) -> None:
    standin.add(lambda request: Reply(200, b"any"), "*.kick.com")
    standin.add(echo, "api.kick.com")
    assert session.get("https://api.kick.com/echo").json()["method"] == "GET"
    assert session.get("https://api.kick.com/other").text == "any"
    assert standin.unexpected == []


def test_what_nobody_answers_is_recorded(standin: StandIn, session: requests.Session) -> None:
    standin.add(echo, "kick.com")
    answer = session.get("https://kick.com/other")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert [one.path for one in standin.unexpected] == ["/other"]


def test_head_redirects_and_cookies(standin: StandIn, session: requests.Session) -> None:
    standin.add(echo, "consent.youtube.com")
    standin.add(lambda request: Reply(
        302, headers={"Location": "https://consent.youtube.com/echo",
                      "Set-Cookie": "a=1; Domain=.youtube.com; Secure\nb=2"}), "www.youtube.com")
    answer = session.get("https://www.youtube.com/")
    assert (answer.url, session.cookies.get_dict()) == (
        "https://consent.youtube.com/echo", {"a": "1", "b": "2"})
    assert standin.requests[-1].headers["Cookie"] == "a=1"
    head = session.head("https://consent.youtube.com/echo")
    assert int(head.headers["Content-Length"]) > 0 and head.content == b""


def test_a_fault_holds_so_often(standin: StandIn, session: requests.Session) -> None:
    standin.add(echo, "kick.com")
    standin.fail("kick.com", Reply.json({}, 429, Retry_After="7"), "/echo/a", times=1,
                 when=lambda request: "slug" in request.query)
    for path, status in (("echo/a", 200), ("echo/b?slug=x", 200), ("echo/a?slug=x", 429),
                         ("echo/a?slug=x", 200)):
        answer = session.get(f"https://kick.com/{path}")
        assert (answer.status_code, answer.headers.get("Retry-After")) == (
            status, "7" if status == 429 else None)
    fault = standin.fail("*", Reply(503))
    assert session.get("https://kick.com/echo").status_code == 503
    standin.heal(fault)
    assert session.get("https://kick.com/echo").ok


def test_breaks_and_silence(standin: StandIn, session: requests.Session) -> None:
    standin.fail("kick.com", Cut(), "/cut")
    standin.fail("kick.com", Cut(Reply(200, b"x" * 1000)), "/half")
    standin.fail("kick.com", Hang(60.0), "/hang")
    with pytest.raises(requests.ConnectionError):
        session.get("https://kick.com/cut")
    with session.get("https://kick.com/half", stream=True) as answer:
        assert answer.raw.read1(1000)[:500] == b"x" * 500
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="500 more expected"):
        session.get("https://kick.com/half")
    with pytest.raises(requests.ReadTimeout):
        session.get("https://kick.com/hang", timeout=(2.0, 0.1))


def test_media_come_from_an_origin(standin: StandIn, session: requests.Session) -> None:
    with Origin() as origin:
        standin.forward(origin.port, "*.ttvnw.net")
        url = "https://video-weaver.fra02.hls.ttvnw.net/"
        answer = session.get(url + "720p/live.m3u8?token=x", headers={"Range": "bytes=0-"})
        assert (answer.status_code, answer.content) == (200, origin.playlist())
        assert (origin.requests[0].path, origin.requests[0].range) == (
            "/720p/live.m3u8?token=x", "bytes=0-")
        moved = session.get(url + "moved.m3u8")
        assert (moved.url, moved.content) == (url + "live.m3u8", origin.playlist())
        origin.go_away()
        with pytest.raises(requests.ConnectionError):
            session.get(url + "live.m3u8")


@pytest.mark.parametrize("place", [
    {"headers": {"Authorization": "OAuth " + quote(SECRET)}},
    {"headers": {"Authorization": "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()}},
    {"headers": {"X-Token": SECRET.encode("utf-8")}},
    {"params": {"token": SECRET}},
    {"data": {"client_secret": SECRET}},
    {"json": {"token": SECRET}},
    {"data": SECRET.encode()},
    {"cookies": {"session_token": quote(SECRET, safe="").lower()}},
    {"path": quote(SECRET, safe="")},
])
def test_where_a_secret_was_sent(
    standin: StandIn, place: dict[str, object], session: requests.Session
) -> None:
    options = dict(place)
    url = f"https://id.kick.com/{options.pop('path', '')}"
    session.request("POST", url, **options)  # type: ignore[arg-type]
    session.get("https://kick.com/", params={"token": SECRET[:-1]})
    assert standin.sent_to(SECRET) == ["id.kick.com"]
    standin.clear()
    assert standin.sent_to(SECRET) == []
    with pytest.raises(ValueError, match="too short"):
        standin.sent_to("abc")


def test_a_streamlink_plugin_meets_the_stand_in(
    standin: StandIn, platform_sessions: Sessions
) -> None:
    """Kick's, which mounts an adapter of its own when it is made."""
    standin.add(lambda request: Reply.json(LIVE), "kick.com")
    with Origin() as origin:
        standin.forward(origin.port, "*.live-video.net")
        session = platform_sessions.new()
        found = platform_sessions.find_plugin(session, "https://kick.com/somebody")
        assert found is not None
        streams = found[1].streams()
        assert {"1080p60", "720p", "360p"} <= streams.keys()
        stream = streams["720p"]
        assert isinstance(stream, HLSStream)
        assert session.http.get(stream.url).content == origin.playlist()
        session.http.close()
    assert [one.host for one in standin.requests][:2] == [
        "kick.com", "a1.us-west-2.playback.live-video.net"]
    assert standin.requests[0].headers["Sec-Fetch-Mode"] == "cors"


def test_the_platforms_own_limits_hold(
    standin: StandIn, platform_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "WHOLE_MAX_BYTES", 1000)
    standin.add(lambda request: Reply(200, b"x" * int(request.query["n"])), "kick.com")
    session = platform_sessions.new()
    try:
        assert len(session.http.get("https://kick.com/?n=1000").content) == 1000
        with pytest.raises(Exception, match="no end after"):
            session.http.get("https://kick.com/?n=1001", stream=True).content
    finally:
        session.http.close()


def test_the_certificate_is_for_the_platforms_and_nobody_else(
    standin: StandIn, outside: requests.Session
) -> None:
    standin.add(lambda request: Reply(200, request.host.encode()), "*")
    for host in HOSTS:
        assert outside.get(f"https://{host}/").text == host
    with pytest.raises(requests.exceptions.SSLError):
        outside.get("https://example.org/")
    outside.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        outside.get("https://kick.com/")
    wait(lambda: len(standin.unexpected) == 2)
    assert {(one.method, one.host) for one in standin.unexpected} == {
        ("CONNECT", "example.org"), ("CONNECT", "kick.com")}


def test_the_end_waits_for_no_client(standin: StandIn) -> None:
    standin.fail("kick.com", Hang(60.0))
    with Proxy(standin) as one, socket.create_connection(("127.0.0.1", one.port), 5.0) as idle, \
            socket.create_connection(("127.0.0.1", one.port), 5.0) as silent:
        silent.sendall(b"GET http://kick.com/ HTTP/1.1\r\nHost: kick.com\r\n\r\n")
        wait(lambda: bool(standin.requests))
        one.close()
        assert (idle.recv(1), silent.recv(1)) == (b"", b"")


@pytest.mark.parametrize("head", [
    b"POST / HTTP/1.1\r\nHost: kick.com\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: kick.com\r\nContent-Length: 99999999\r\n\r\n",
])
def test_a_body_without_a_bound_is_refused(standin: StandIn, proxy: Proxy, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), 5.0) as line:
        line.sendall(head)
        assert line.recv(1000).startswith(b"HTTP/1.1 411 ")
    assert standin.requests == []


def test_yt_dlp_as_a_process(standin: StandIn, proxy: Proxy) -> None:
    """It trusts certifi's list only, unless it is told to take what the system names."""
    standin.add(lambda request: Reply(
        200, b"\0\0\0\x18ftypmp42" + bytes(3000), "video/mp4"), "static-cdn.jtvnw.net")
    argv = ["env", *(f"{name}={value}" for name, value in proxy.environment().items()),
            sys.executable, "-m", "yt_dlp", "-J", "--ignore-config", "--no-cache-dir",
            "--compat-options", "no-certifi", "https://static-cdn.jtvnw.net/a.mp4"]
    code, output = run("yt-dlp", argv, 30.0)
    assert code == 0, output
    assert json.loads(output.splitlines()[-1])["formats"][0]["url"] == argv[-1]
    assert {one.host for one in standin.requests} == {"static-cdn.jtvnw.net"}
    assert standin.unexpected == []


def wait(fact: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline_s, pause = time.monotonic() + timeout_s, threading.Event()
    while not fact():
        assert time.monotonic() < deadline_s, "it never came true"
        pause.wait(0.01)
