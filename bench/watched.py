"""Channels that are watched and not live: the stand-in platforms, and a daemon that asks them.

Used by the table `idle`. The platforms are those of the tests, behind a proxy; their answers
are padded to the size that the real ones have, because reading them is most of the work.
"""

from __future__ import annotations

import functools
import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import certifi

from tests.daemon import Daemon, run_command
from tests.standin import kick, twitch, youtube
from tests.standin.base import Reply, Request, StandIn
from tests.standin.proxy import AUTHORITY, Proxy

STREAMS = "streams.live-video.net"
POLL_S = 0.005
START_MAX_S = 30.0
# As a page of youtube.com is: the data of the page, and scripts.
DATA_BYTES = 500_000
SCRIPT_BYTES = 400_000


@dataclass(frozen=True)
class Mix:
    """How many channels of each platform."""

    twitch: int = 0
    kick: int = 0
    youtube: int = 0
    url: int = 0

    @property
    def total(self) -> int:
        return self.twitch + self.kick + self.youtube + self.url

    def rows(self) -> Iterator[str]:
        for platform, count in (("twitch", self.twitch), ("kick", self.kick)):
            yield from (f"{platform},{platform}{number},source,yes" for number in range(count))
        yield from (f"youtube,@youtube{number},source,yes" for number in range(self.youtube))
        yield from (f"url,https://{STREAMS}/{number}/live.m3u8,source,yes"
                    for number in range(self.url))


@contextmanager
def platforms(mix: Mix, directory: Path) -> Iterator[dict[str, str]]:
    """The environment in which a daemon meets platforms with these channels."""
    standin = StandIn()
    hosts = twitch.TwitchHost(), kick.KickHost(), youtube.YouTubeHost()
    for number in range(mix.twitch):
        hosts[0].add(f"twitch{number}")
    for number in range(mix.kick):
        hosts[1].add(f"kick{number}")
    for number in range(mix.youtube):
        hosts[2].add(f"@youtube{number}")
    hosts[0].join(standin)
    hosts[1].join(standin)
    standin.add(lambda request: _as_large(hosts[2].answer(request)), youtube.SITE)
    standin.add(_nothing_there, STREAMS)
    # All authorities that a real installation has, too: they have to be read.
    bundle = directory / "authorities.pem"
    bundle.write_text(Path(certifi.where()).read_text() + AUTHORITY.read_text())
    with Proxy(standin) as proxy:
        yield {**proxy.environment(), "REQUESTS_CA_BUNDLE": str(bundle),
               "SSL_CERT_FILE": str(bundle)}


def _nothing_there(request: Request) -> Reply:
    return Reply(404)


def _as_large(reply: Reply | None) -> Reply | None:
    """A page of YouTube as large as real ones are, packed as real ones are."""
    if reply is None or b"ytInitialData = {" not in reply.body:
        return reply
    data, script = _padding()
    body = reply.body.replace(b"ytInitialData = {", b"ytInitialData = {" + data + b",", 1)
    body = body.replace(b"<body>", b"<body>" + script, 1)
    return replace(reply, body=gzip.compress(body, 1), headers={"Content-Encoding": "gzip"})


@functools.cache
def _padding() -> tuple[bytes, bytes]:
    """More of the data, and a script."""
    item: dict[str, Any] = {"richItemRenderer": {"content": {"videoRenderer": {
        "videoId": "abcdefghijk", "title": {"runs": [{"text": "A title of some length"}]},
        "thumbnail": {"thumbnails": [
            {"url": "https://i.ytimg.com/vi/abcdefghijk/hq.jpg", "width": 336, "height": 188}]},
        "publishedTimeText": {"simpleText": "3 days ago"},
        "navigationEndpoint": {"clickTrackingParams": "CKgBEKQwGAAiEwj", "commandMetadata": {
            "webCommandMetadata": {"url": "/watch?v=abcdefghijk", "rootVe": 3832}}}}}}}
    count = DATA_BYTES // len(json.dumps(item))
    script = b"<script>" + b"window.ytcfg.set({});" * (SCRIPT_BYTES // 21) + b"</script>"
    return f'"frameworkUpdates": {json.dumps([item] * count)}'.encode(), script


class Watcher:
    """A daemon with default intervals that watches a mix."""

    def __init__(self, mix: Mix, directory: Path, environment: dict[str, str]) -> None:
        self._mix = mix
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.daemon = Daemon(directory, port=port, url_interval="30s")
        self.daemon.environ.update(environment)
        if mix.total:
            listed = directory / "channels.csv"
            listed.write_text("\n".join(["platform,channel,quality,enabled", *mix.rows()]))
            done = run_command(
                "import-channels", str(listed), "--config", str(self.daemon.config))
            if done.returncode:
                raise RuntimeError(f"channels cannot be imported: {done.stdout}{done.stderr}")
        self._port = port

    def start(self) -> float:
        """Seconds from its process' beginning to its first answer."""
        answered: list[float] = []
        begun_s = time.perf_counter()
        asking = threading.Thread(target=self._ask, args=(begun_s, answered))
        asking.start()
        try:
            self.daemon.start()
        finally:
            asking.join(START_MAX_S)
        if not answered:
            raise TimeoutError(f"no answer within {START_MAX_S} s")
        return answered[0] - begun_s

    def _ask(self, begun_s: float, answered: list[float]) -> None:
        pause = threading.Event()
        while time.perf_counter() < begun_s + START_MAX_S:
            line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=START_MAX_S)
            try:
                line.request("GET", "/api/health", headers={
                    "Authorization": f"Bearer {self.daemon.key}"})
                answer = line.getresponse()
                answer.read()
                if answer.status == 200:
                    answered.append(time.perf_counter())
                    return
            except OSError:
                # It does not listen yet.
                pause.wait(POLL_S)
            finally:
                line.close()

    def wait_checked(self, timeout_s: float) -> None:
        """Until every channel was checked, and found to be offline."""
        if not self._mix.total:
            return
        deadline_s, pause = time.monotonic() + timeout_s, threading.Event()
        while True:
            channels = self.daemon.get("/api/channels")["channels"]
            wrong = [one for one in channels if one["status"] == "error"]
            if len(channels) != self._mix.total or wrong:
                raise RuntimeError(f"{len(channels)} channels, of which fail {wrong[:3]}")
            left = [one["name"] for one in channels if one["last_checked_at"] is None]
            if not left:
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"not checked after {timeout_s} s: {left[:5]}")
            pause.wait(min(5.0, timeout_s / 20))

    def close(self) -> None:
        self.daemon.close()


@contextmanager
def watching(mix: Mix, directory: Path) -> Iterator[Watcher]:
    """A daemon that is not started yet, with the platforms of its channels."""
    directory.mkdir()
    with ExitStack() as exits:
        environment = exits.enter_context(platforms(mix, directory))
        watcher = Watcher(mix, directory, environment)
        exits.callback(watcher.close)
        yield watcher
