"""yt-dlp as `youtube` uses it: the real one against the stand-in, through the proxy, and programs
in its place that hang, fail, or say what it says. Cookies go where they belong and vanish."""

from __future__ import annotations

import json
import os
import queue
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Channel, utc_now
from brlib.platforms.youtube import YouTube
from brlib.platforms.ytdlp import YtDlp
from brlib.workers import Worker

from .standin.adapter import StandInSessions
from .standin.base import StandIn
from .standin.logins import GivenLogins
from .standin.proxy import Proxy
from .standin.youtube import MANIFESTS, SITE, Video, YouTubeHost

ID = "abcdefghijk"
MASTER_PATH = "/api/manifest/hls_variant/index.m3u8"
CHANNEL = Channel("ch_chess", "youtube", "@chess", "@chess", "https://www.youtube.com/@chess",
                  "720p", True, utc_now())
COOKIES = "# Netscape HTTP Cookie File\n" + "".join(
    f".youtube.com\tTRUE\t/\tTRUE\t2000000000\t{name}\t{value}\n" for name, value in (
        ("LOGIN_INFO", "login-info-secret"), ("SAPISID", "member-sapisid"),
        ("__Secure-3PAPISID", "member-sapisid")))


@dataclass
class Scene:
    standin: StandIn
    host: YouTubeHost
    video: Video
    logins: GivenLogins


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A live broadcast, which yt-dlp reaches, too."""
    one = Scene(StandIn(), YouTubeHost(), Video(ID), GivenLogins("youtube"))
    one.host.join(one.standin)
    one.host.add("@chess", one.video)
    with Proxy(one.standin) as proxy:
        for name, value in proxy.environment().items():
            monkeypatch.setenv(name, value)
        yield one


@pytest.fixture
def youtube(scene: Scene) -> Iterator[YouTube]:
    one = YouTube(StandInSessions(scene.standin), scene.logins)
    yield one
    one.close()


@pytest.mark.parametrize(("refusal", "cookies"), [(None, None), ("members", COOKIES)])
def test_it_opens_what_the_plugin_cannot(
    refusal: str | None, cookies: str | None, scene: Scene, youtube: YouTube
) -> None:
    scene.video.refusal, scene.host.for_plugin = refusal, False
    scene.logins.playback_text = cookies
    opened = youtube.open(CHANNEL)
    assert opened is not None
    assert opened.quality == "720p" and "/itag/95/" in opened.stream.url
    assert "Chrome" in opened.stream.session.http.headers["User-Agent"]
    opened.stream.session.http.get(f"https://{MANIFESTS}{MASTER_PATH}")
    for secret in ("login-info-secret", "member-sapisid"):
        assert scene.standin.sent_to(secret) == ([SITE] if cookies else [])


def test_cookies_of_someone_else(scene: Scene, youtube: YouTube) -> None:
    scene.video.refusal = "members"
    scene.logins.playback_text = COOKIES.replace("member-sapisid", "stranger-sapisid")
    with pytest.raises(PlatformError) as raised:
        youtube.open(CHANNEL)
    assert raised.value.trouble is Trouble.RESTRICTED


RECORDED = [
    {"id": ID, "live_status": "is_live", "fulltitle": "Endgames (2)", "extractor_key": "Youtube"},
    [{"format_id": "sb0", "protocol": "mhtml", "url": "https://i.ytimg.com/sb"},
     {"format_id": "234", "protocol": "m3u8_native", "url": "https://m/234", "vcodec": "none"},
     {"format_id": "93", "protocol": "m3u8_native", "url": "https://m/93", "height": 360,
      "fps": 30.0, "acodec": "mp4a", "vcodec": "avc1",
      "http_headers": {"User-Agent": "x", "Cookie": "secret",
                       "Referer": "https://tv.example/live?token=secret"}},
     {"format_id": "301", "protocol": "m3u8_native", "url": "https://m/301", "height": 1080,
      "fps": 60, "acodec": "none", "vcodec": "avc1", "manifest_url": "https://m/all"}],
]


# Of a page: what the generic extractor makes up, a file, and what is live beside it.
ON_A_PAGE = [
    {"id": "live-1", "live_status": None, "fulltitle": "Endgames (1)", "extractor_key": "Generic",
     "release_timestamp": 1772600767},
    [{"protocol": "https", "url": "https://m/a.mp4"}],
]


class Script:
    """A program in yt-dlp's place, which does what a test writes in Python. `argv` is its
    command line, `found` the file for what it finds, `cookies` that of the cookies."""

    HEAD = ("import os, sys, time; argv = sys.argv[1:]; "
            "found = argv[argv.index('--print-to-file') + 2]; "
            "addresses = argv[argv.index('--batch-file') + 1]; "
            "cookies = argv[argv.index('--cookies') + 1] if '--cookies' in argv else None\n")

    def __init__(self, text: str, deadline_s: float = 20.0) -> None:
        self.ytdlp = YtDlp(
            lambda: ("node:/opt/node",), deadline_s=deadline_s,
            command=(sys.executable, "-c", self.HEAD + text))


def test_what_was_found_is_read() -> None:
    lines = "\n".join(json.dumps(value) for value in RECORDED)
    found = Script(f"open(found, 'w').write({lines!r}); print('WARNING: [youtube] oh https://a/b')"
                   ).ytdlp.find("https://x/", None)
    assert (found.live_status, found.id, found.title) == ("is_live", ID, "Endgames (2)")
    assert not found.other_formats and found.upcoming_at is None
    assert [(one.name, one.whole) for one in found.formats] == [
        ("audio_only", False), ("360p", True), ("1080p60", False)]
    assert found.formats[1].headers == {"User-Agent": "x", "Referer": "https://tv.example/"}
    assert found.said == ("oh https://a",)


def wrote(*values: object) -> str:
    lines = "\n".join(json.dumps(value) for value in values)
    return f"open(found, 'w').write({lines!r})"


def test_what_is_found_on_a_page() -> None:
    found = Script(wrote(*ON_A_PAGE)).ytdlp.find("https://x/")
    assert (found.id, found.title, found.other_formats) == (None, "Endgames", True)
    assert found.formats == () and found.upcoming_at == datetime(
        2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
    # What is live comes before what is first.
    found = Script(wrote(*ON_A_PAGE, *RECORDED)).ytdlp.find("https://x/")
    assert found.id == ID and len(found.formats) == 3


def test_its_command_line_and_its_cookies(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    Script(f"import json; json.dump([argv, oct(os.stat(cookies).st_mode), open(cookies).read(), "
           "os.getcwd(), oct(os.stat('.').st_mode), open(addresses).read()], "
           f"open({str(record)!r}, 'w')); "
           "open(cookies, 'a').write('rotated')").ytdlp.find("https://x/", COOKIES)
    argv, mode, cookies, directory, directory_mode, addresses = json.loads(record.read_text())
    assert (stat.S_IMODE(int(mode, 8)), stat.S_IMODE(int(directory_mode, 8))) == (0o600, 0o700)
    assert cookies == COOKIES
    assert "secret" not in " ".join(argv) and "https://x/" not in argv
    assert addresses == "https://x/\n"
    assert argv[argv.index("--js-runtimes") + 1] == "node:/opt/node"
    assert {"--ignore-config", "--no-cache-dir", "--ignore-no-formats-error"} <= set(argv)
    assert not Path(directory).exists()


@pytest.mark.parametrize(("text", "says"), [
    ("time.sleep(600)", "no answer after"),
    ("import subprocess; subprocess.Popen(['sleep', '600']).wait()", "no answer after"),
    ("sys.exit('/usr/bin/python: No module named yt_dlp')", "not installed"),
    ("sys.exit('Traceback of https://x/?token=1')", "exit code 1.: Traceback of https://x$"),
    ("os.kill(os.getpid(), 9)", "signal 9"),
    ("open(found, 'w').write('{')", "cannot be read"),
    ("open(found, 'wb').truncate(5000000)", "cannot be read"),
])
def test_it_fails(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(PlatformError, match=says):
        Script(text, deadline_s=0.5 if "no answer" in says else 20.0).ytdlp.find("x", COOKIES)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(PlatformError, match="cannot be started"):
        YtDlp(command=("/nowhere/yt-dlp",)).find("https://x/", None)


def test_what_is_said_of_rotated_cookies() -> None:
    found = Script("print('WARNING: [youtube] The provided YouTube account cookies are no longer "
                   "valid. They'); print('ERROR: x'); sys.exit(1)").ytdlp.find("x", COOKIES)
    assert found.cookies_rotated and found.live_status is None


def test_stopping_ends_what_runs(tmp_path: Path) -> None:
    started, said = tmp_path / "started", queue.SimpleQueue[str]()
    ytdlp = Script(f"open({str(started)!r}, 'w'); time.sleep(600)").ytdlp

    def find() -> None:
        with pytest.raises(PlatformError) as raised:
            ytdlp.find("https://x/", COOKIES)
        said.put(str(raised.value))

    worker = Worker("find", find)
    worker.start()
    deadline_s = time.monotonic() + 20.0
    while not started.exists() and time.monotonic() < deadline_s:
        worker.join(0.01)
    ytdlp.stop()
    assert said.get(timeout=20.0) == "yt-dlp was ended: the daemon is stopping"
    assert worker.join(20.0)


def test_without_a_place_for_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(PlatformError, match="no place for its files in /nowhere: No such file"):
        Script("").ytdlp.find("https://x/", None)


def test_stopped_it_starts_nothing() -> None:
    ytdlp = Script("").ytdlp
    ytdlp.stop()
    with pytest.raises(PlatformError, match="stopping"):
        ytdlp.find("https://x/", None)


def test_what_a_killed_daemon_left_behind_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, young, other = (tmp_path / name for name in (
        "battles-record-old", "battles-record-young", "somebody-else"))
    for directory in (old, young, other):
        directory.mkdir()
        (directory / "cookies.txt").write_text("secret")
    for directory in (old, other):
        os.utime(directory, (0, 0))
    ytdlp = Script("print('ERROR: x'); sys.exit(1)").ytdlp
    assert sorted(p.name for p in tmp_path.iterdir()) == ["battles-record-young", "somebody-else"]
    # It grows old while the daemon runs.
    os.utime(young, (0, 0))
    ytdlp.find("https://x/", None)
    assert [p.name for p in tmp_path.iterdir()] == ["somebody-else"]
