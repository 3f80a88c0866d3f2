"""The contestants of the table `complete`: started, killed, started again, and their files.

Owns their processes: whatever happens, `close` ends them. Used by `bench.tables.complete`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base import OURS
from brlib.workers import Child
from tests.daemon import Daemon

# As `sleep 1` in a shell loop, and RestartSec of systemd/battles-record.service.
LOOP_PAUSE_S, UNIT_PAUSE_S = 1.0, 5.0
STOP_MAX_S = 10.0
START_MAX_S = 30.0
POLL_S = 0.2

PYTHON = [sys.executable, "-m"]
RECONNECT = ["-reconnect", "1", "-reconnect_streamed", "1", "-reconnect_on_network_error", "1",
             "-reconnect_on_http_error", "4xx,5xx", "-reconnect_delay_max", "30",
             "-max_reload", "1000", "-m3u8_hold_counters", "1000"]
PATIENT = ["--stream-segment-attempts", "10", "--hls-playlist-reload-attempts", "10",
           "--stream-segmented-queue-deadline", "0", "--stream-timeout", "120"]
ENDLESS = ["--downloader", "m3u8:native", "--retries", "infinite",
           "--fragment-retries", "infinite", "--extractor-retries", "infinite"]


def ffmpeg(options: Sequence[str]) -> Callable[[str, str], list[str]]:
    return lambda address, stem: ["ffmpeg", "-nostdin", "-v", "warning", *options, "-i", address,
                                  "-c", "copy", f"{stem}.ts"]


def streamlink(options: Sequence[str]) -> Callable[[str, str], list[str]]:
    return lambda address, stem: [*PYTHON, "streamlink", "--no-config", *options,
                                  "--output", f"{stem}.ts", address, "best"]


def ytdlp(options: Sequence[str]) -> Callable[[str, str], list[str]]:
    return lambda address, stem: [*PYTHON, "yt_dlp", "--ignore-config", "--no-cache-dir",
                                  *options, "-o", f"{stem}.%(ext)s", address]


@dataclass(frozen=True)
class Kind:
    """`argv` is made of the address and the file name without its ending. `loop`: whoever
    uses it so starts it again whenever it ends."""

    argv: Callable[[str, str], list[str]]
    loop: bool = False


OTHERS = {
    "ffmpeg": Kind(ffmpeg([])),
    "ffmpeg, reconnecting": Kind(ffmpeg(RECONNECT)),
    "ffmpeg, in a loop": Kind(ffmpeg([]), loop=True),
    "streamlink": Kind(streamlink([])),
    "streamlink, patient": Kind(streamlink(PATIENT)),
    "yt-dlp": Kind(ytdlp([])),
    "yt-dlp, native, endless": Kind(ytdlp(ENDLESS)),
}


class Tool:
    """A program that records to a file; with `again` it is started again as a shell loop
    would, with a file name of its own each time."""

    def __init__(self, name: str, address: str, directory: Path, again: bool) -> None:
        self.name = name
        directory.mkdir()
        self._directory, self._address = directory, address
        self._again = again or OTHERS[name].loop
        self._starts = 0
        self._child: Child | None = None
        self._ended_s: float | None = None

    def start(self) -> None:
        self._starts += 1
        argv = OTHERS[self.name].argv(self._address, str(self._directory / f"{self._starts:03d}"))
        self._child, self._ended_s = Child("contestant", argv), None

    def step(self) -> None:
        """Start it again where it has ended and is to go on."""
        if not self._again or self.running():
            return
        if self._ended_s is None:
            self._ended_s = time.monotonic()
            self._collect()
        elif time.monotonic() - self._ended_s >= LOOP_PAUSE_S:
            self.start()

    def running(self) -> bool:
        return self._child is not None and self._child.exit_code is None

    def kill(self) -> None:
        """kill -9, its own children too."""
        if self._child is not None:
            self._child.kill()

    def finish(self, deadline_s: float) -> None:
        """The broadcast is over: it may take in what is left, then comes Ctrl-C."""
        self._again = False
        if self._child is not None and self._child.wait(
                max(0.0, deadline_s - time.monotonic())) is None:
            os.killpg(self._child.pid, signal.SIGINT)
            if self._child.wait(STOP_MAX_S) is None:
                self.kill()

    def files(self) -> list[Path]:
        """Also those that it left as parts; not the bookkeeping and the single fragments."""
        return sorted(path for path in self._directory.iterdir()
                      if path.suffix in (".ts", ".mp4", ".mkv", ".part")
                      and "-Frag" not in path.name)

    def last_words(self) -> str:
        words = " / ".join(list(self._child.tail)[-2:]) if self._child else ""
        return f"{self._starts} starts; {words}"

    def _collect(self) -> None:
        if self._child is not None:
            self._child.wait(STOP_MAX_S)

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.stop()


class Ours:
    """The real daemon with its own defaults, watching one channel of the platform `url`."""

    name = OURS

    def __init__(self, address: str, directory: Path) -> None:
        directory.mkdir()
        self._address = address
        self._daemon = Daemon(directory, url_interval="30s")
        self._starting: Future[Daemon] | None = None
        # Its start is waited for beside the broadcast, which must not wait.
        self._executor = ThreadPoolExecutor(1)
        self._killed_s: float | None = None

    def start(self) -> None:
        """It runs already when the broadcast begins; this is the channel's."""
        self._daemon.start()
        status, body, _ = self._daemon.call("POST", "/api/channels", {
            "platform": "url", "name": self._address, "display_name": "bench"})
        if status != 201:
            raise RuntimeError(f"the channel was refused: {body}")

    def step(self) -> None:
        if self._starting is not None and self._starting.done():
            # Raises what went wrong.
            self._starting.result()
            self._starting = None
        if self._killed_s is not None and time.monotonic() - self._killed_s >= UNIT_PAUSE_S:
            self._killed_s = None
            self._starting = self._executor.submit(self._daemon.start)

    def kill(self) -> None:
        self._wait_started()
        self._daemon.kill()
        self._killed_s = time.monotonic()

    def _wait_started(self) -> None:
        if self._starting is not None:
            self._starting.result(START_MAX_S)
            self._starting = None

    def finish(self, deadline_s: float) -> None:
        """Until no recording is under way or being finished any more. One that still is then
        has no file that counts."""
        while self._killed_s is not None:
            self.step()
            time.sleep(POLL_S)
        self._wait_started()
        while time.monotonic() < deadline_s and not self._finished():
            time.sleep(POLL_S)

    def _finished(self) -> bool:
        every = [one["status"] in ("complete", "failed") for one in self.recordings()]
        return bool(every) and all(every)

    def recordings(self) -> list[dict[str, Any]]:
        """Oldest first."""
        found: list[dict[str, Any]] = self._daemon.get("/api/recordings?limit=500")["recordings"]
        return found[::-1]

    def files(self) -> list[Path]:
        return [Path(name) for one in self.recordings() for name in one["files"]]

    def last_words(self) -> str:
        words = []
        for one in self.recordings():
            gaps = self._daemon.get(f"/api/recordings/{one['id']}/gaps")["gaps"]
            words.append(f"{one['id']} {one['status']} {one.get('error') or ''} {gaps}")
        return "; ".join(words)

    @property
    def log(self) -> list[str]:
        return self._daemon.log

    def close(self) -> None:
        self._executor.shutdown(wait=True)
        self._daemon.close()


Recorder = Tool | Ours
