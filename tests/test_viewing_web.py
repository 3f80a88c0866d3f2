"""A growing capture from the real daemon: its pieces byte by byte, and FFmpeg with a login."""

from __future__ import annotations

import base64
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .daemon import Daemon
from .finished_media import inits, pieces
from .media import fmp4_clips, ts_clips
from .origin import Origin
from .player import Played, play
from .test_api import recording_of
from .test_viewing import assert_same, whole

COUNT, AT_FIRST = 12, 6


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("viewing"), capture_after="keep").start()
    yield one
    one.close()


def fetch(
    daemon: Daemon, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """An answer as it comes, to a player that says its password at once."""
    login = base64.b64encode(f"me:{daemon.key}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    try:
        connection.request(method, path, headers={"Authorization": f"Basic {login}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def begin(daemon: Daemon, origin: Origin) -> str:
    """The address of what is recorded of it, with its first pieces committed."""
    _, channel, _ = daemon.call("POST", "/api/channels", {"platform": "url", "name": origin.url})
    base = f"/api/recordings/{recording_of(daemon, channel)}"
    daemon.wait(base, lambda r: r["segments"] >= AT_FIRST)
    return base


@pytest.mark.parametrize("container", ["ts", "mp4"])
def test_a_player_with_a_login_gets_it_all(
    container: str, daemon: Daemon, tmp_path: Path
) -> None:
    init, clips = (None, ts_clips(COUNT)) if container == "ts" else fmp4_clips(COUNT)
    seen: list[Played] = []
    with Origin() as origin:
        for clip in clips[:AT_FIRST]:
            origin.add(clip, init=init)
        base = begin(daemon, origin)
        address = f"http://me:{daemon.key}@127.0.0.1:{daemon.port}{base}/playlist.m3u8"
        player = threading.Thread(target=lambda: seen.append(play(address)))
        player.start()
        origin.play(clips[AT_FIRST:], every_s=0.2, init=init).wait(20)
        origin.end()
        daemon.wait(base, lambda r: r["status"] == "complete")
        player.join(40)
    source = whole(tmp_path / f"all.{container}", clips, init or b"")
    assert_same(seen, [source])
    assert_same([play(address)], [source])


def test_pieces_and_ranges_of_them(daemon: Daemon) -> None:
    init, clips = fmp4_clips(COUNT)
    with Origin() as origin:
        for clip in clips[:AT_FIRST]:
            origin.add(clip, init=init)
        base = begin(daemon, origin)
        text = fetch(daemon, f"{base}/playlist.m3u8")[2].decode()
        (head,), names = inits(text), pieces(text)
        assert fetch(daemon, f"{base}/media/{head}")[2] == init
        assert [fetch(daemon, f"{base}/media/{name}")[2] for name in names] == [
            clip.body for clip in clips[:AT_FIRST]]
        third, path = clips[2].body, f"{base}/media/{names[2]}"
        size = len(third)
        for wanted, expected, content_range in [
            ("bytes=0-", third, f"bytes 0-{size - 1}/{size}"),
            ("bytes=5-14", third[5:15], f"bytes 5-14/{size}"),
            ("bytes=-7", third[-7:], f"bytes {size - 7}-{size - 1}/{size}"),
            (f"bytes=9-{10 * size}", third[9:], f"bytes 9-{size - 1}/{size}"),
        ]:
            status, headers, body = fetch(daemon, path, Range=wanted)
            assert (status, body) == (206, expected), wanted
            assert headers["Content-Range"] == content_range
        status, headers, body = fetch(daemon, path, Range=f"bytes={size}-")
        assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
        status, headers, body = fetch(daemon, path, "HEAD")
        assert (status, int(headers["Content-Length"]), body) == (200, size, b"")
        for other in ("0001.mp4", head.replace("-0-", "-1-"), names[2].replace(".mp4", "0.mp4")):
            assert fetch(daemon, f"{base}/media/{other}")[0] == 404
        origin.end()
        daemon.wait(base, lambda r: r["status"] == "complete")
