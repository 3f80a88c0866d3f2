"""Stand-ins for what is no plain HLS: FFmpeg as the encoder of a broadcast with separate audio
or of a DASH broadcast, and a server that gives a transport stream without end.

Used by `test_capture_remux`. FFmpeg writes into a directory, which a small server offers.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .media import Clip

HOST = "127.0.0.1"
FPS = 20
_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml"}


@dataclass(eq=False)
class Tap:
    """A live transport stream at `/tap`: who comes later has missed what was sent before.

    `sent` has the clips that went out whole, connection by connection.
    """

    clips: list[Clip]
    every_s: float
    length: bool = False
    sent: list[list[Clip]] = field(default_factory=list)
    away: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    _begun_s: float | None = None

    def now(self) -> int:
        """The clip that is being made."""
        if self._begun_s is None:
            self._begun_s = time.monotonic()
        return int((time.monotonic() - self._begun_s) / self.every_s)

    def due_s(self, number: int) -> float:
        assert self._begun_s is not None
        return self._begun_s + number * self.every_s - time.monotonic()

    def heard(self) -> list[Clip]:
        """What went to those who listened for longer than a check does."""
        return [clip for sent in self.sent if len(sent) > 4 for clip in sent]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.path, dict(self.headers)))
        if path == "/tap":
            self._tap(self.server.tap)
        else:
            self._file(self.server.directory / path.lstrip("/"))

    def _file(self, path: Path) -> None:
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", _TYPES.get(path.suffix, "video/mp4"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _tap(self, tap: Tap | None) -> None:
        if tap is None or tap.over.is_set() or tap.away.is_set():
            self.send_error(503 if tap and tap.away.is_set() else 404)
            return
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        whole = sum(len(clip.body) for clip in tap.clips)
        kind, value = ("Content-Length", str(whole)) if tap.length else (
            "Transfer-Encoding", "chunked")
        self.send_header(kind, value)
        self.end_headers()
        sent: list[Clip] = []
        tap.sent.append(sent)
        with contextlib.suppress(OSError):
            self._clips(tap, sent)

    def _clips(self, tap: Tap, sent: list[Clip]) -> None:
        for number in range(tap.now(), len(tap.clips)):
            if tap.away.wait(max(0.0, tap.due_s(number))):
                return
            clip = tap.clips[number]
            self.wfile.write(clip.body if tap.length else (
                b"%x\r\n" % len(clip.body) + clip.body + b"\r\n"))
            sent.append(clip)
        if not tap.length:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing goes to stderr."""


class Site(ThreadingHTTPServer):
    """Files of a directory and a tap; a context manager."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, directory: Path, tap: Tap | None = None) -> None:
        super().__init__((HOST, 0), _Handler)
        self.directory = directory
        self.tap = tap
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._links: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.tap is not None:
            self.tap.away.set()
        self.shutdown()
        self._thread.join()
        for link in self._links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        link, address = super().get_request()
        self._links.append(link)
        return link, address

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.server_address[1]}/{path}"


@contextlib.contextmanager
def encoder(
    directory: Path, length_s: float, rate: float, output: tuple[str, ...], ready: str
) -> Iterator[None]:
    """FFmpeg, making a picture and a tone of `length_s` at `rate` times their own pace into
    `directory`; the file `ready` is there when it begins."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    for source in (f"testsrc2=size=160x90:rate={FPS}", "sine=frequency=500:sample_rate=48000"):
        command += ["-readrate", str(rate), "-f", "lavfi", "-i", source]
    command += ["-map", "0:v", "-map", "1:a", "-t", str(length_s), "-c:v", "libx264", "-preset",
                "ultrafast", "-pix_fmt", "yuv420p", "-g", str(FPS), "-keyint_min", str(FPS),
                "-sc_threshold", "0", "-bf", "0", "-c:a", "aac"]
    child = subprocess.Popen([*command, *output], cwd=directory)
    deadline_s = time.monotonic() + 20
    try:
        while not (directory / ready).exists():
            assert time.monotonic() < deadline_s, "no broadcast"
            threading.Event().wait(0.05)
        yield
    finally:
        child.kill()
        child.wait()


SEPARATE_AUDIO = (
    "-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-hls_segment_filename", "%v-%d.ts",
    "-var_stream_map", "a:0,agroup:sound,default:yes v:0,agroup:sound",
    "-master_pl_name", "master.m3u8", "%v.m3u8")
_DASH = (
    "-f", "dash", "-seg_duration", "1", "-window_size", "8", "-extra_window_size", "20",
    "-use_template", "1", "-adaptation_sets", "id=0,streams=v id=1,streams=a", "-use_timeline")
DASH = (*_DASH, "1", "live.mpd")
# Its manifest lists no segments: they are counted by the clock.
COUNTED_DASH = (*_DASH, "0", "live.mpd")
