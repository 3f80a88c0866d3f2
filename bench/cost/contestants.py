"""Who records in table `cost`: started, added to, stopped, and asked whether all is there.

Used by `bench.tables.cost`, one contestant at a time. Each takes more streams while it runs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from brlib import ledger
from brlib.errors import CaptureDamaged
from tests.daemon import Daemon

from . import load

STOP_MAX_S = 20.0
# A hundred of them start at the same time.
BEGIN_MAX_S = 180.0
FINISH_MAX_S = 240.0
LOOK_EVERY_S = 0.5
# A transport stream that was remuxed is smaller than the segments it came from, by the packets
# that only fill.
_KEPT_SHARE = 0.9

Served = dict[int, list[int]]


class Contestant(Protocol):
    """A `with` ends all that it started, whatever happens."""

    def add(self, streams: Iterable[int]) -> None: ...

    def roots(self) -> list[int]:
        """The processes whose trees it consists of."""

    def finish(self, served: Callable[[], Served]) -> bool:
        """Stop; whether everything is there. `served`: what the origin gave, by stream."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> Any: ...


def without_holes(numbers: Iterable[int]) -> bool:
    """Whether segments were given from the first to the last."""
    given = set(numbers)
    return bool(given) and len(given) == max(given) - min(given) + 1


class Engine:
    """Battles Record: the capture alone, or with the file that is made meanwhile."""

    def __init__(self, directory: Path, origin: load.Origin, streams: int, live: bool) -> None:
        self._directory = directory
        self._origin = origin
        self._live = live
        self._channels: list[str] = []
        directory.mkdir()
        self.daemon = Daemon(
            directory, max_concurrent_recordings=streams, url_interval="30s",
            processing_timing="live" if live else "after", capture_after="keep")

    def add(self, streams: Iterable[int]) -> None:
        for stream in streams:
            status, made, _ = self.daemon.call("POST", "/api/channels", {
                "platform": "url", "name": self._origin.url(stream)})
            if status != 201:
                raise RuntimeError(f"the channel was refused: {made}")
            self._channels.append(made["id"])
        _until(self._all_begun, BEGIN_MAX_S, "not all recordings have begun")

    def _all_begun(self) -> bool:
        return len(self._recordings("recording")) == len(self._channels)

    def _recordings(self, status: str) -> list[dict[str, Any]]:
        _, found, _ = self.daemon.call("GET", f"/api/recordings?status={status}&limit=500")
        recordings: list[dict[str, Any]] = found["recordings"]
        return recordings

    def roots(self) -> list[int]:
        return [self.daemon.pid]

    def finish(self, served: Callable[[], Served]) -> bool:
        """The ledgers' word; with live files the broadcasts end first, and the files count."""
        if self._live:
            self._origin.ask("end")
            _until(lambda: not (self._recordings("recording") or self._recordings("processing")),
                   FINISH_MAX_S, "not all recordings were finished")
            found = self._recordings("complete")
            whole = all(one["completeness"] == 1 and one["gaps"] == 0 for one in found)
            if len(found) != len(self._channels) or not whole:
                return False
        self.daemon.terminate(STOP_MAX_S)
        captures = list((self._directory / "data" / "captures").iterdir())
        return len(captures) == len(self._channels) and all(map(_is_whole, captures))

    def __enter__(self) -> Self:
        self.daemon.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> Any:
        self.daemon.close()
        shutil.rmtree(self._directory)


def _is_whole(capture: Path) -> bool:
    """Every number between the first and the last, once, and what the disk holds is what was
    received."""
    try:
        tally = ledger.check(capture)
    except CaptureDamaged:
        return False
    held = [segment.num for segment in tally.recent.values()]
    return (not tally.gaps and len(held) == len(set(held)) == tally.sums.segments
            and without_holes(held))


def _until(there: Callable[[], bool], timeout_s: float, complaint: str) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not there():
        if time.monotonic() > deadline_s:
            raise TimeoutError(complaint)
        time.sleep(LOOK_EVERY_S)


class Tools:
    """Programs, for each stream one command line with `{url}` and `{base}` in it, which writes to
    its standard output or to `{file}`."""

    def __init__(self, directory: Path, origin: load.Origin, command: list[str],
                 sign: signal.Signals = signal.SIGINT) -> None:
        self._directory = directory
        self._origin = origin
        self._command = command
        self._sign = sign
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        directory.mkdir()

    def _file(self, stream: int) -> Path:
        return self._directory / f"{stream}.ts"

    def add(self, streams: Iterable[int]) -> None:
        for stream in streams:
            url = self._origin.url(stream)
            names = {"{url}": url, "{base}": url.rpartition("/")[0],
                     "{file}": str(self._file(stream))}
            words = [names.get(word, word) for word in self._command]
            self._running[stream] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True)
        _until(lambda: all(map(self._has_begun, self._running)), BEGIN_MAX_S,
               "not all recordings have begun")

    def _has_begun(self, stream: int) -> bool:
        if self._running[stream].poll() is not None:
            raise RuntimeError(f"{self._command[0]} has ended by itself")
        return self._file(stream).exists() and self._file(stream).stat().st_size > 0

    def roots(self) -> list[int]:
        return [process.pid for process in self._running.values()]

    def finish(self, served: Callable[[], Served]) -> bool:
        """By what the origin gave it, and by the size of its files."""
        for process in self._running.values():
            os.killpg(process.pid, self._sign)
        for process in self._running.values():
            process.wait(STOP_MAX_S)
        given = served()
        return all(without_holes(given.get(stream, [])) and self._is_long_enough(
            stream, len(given[stream])) for stream in self._running)

    def _is_long_enough(self, stream: int, segments: int) -> bool:
        """The last ones given may have been on their way still."""
        least_bytes = _KEPT_SHARE * load.SEGMENT_BYTES * (segments - 3)
        return self._file(stream).stat().st_size >= least_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> Any:
        for process in self._running.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                # The whole group has ended.
                continue
            finally:
                process.wait(STOP_MAX_S)
        shutil.rmtree(self._directory)


def ffmpeg(directory: Path, origin: load.Origin) -> Tools:
    return Tools(directory, origin, [
        "ffmpeg", "-nostdin", "-v", "error", "-y", "-i", "{url}", "-c", "copy", "-f", "mpegts",
        "{file}"])


def streamlink(directory: Path, origin: load.Origin) -> Tools:
    """As people write it: to standard output, and FFmpeg behind it."""
    program = Path(sys.executable).with_name("streamlink")
    pipe = ('"$0" --quiet --stdout "$1" best | '
            'ffmpeg -nostdin -v error -y -i pipe:0 -c copy -f mpegts "$2"')
    return Tools(directory, origin, ["bash", "-c", pipe, str(program), "{url}", "{file}"])


def curl(directory: Path, origin: load.Origin) -> Tools:
    """One request for the playlist and one for the next segment, every two seconds, without a
    look at what the playlist says: less cannot be done with a process each time."""
    loop = ('n=$(curl -s "$0/live.m3u8" | sed -n "\\$s/.ts//p")\n'
            'while curl -sf "$0/live.m3u8" -o /dev/null "$0/$n.ts" -o - >> "$1"; do\n'
            'n=$((n + 1)); sleep 2; done')
    return Tools(directory, origin, ["bash", "-c", loop, "{base}", "{file}"], signal.SIGTERM)


def names(given: bytes) -> Served:
    return {int(stream): numbers for stream, numbers in json.loads(given).items()}
