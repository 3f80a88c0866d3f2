"""The load: media of 6 Mbit/s, and the origin's process. Used by table `cost`."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import origin

# Of 6 Mbit/s.
SEGMENT_BYTES = round(6e6 / 8 * origin.SEGMENT_S)
# Video, so that sound and the packets' heads fill up the rest.
_VIDEO_KBIT_PER_S = 5560
_CLIP_S = 6.0
_FRAMES_PER_S = 60
MAKE_MAX_S = 300.0
ANSWER_MAX_S = 30.0


def make_media(directory: Path, seconds: float) -> None:
    """Segments for so long, 1080p60 as Twitch has it: one clip again and again, its times
    going on. Raises CalledProcessError, TimeoutExpired."""
    directory.mkdir(parents=True)
    clip, keys = directory / "clip.mkv", str(round(origin.SEGMENT_S * _FRAMES_PER_S))
    rate, buffer = f"{_VIDEO_KBIT_PER_S}k", f"{_VIDEO_KBIT_PER_S // 2}k"
    _ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate={_FRAMES_PER_S}",
        "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(_CLIP_S),
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
        "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", buffer,
        "-x264-params", f"nal-hrd=cbr:keyint={keys}:min-keyint={keys}:scenecut=0:force-cfr=1",
        "-c:a", "aac", "-b:a", "128k", str(clip))
    _ffmpeg(
        "-stream_loop", "-1", "-i", str(clip), "-t", str(seconds), "-c", "copy",
        "-f", "segment", "-segment_time", str(origin.SEGMENT_S), "-segment_format", "mpegts",
        str(directory / "%06d.ts"))
    clip.unlink()


def _ffmpeg(*args: str) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *args], check=True,
                   timeout=MAKE_MAX_S)


class Origin:
    """The process of `bench.cost.origin`, ended with its `with`."""

    def __init__(self, media: Path, streams: int) -> None:
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.cost.origin", str(media), str(streams)], cwd=root,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def url(self, stream: int) -> str:
        return f"http://127.0.0.1:{self._port}/{stream}/live.m3u8"

    def ask(self, what: str) -> bytes:
        address = f"http://127.0.0.1:{self._port}/{what}"
        with urllib.request.urlopen(address, timeout=ANSWER_MAX_S) as answer:
            body: bytes = answer.read()
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> Any:
        self._process.kill()
        self._process.wait(ANSWER_MAX_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
