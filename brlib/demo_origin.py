"""The demo's livestream: FFmpeg makes it in real time, a small web server offers it as HLS.

Owns the FFmpeg process, the directory with the sliding playlist, and the server on the
loopback. Used by `brlib.demo` alone; knows nothing of the recorder that watches it.
"""

from __future__ import annotations

import re
import shutil
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .config import Settings
from .errors import RecorderError
from .workers import Child, Worker, run

FRAMES_PER_S = 30
WINDOW = 6  # segments of one second
PROBE_MAX_S = 15.0
STOP_MAX_S = 3.0
_PICTURE = f"testsrc2=size=1280x720:rate={FRAMES_PER_S}"
_CLOCK = ("drawtext=text=%{localtime}:fontsize=64:fontcolor=white:box=1:boxcolor=black@0.6"
          ":boxborderw=12:x=(w-text_w)/2:y=h-text_h-60")


def need_ffmpeg(settings: Settings) -> None:
    """Raises RecorderError where FFmpeg or its ffprobe is missing."""
    for program in (settings.ffmpeg_path, settings.ffprobe_path):
        if shutil.which(program) is None:
            raise RecorderError(
                f"The demo needs FFmpeg, and {program} was not found: install it "
                "(Debian, Ubuntu, Raspberry Pi OS: sudo apt install ffmpeg) or name it "
                "in BR_FFMPEG_PATH")


class Quiet(SimpleHTTPRequestHandler):
    """The files of a directory, without a listing and without a log."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    extensions_map = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t"}

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """The demo's one line of progress must not be torn."""


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A recorder that hangs up in the middle of an answer is nothing to report."""


class Origin:
    """One broadcast of `seconds`, offered at `url` from `begin()` on."""

    def __init__(self, ffmpeg: str, directory: Path, seconds: int) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._ffmpeg = ffmpeg
        self._seconds = seconds
        self._playlist = directory / "live.m3u8"
        self._encoder: Child | None = None
        self._server = QuietServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
        self._serving = Worker("demo-origin", self._serve)
        self._serving.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/{self._playlist.name}"

    def _serve(self) -> None:
        self._server.serve_forever(0.1)

    def begin(self) -> None:
        """Go live. Raises OSError when FFmpeg cannot be started."""
        picture = f"{_PICTURE},{_CLOCK}" if self._can_draw() else _PICTURE
        self._encoder = Child("demo-broadcast", self._encoder_args(picture))

    def over_within(self, wait_s: float) -> float | None:
        """The moment (monotonic) at which the broadcast was over, or None when it still runs
        after `wait_s`. Raises RecorderError when FFmpeg failed."""
        assert self._encoder is not None
        code = self._encoder.wait(wait_s)
        if code is None:
            return None
        ended_s = time.monotonic()
        if code != 0:
            said = "\n".join(self._encoder.tail)
            raise RecorderError(f"FFmpeg could not make the broadcast (exit code {code}):\n{said}")
        return ended_s

    def published(self) -> int:
        """How many segments were offered so far."""
        text = self._playlist.read_text()
        first = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)
        return int(first[1] if first else 0) + text.count("#EXTINF:")

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.kill()
            self._encoder.wait(STOP_MAX_S)
        self._serving.stop()
        self._server.shutdown()
        self._server.server_close()
        self._serving.join(STOP_MAX_S)

    def _can_draw(self) -> bool:
        """Whether this FFmpeg can write a clock: not without libfreetype or without any font.
        Then the running time that testsrc2 has in its picture must do."""
        code, _ = run("demo-font", [
            self._ffmpeg, "-nostdin", "-v", "error", "-f", "lavfi",
            "-i", f"color=size=320x180,{_CLOCK}", "-frames:v", "1", "-f", "null", "-"], PROBE_MAX_S)
        return code == 0

    def _encoder_args(self, picture: str) -> list[str]:
        segments = self._playlist.with_name("%06d.ts")
        return [
            self._ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-y",
            "-re", "-f", "lavfi", "-i", picture,
            "-re", "-f", "lavfi", "-i", "sine=frequency=440:beep_factor=2:sample_rate=48000",
            "-t", str(self._seconds),
            "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
            "-pix_fmt", "yuv420p", "-b:v", "2500k", "-g", str(FRAMES_PER_S),
            "-keyint_min", str(FRAMES_PER_S), "-sc_threshold", "0", "-c:a", "aac", "-b:a", "96k",
            "-f", "hls", "-hls_time", "1", "-hls_list_size", str(WINDOW),
            "-hls_delete_threshold", "3",
            "-hls_flags", "delete_segments+program_date_time+independent_segments+temp_file",
            "-hls_segment_filename", str(segments), str(self._playlist),
        ]
