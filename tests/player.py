"""FFmpeg as a player of what `Viewing` serves, over a loopback HTTP server.

Owns the server (the web layer's stand-in: playlist, media, ranges, a login), what was asked
of it, and a `Viewing` with everything that it needs.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from brlib.config import Settings
from brlib.errors import RecorderError
from brlib.ledger import Ledger
from brlib.models import Recording, RecordingStatus
from brlib.viewing import Media, Viewing
from brlib.web.guard import CHALLENGE

from .test_playlist import MOMENT

PLAY_LIMIT_S = 60


RECORDING = Recording("rec_one", "ch_one", "Channel", "url", "Title",
                      RecordingStatus.RECORDING, MOMENT)


class Room:
    """A viewing with directories, settings and a clock of its own."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(data_directory=directory / "data",
                                 output_directory=directory / "out", min_free_space=0)
        self.settings.output_directory.mkdir()
        self.now_s = 1000.0
        self.viewing = Viewing(lambda: self.settings, lambda: self.now_s)
        self.viewing.start()

    def directory(self, recording: Recording = RECORDING) -> Path:
        return self.settings.captures_directory / recording.id

    def capture(self, recording: Recording = RECORDING) -> Ledger:
        return Ledger.create(self.directory(recording), 1)

    def drop(self) -> None:
        """As assembly does once the file is proven."""
        done = self.directory().with_name("rec_one.done")
        self.directory().rename(done)
        shutil.rmtree(done)

    def held(self) -> list[str]:
        """The recordings of which something is held."""
        return sorted(p.name.partition("-")[0]
                      for p in (self.settings.data_directory / "viewing").iterdir()
                      if p.name != "cuts")

    def close(self) -> None:
        """Idempotent."""
        self.viewing.stop()
        assert self.viewing.join(5)


def bytes_of(media: Media) -> bytes:
    with open(media.path, "rb") as file:
        file.seek(media.start)
        return file.read(media.size_bytes)


class Stage:
    """Serves one recording, as it is at each request, to whoever knows the `key` if there is
    one; `asked` are the paths, in order, `challenged` those that were asked without it."""

    def __init__(
        self, viewing: Viewing, recording: Callable[[], Recording], key: str = ""
    ) -> None:
        self.viewing = viewing
        self.recording = recording
        self.login = "Basic " + base64.b64encode(f"me:{key}".encode()).decode() if key else None
        self.asked: list[str] = []
        self.challenged: list[str] = []
        self.refused: list[str] = []
        self.url = ""
        self._news = threading.Condition()

    def reply(self, path: str, span: str | None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        with self._news:
            self.asked.append(path)
            self._news.notify_all()
        try:
            if path == "/playlist.m3u8":
                text = self.viewing.playlist(self.recording())
                return 200, {"Content-Type": "application/vnd.apple.mpegurl"}, text.encode()
            media = self.viewing.media(self.recording(), path.removeprefix("/media/"))
            body = bytes_of(media)
        except RecorderError as error:
            self.refused.append(f"{path}: {error}")
            return 404, {"Content-Type": "text/plain"}, str(error).encode()
        headers = {"Content-Type": media.content_type}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", span or "")
        if match is None:
            return 200, headers, body
        first, last = int(match[1]), int(match[2] or len(body) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        return 206, headers, body[first:last + 1]

    def wait_for_reload(self) -> None:
        """Until the playlist is asked for once more."""
        with self._news:
            before = self.asked.count("/playlist.m3u8")
            assert self._news.wait_for(
                lambda: self.asked.count("/playlist.m3u8") > before, 20), "no reload came"


@contextmanager
def on_stage(
    viewing: Viewing, recording: Callable[[], Recording], key: str = "",
    protocol: str = "HTTP/1.1",
) -> Iterator[Stage]:
    """With HTTP/1.0 each request has a connection, and its own question for the password."""
    stage = Stage(viewing, recording, key)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = protocol
        timeout = 10

        def do_GET(self) -> None:
            if stage.login not in (None, self.headers.get("Authorization")):
                self.challenge()
                return
            status, headers, body = stage.reply(self.path, self.headers.get("Range"))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # a player may hang up

        def challenge(self) -> None:
            """As the real door does it."""
            stage.challenged.append(self.path)
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Bearer")
            self.send_header("WWW-Authenticate", CHALLENGE)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """pytest's output is for failures."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    login = f"me:{key}@" if key else ""
    stage.url = f"http://{login}127.0.0.1:{server.server_port}/playlist.m3u8"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield stage
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass(frozen=True)
class Played:
    """What a player made of the first streams of each kind.

    `pictures` are digests of the decoded ones in the order of display, `times_s` when they
    are shown; `sounds` are digests of the packets without what a container adds.
    """

    pictures: list[str]
    times_s: list[float]
    sounds: list[str]


def play(source: str | Path, audio: str = "aac") -> Played:
    # Where a playlist may grow FFmpeg begins three segments before its end, unless told.
    live = ["-live_start_index", "0"] if str(source).endswith(".m3u8") else []
    bare = ["-bsf:a", "aac_adtstoasc"] if audio == "aac" else []
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", *live, "-copyts", "-i", source,
         "-map", "0:v:0?", "-map", "0:a:0?", "-fps_mode", "passthrough", "-c:a", "copy", *bare,
         "-f", "framehash", "-hash", "murmur3", "-"],
        capture_output=True, timeout=PLAY_LIMIT_S, check=True)
    text = done.stdout.decode()
    clocks = {m[1]: Fraction(m[2]) for m in re.finditer(r"^#tb (\d+): (.+)$", text, re.MULTILINE)}
    kinds = {m[1]: m[2] for m in re.finditer(r"^#media_type (\d+): (\w+)$", text, re.MULTILINE)}
    rows = [[part.strip() for part in line.split(",")] for line in text.splitlines()
            if not line.startswith("#")]
    video = [row for row in rows if kinds[row[0]] == "video"]
    return Played(
        [row[5] for row in video], [float(int(row[2]) * clocks[row[0]]) for row in video],
        [row[5] for row in rows if kinds[row[0]] == "audio"])
