"""Tests of fetching images from a platform: a loopback server, and a platform made up."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from brlib.errors import ChannelNotFound, PlatformError
from brlib.images import ImageKind, images as images_module
from brlib.images.download import REDIRECTS_MAX, download
from brlib.models import Channel
from brlib.picture import jpeg_size
from brlib.platforms import Platform, heads
from brlib.platforms.base import Profile

from .faults import Reply
from .image_home import WAIT_S, Home, until
from .origin_web import Web
from .pictures import BLUE, RED, made, pixel

PROFILE, BANNER = ImageKind.PROFILE, ImageKind.BANNER
IMAGE = made("a.png")
BLUE_IMAGE = made("b.png", "color=blue:s=64x48,trim=end_frame=1")


class Servers:
    """A platform and the server with its images; `replies` by path, else 404."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply | Callable[[], Reply]] = {}
        self.asked: list[str] = []
        self.web = Web(self._answer, 0)
        self.web.come_back()
        self.says: Profile | PlatformError = Profile()

    def _answer(self, method: str, path: str, range_: str | None) -> Reply:
        self.asked.append(path)
        reply = self.replies.get(path, Reply(404))
        return reply() if callable(reply) else reply

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.web.port}{path}"

    def shows(self, profile: str | None = None, banner: str | None = None) -> None:
        self.says = Profile("X", *[path and self.url(path) for path in (profile, banner)])

    def profile(self, channel: Channel) -> Profile:
        if isinstance(self.says, PlatformError):
            raise self.says
        return self.says


@pytest.fixture
def servers() -> Iterator[Servers]:
    one = Servers()
    yield one
    one.web.close()


@pytest.fixture
def home(tmp_path: Path, servers: Servers) -> Iterator[Home]:
    one = Home.below(tmp_path, {"url": cast(Platform, servers)})
    one.images.start()
    yield one
    one.images.stop()
    assert one.images.join(WAIT_S)


def test_both_images_are_fetched(home: Home, servers: Servers) -> None:
    servers.replies = {"/p": Reply(200, IMAGE, "text/html"), "/b": Reply(200, BLUE_IMAGE)}
    servers.shows("/p", "/b")
    home.images.fetch(home.channel)
    for kind, colour in ((PROFILE, RED), (BANNER, BLUE)):
        image = home.kept(kind)
        assert not image.custom and pixel(image.path, 0.5, 0.5) == colour
        assert jpeg_size(image.path.read_bytes()) == kind.size
    assert home.on_disk() == {f"images/{home.channel.id}/{kind}.platform.jpg"
                              for kind in ImageKind}


def test_the_custom_image_comes_first_and_the_platform_s_after_it(
    home: Home, servers: Servers
) -> None:
    servers.replies = {"/p": Reply(200, IMAGE)}
    servers.shows("/p")
    home.put(BLUE_IMAGE)
    home.images.fetch(home.channel)
    assert home.kept().custom and pixel(home.kept().path, 0.5, 0.5) == BLUE
    home.images.remove(home.channel.id, PROFILE)
    assert not home.kept().custom and pixel(home.kept().path, 0.5, 0.5) == RED


def test_what_cannot_be_had_keeps_the_old_one_and_what_is_gone_removes_it(
    home: Home, servers: Servers
) -> None:
    servers.replies = {"/p": Reply(200, IMAGE), "/b": Reply(200, IMAGE)}
    servers.shows("/p", "/b")
    home.images.fetch(home.channel)
    before = home.kept(), home.kept(BANNER)
    servers.says = PlatformError("the platform is away")
    with pytest.raises(PlatformError, match="the platform is away"):
        home.images.fetch(home.channel)
    servers.shows("/gone", "/b")
    with pytest.raises(PlatformError, match="profile: 127.0.0.1 answers HTTP 404"):
        home.images.fetch(home.channel)
    # The other one is fetched all the same.
    assert home.kept() == before[0] and home.kept(BANNER) != before[1]
    servers.shows(None, "/b")
    home.images.fetch(home.channel)
    assert home.images.find(home.channel.id, PROFILE) is None
    assert home.kept(BANNER).size_bytes == before[1].size_bytes


BAD = {
    "a page": (Reply(200, b"<html>", "image/png"), "is not a PNG, JPEG, GIF or WebP"),
    "half an image": (Reply(200, IMAGE[:50]), "is damaged"),
    "cut on the way": (Reply(200, IMAGE, cut=True), "cannot be had from 127.0.0.1"),
    "nothing": (Reply(204), "answers HTTP 204"),
    "too large": (Reply(200, bytes(5 * 1024 ** 2 + 1)), "of more than 5242880 bytes"),
    "a login": (Reply(302, headers=(("Location", "file:///etc/passwd"),)), "not an http://"),
    "nowhere": (Reply(302, headers=(("Location", "http://[::1/x"),)), "cannot be had"),
    "itself": (Reply(301, headers=(("Location", "/p"),)), "redirects without end"),
}


@pytest.mark.parametrize("reply, says", BAD.values(), ids=BAD)
def test_what_is_refused(reply: Reply, says: str, home: Home, servers: Servers) -> None:
    servers.replies = {"/p": reply, "/p?token=s3cret": reply}
    servers.shows("/p?token=s3cret")
    with pytest.raises(PlatformError, match=says) as refused:
        home.images.fetch(home.channel)
    assert "s3cret" not in str(refused.value)
    assert home.on_disk() == set()


@pytest.mark.parametrize("url", [
    "file:///etc/passwd", "ftp://127.0.0.1/x", "data:image/png;base64,AAAA", "x.png", "",
    "http://", "http://[::1/", "http://127.0.0.1:port/", "http://127.0.0.1:1/",
    "http://" + "a" * 300 + "/",
])
def test_addresses_that_lead_nowhere(url: str) -> None:
    with pytest.raises(PlatformError):
        download(url, 100, time.monotonic() + WAIT_S, threading.Event())


def test_as_many_redirects_as_are_followed(servers: Servers) -> None:
    for n in range(REDIRECTS_MAX):
        target = servers.url(f"/{n + 1}") if n % 2 else f"/{n + 1}"
        servers.replies[f"/{n}"] = Reply(302, b"moved", headers=(("Location", target),))
    servers.replies[f"/{REDIRECTS_MAX}"] = Reply(200, IMAGE)
    stopping = threading.Event()
    assert download(servers.url("/0"), len(IMAGE), time.monotonic() + WAIT_S, stopping) == IMAGE
    with pytest.raises(PlatformError, match="more than"):
        download(servers.url("/0"), len(IMAGE) - 1, time.monotonic() + WAIT_S, stopping)
    servers.replies["/x"] = Reply(302, headers=(("Location", "/0"),))
    with pytest.raises(PlatformError, match="without end"):
        download(servers.url("/x"), len(IMAGE), time.monotonic() + WAIT_S, stopping)


@pytest.mark.parametrize("reply", [
    pytest.param(Reply(0, hang_s=60.0), id="silence"),
    pytest.param(Reply(200, IMAGE * 1000, bytes_per_s=100.0), id="a trickle"),
])
def test_the_deadline_is_for_the_whole(reply: Reply, servers: Servers) -> None:
    servers.replies["/p"] = reply
    with pytest.raises(PlatformError, match="cannot be had"):
        download(servers.url("/p"), 10 ** 6, time.monotonic() + 0.3, threading.Event())


def test_a_head_that_trickles_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server is patient: without a deadline the image would come in the end."""
    monkeypatch.setattr(heads, "HEAD_MAX_S", 0.2)
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 30 + b"\r\nContent-Length: %d\r\n\r\n" % len(IMAGE)
    pause = threading.Event()

    def serve() -> None:
        link, _ = server.accept()
        with link, contextlib.suppress(ConnectionError):
            link.recv(65536)
            for byte in head:
                link.sendall(bytes([byte]))
                pause.wait(0.02)
            link.sendall(IMAGE)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(PlatformError, match="ReadTimeout"):
            download(url, len(IMAGE), time.monotonic() + WAIT_S, threading.Event())
        thread.join(WAIT_S)


def test_nobodys_login_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    heads_seen: list[bytes] = []

    def serve() -> None:
        link, _ = server.accept()
        with link:
            heads_seen.append(link.recv(65536))
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert download(url, len(IMAGE), time.monotonic() + WAIT_S, threading.Event()) == IMAGE
        thread.join(WAIT_S)
    assert b"Accept:" in heads_seen[0] and b"Authorization" not in heads_seen[0]


def test_who_waits_does_not_keep_it_from_stopping(home: Home, servers: Servers) -> None:
    servers.replies["/p"] = Reply(200, IMAGE * 1000, bytes_per_s=100.0)
    servers.shows("/p")
    home.images.fetch_soon(home.channel)
    until(lambda: bool(servers.asked))
    home.images.stop()
    home.images.stop()
    assert home.images.join(WAIT_S)
    assert home.on_disk() == set()


def test_many_are_fetched_soon(home: Home, servers: Servers) -> None:
    servers.replies["/p"] = Reply(200, IMAGE)
    servers.shows("/p")
    channels = [home.channel, *[home.add() for _ in range(5)]]
    for channel in channels:
        home.images.fetch_soon(channel)
    until(lambda: all(home.images.find(channel.id, PROFILE) for channel in channels))


def test_what_goes_wrong_in_the_background_is_one_line(
    home: Home, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    servers.shows("/gone")
    with caplog.at_level(logging.DEBUG, "brlib"):
        home.images.fetch_soon(home.channel)
        until(lambda: bool(caplog.records))
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.WARNING, "x: its images could not be fetched: profile: 127.0.0.1 answers HTTP 404 "
         "instead of an image")]


def test_more_than_can_wait_are_let_go(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(images_module, "WAITING_MAX", 1)
    idle = home.make()  # never started: nobody takes from its line
    with caplog.at_level(logging.INFO, "brlib"):
        idle.fetch_soon(home.channel)
        idle.fetch_soon(home.channel)
    assert [r.levelno for r in caplog.records] == [logging.INFO]
    idle.stop()


@pytest.mark.parametrize("background", [False, True])
def test_a_channel_forgotten_during_its_fetch_does_not_come_back(
    background: bool, home: Home, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slowly() -> Reply:
        asked.set()
        assert go_on.wait(WAIT_S)
        return Reply(200, IMAGE)

    def forget() -> None:
        assert asked.wait(WAIT_S)
        del home.known[home.channel.id]
        home.images.forget(home.channel.id)
        go_on.set()

    servers.replies["/p"] = slowly
    servers.shows("/p")
    thread = threading.Thread(target=forget)
    thread.start()
    with caplog.at_level(logging.DEBUG, "brlib"):
        if background:
            home.images.fetch_soon(home.channel)
            until(lambda: "was deleted" in caplog.text)
        else:
            with pytest.raises(ChannelNotFound):
                home.images.fetch(home.channel)
    thread.join(WAIT_S)
    assert home.on_disk() == set()
    assert not [r for r in caplog.records if r.levelno > logging.DEBUG]


def test_a_server_that_is_not_there(home: Home, servers: Servers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    servers.says = Profile(profile_image_url=f"http://user:pass@127.0.0.1:{port}/s3cret")
    with pytest.raises(PlatformError, match="had from 127.0.0.1 .ConnectionError") as failed:
        home.images.fetch(home.channel)
    assert "pass" not in str(failed.value) and "s3cret" not in str(failed.value)
