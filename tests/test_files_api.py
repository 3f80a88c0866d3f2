"""A recording's media over HTTP: ranges, conditions, players' logins, and cancelling."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib.web.connections import MEDIA_THREADS

from .daemon import Daemon
from .media import ts_clips, video_frames
from .origin import Origin
from .test_api import recording_of, refused

FRAMES_A_CLIP = 25


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("files")).start()
    yield one
    one.close()


@pytest.fixture(scope="module")
def finished(daemon: Daemon) -> dict[str, Any]:
    """A finished recording of four segments."""
    with Origin() as origin:
        for clip in ts_clips(4):
            origin.add(clip)
        _, channel, _ = daemon.call("POST", "/api/channels", {
            "platform": "url", "name": origin.url, "display_name": "Änn"})
        recording_id = recording_of(daemon, channel)
        origin.end()
        done = daemon.wait(f"/api/recordings/{recording_id}", lambda r: r["status"] == "complete")
    return dict(done)


def fetch(daemon: Daemon, path: str, method: str = "GET", **headers: str
          ) -> tuple[int, http.client.HTTPMessage, bytes]:
    """An answer as it comes, bytes and all."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    try:
        connection.request(method, path, headers={
            "Authorization": f"Bearer {daemon.key}",
            **{name.replace("_", "-"): value for name, value in headers.items()}})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_whole_file(daemon: Daemon, finished: dict[str, Any]) -> None:
    path, content = f"/api/recordings/{finished['id']}/file", Path(finished["file_path"])
    status, headers, body = fetch(daemon, path)
    assert (status, body) == (200, content.read_bytes())
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Accept-Ranges"] == "bytes"
    assert "filename*=UTF-8''" in headers["Content-Disposition"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-RateLimit-Remaining"].isdigit()
    status, headers, body = fetch(daemon, path, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == content.stat().st_size


@pytest.mark.parametrize("wanted, start, end", [
    ("bytes=0-0", 0, 1), ("bytes=0-99", 0, 100), ("bytes=1000-", 1000, None),
    ("bytes=-10", -10, None), ("bytes=100-99999999999999", 100, None),
    ("bytes=-99999999999", 0, None),
])
def test_one_range(
    daemon: Daemon, finished: dict[str, Any], wanted: str, start: int, end: int | None
) -> None:
    content = Path(finished["file_path"]).read_bytes()
    expected = content[start:end]
    status, headers, body = fetch(daemon, f"/api/recordings/{finished['id']}/file", Range=wanted)
    assert (status, body) == (206, expected)
    first = start % len(content)
    assert headers["Content-Range"] == (
        f"bytes {first}-{first + len(expected) - 1}/{len(content)}")


@pytest.mark.parametrize("wanted", [
    "bytes=0-1,3-4", "bytes=5-2", "bytes=x", "lines=1-2", "bytes", "", "bytes=1-2-3",
])
def test_what_is_no_single_range_gets_it_all(
    daemon: Daemon, finished: dict[str, Any], wanted: str
) -> None:
    status, _, body = fetch(daemon, f"/api/recordings/{finished['id']}/file", Range=wanted)
    assert (status, len(body)) == (200, finished["file_size"])


def test_a_range_behind_the_end(daemon: Daemon, finished: dict[str, Any]) -> None:
    size = finished["file_size"]
    status, headers, body = fetch(
        daemon, f"/api/recordings/{finished['id']}/file", Range=f"bytes={size}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
    assert json.loads(body)["error"]["code"] == "VALIDATION_ERROR"


def test_conditions(daemon: Daemon, finished: dict[str, Any]) -> None:
    path = f"/api/recordings/{finished['id']}/file"
    etag = fetch(daemon, path, "HEAD")[1]["ETag"]
    status, headers, body = fetch(daemon, path, If_None_Match=etag)
    assert (status, body, headers["ETag"]) == (304, b"", etag)
    assert fetch(daemon, path, If_None_Match='"other"')[0] == 200
    assert fetch(daemon, path, If_Range=etag, Range="bytes=0-1")[0] == 206
    assert fetch(daemon, path, If_Range='"other"', Range="bytes=0-1")[0] == 200


def test_only_a_finished_file_in_its_place(daemon: Daemon, finished: dict[str, Any]) -> None:
    base = f"/api/recordings/{finished['id']}"
    refused(daemon.call("GET", f"{base}/file?part=2"), 404, "NOT_FOUND")
    refused(daemon.call("GET", f"{base}/file?part=0"), 400, "VALIDATION_ERROR", "part")
    refused(daemon.call("GET", "/api/recordings/rec_zzzzzzzzzzzz/file"), 404,
            "RECORDING_NOT_FOUND")
    for name in ("..%2f..%2fconfig.ini", "index.m3u8", "%2e%2e", "..%5cx", "0001.ts%00",
                 "f1-999999.ts", "/etc/passwd"):
        status, body, _ = daemon.call("GET", f"{base}/media/{name}")
        assert (status, body["error"]["code"]) == (404, "NOT_FOUND"), name
    for path in ("file", "playlist.m3u8", "media/0001.ts"):
        refused(daemon.call("GET", f"{base}/{path}", key=None), 401, "UNAUTHORIZED")
        refused(daemon.call("GET", f"{base}/{path}?token={daemon.key}", key=None), 401,
                "UNAUTHORIZED")


def test_media_is_not_counted(daemon: Daemon, finished: dict[str, Any]) -> None:
    path = f"/api/recordings/{finished['id']}/file"
    before = fetch(daemon, path, "HEAD")[1]["X-RateLimit-Remaining"]
    for _ in range(3):
        assert fetch(daemon, path, Range="bytes=0-9")[0] == 206
    assert fetch(daemon, path, "HEAD")[1]["X-RateLimit-Remaining"] == before


def address(daemon: Daemon, path: str) -> str:
    """As a person gives it to a player: with the key as the password of anyone."""
    return f"http://me:{daemon.key}@127.0.0.1:{daemon.port}{path}"


def frames_of(address: str, target: Path) -> int:
    """What FFmpeg, as the player, gets from an address."""
    played = subprocess.run(
        ["ffmpeg", "-v", "error", "-live_start_index", "0", "-i", address, "-c", "copy", "-y",
         str(target)], capture_output=True, text=True, timeout=60, check=False)
    assert played.returncode == 0, played.stderr
    return video_frames(target)


@pytest.mark.parametrize("path", ["file", "playlist.m3u8"])
def test_a_player_logs_in_by_basic(
    daemon: Daemon, finished: dict[str, Any], path: str, tmp_path: Path
) -> None:
    where = address(daemon, f"/api/recordings/{finished['id']}/{path}")
    options = ["-live_start_index", "0"] if path.endswith("m3u8") else []
    played = subprocess.run(
        ["ffmpeg", "-v", "error", *options, "-i", where, "-c", "copy", str(tmp_path / "x.mkv")],
        capture_output=True, text=True, timeout=60, check=False)
    assert played.returncode == 0, played.stderr
    assert video_frames(tmp_path / "x.mkv") == video_frames(Path(finished["file_path"]))


def test_basic_is_for_media_alone(daemon: Daemon, finished: dict[str, Any]) -> None:
    basic = base64.b64encode(f"x:{daemon.key}".encode()).decode()
    media = f"/api/recordings/{finished['id']}/file"
    assert fetch(daemon, media, "HEAD", Authorization=f"Basic {basic}")[0] == 200
    status, headers, _ = fetch(daemon, media, Authorization="Basic eDp5")
    assert (status, [h.split()[0] for h in headers.get_all("WWW-Authenticate", [])]) == (
        401, ["Bearer", "Basic"])
    for path in ("/api/channels", f"/api/recordings/{finished['id']}", "/api/channels/export"):
        assert fetch(daemon, path, Authorization=f"Basic {basic}")[0] == 401


def test_the_same_address_while_it_is_made_and_afterwards(daemon: Daemon, tmp_path: Path) -> None:
    clips = ts_clips(8)
    with Origin() as origin:
        origin.add(clips[0])
        _, channel, _ = daemon.call("POST", "/api/channels", {
            "platform": "url", "name": origin.url})
        recording_id = recording_of(daemon, channel)
        base = f"/api/recordings/{recording_id}"
        refused(daemon.call("GET", f"{base}/file"), 404, "NOT_FOUND")
        status, text, _ = daemon.call("GET", f"{base}/playlist.m3u8")
        assert status == 200 and b"#EXT-X-ENDLIST" not in text and b"#BR-" not in text
        origin.play(clips[1:], every_s=0.3)
        origin_end = len(clips)
        daemon.wait("/api/recordings/active", lambda _: len(origin.offered) >= origin_end)
        origin.end()
        live = frames_of(address(daemon, f"{base}/playlist.m3u8"), tmp_path / "live.mkv")
    done = daemon.wait(base, lambda r: r["status"] == "complete")
    after = frames_of(address(daemon, f"{base}/playlist.m3u8"), tmp_path / "after.mkv")
    assert live == after == video_frames(Path(done["file_path"]))
    status, text, _ = daemon.call("GET", f"{base}/playlist.m3u8")
    assert status == 200 and b"#EXT-X-ENDLIST" in text


def test_cancel(daemon: Daemon) -> None:
    with Origin() as origin:
        for clip in ts_clips(3):
            origin.add(clip)
        _, channel, _ = daemon.call("POST", "/api/channels", {
            "platform": "url", "name": origin.url, "display_name": "Cancelled"})
        recording_id = recording_of(daemon, channel)
        capture = daemon.directory / "data" / "captures" / recording_id
        daemon.wait(f"/api/recordings/{recording_id}", lambda r: r["segments"] == 3)
        assert capture.is_dir()
        status, last, _ = daemon.call("POST", f"/api/recordings/{recording_id}/cancel")
        assert (status, last["id"], last["segments"]) == (202, recording_id, 3)
        assert last["end_reason"] == "cancelled"
        refused(daemon.call("GET", f"/api/recordings/{recording_id}"), 404, "RECORDING_NOT_FOUND")
        refused(daemon.call("POST", f"/api/recordings/{recording_id}/cancel"), 404,
                "RECORDING_NOT_FOUND")
        assert not capture.exists()
        left = [p for p in (daemon.directory / "recordings").rglob("*") if "Cancelled" in str(p)
                and p.is_file() or recording_id in p.name]
        assert left == [] and not (daemon.directory / "recordings" / "Cancelled").exists()
        # The channel stays watched, that broadcast is not recorded again.
        status, checked, _ = daemon.call("POST", f"/api/channels/{channel['id']}/check")
        assert (status, checked["status"], checked["recording_id"]) == (200, "live", None)
        shown = daemon.get(f"/api/channels/{channel['id']}")
        assert (shown["status_reason"], shown["paused"]) == ("stopped", False)


def test_cancelling_what_is_over(daemon: Daemon, finished: dict[str, Any]) -> None:
    refused(daemon.call("POST", f"/api/recordings/{finished['id']}/cancel"), 409, "CONFLICT")
    assert Path(finished["file_path"]).exists()


def test_slow_downloads_leave_room_for_others(daemon: Daemon, finished: dict[str, Any]) -> None:
    """Each slot is held by a download that nobody reads; the API goes on, so do others."""
    other = daemon.renew_key()
    big = Path(finished["file_path"])
    shutil.copy(big, tmp := big.with_name("kept"))
    with open(big, "r+b") as file:
        file.truncate(200 * 1024 * 1024)
    held = []
    try:
        busy: tuple[int, Any] = (0, None)
        for _ in range(MEDIA_THREADS):
            connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
            held.append(connection)
            connection.request("GET", f"/api/recordings/{finished['id']}/file",
                               headers={"Authorization": f"Bearer {other}"})
            answer = connection.getresponse()
            if answer.status != 200:
                busy = answer.status, json.loads(answer.read())
                break
            assert len(answer.read(1)) == 1
        assert (busy[0], busy[1]["error"]["code"]) == (503, "UNAVAILABLE")
        assert len(held) - 1 == MEDIA_THREADS // 2
        # Another caller still downloads, and the API answers whoever it is.
        mine = daemon.renew_key()
        assert fetch(daemon, f"/api/recordings/{finished['id']}/file", Range="bytes=0-9",
                     Authorization=f"Bearer {mine}")[0] == 206
        for _ in range(20):
            assert daemon.call("GET", "/api/channels", key=other)[0] == 200
    finally:
        for connection in held:
            connection.close()
        tmp.replace(big)
    # Who left gives back what was held.
    daemon.wait("/api/channels", lambda _: fetch(
        daemon, f"/api/recordings/{finished['id']}/file", Range="bytes=0-9",
        Authorization=f"Bearer {other}")[0] == 206)
