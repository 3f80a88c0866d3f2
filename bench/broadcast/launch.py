"""The origin as a child: started, asked for its addresses, told to end, ended with the table."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.base import ROOT

START_MAX_S = 30.0
STOP_MAX_S = 5.0


@dataclass(frozen=True)
class Last:
    """When a stream's last segment was answered (monotonic), and how many it had."""

    stream: int
    last_s: float
    count: int


class Origin:
    """Use it as a context manager."""

    def __init__(self, template: Path, *, streams: int = 1, count: int | None = None,
                 pace: float = 1.0, window: int = 10, tail: int = 0) -> None:
        length = [] if count is None else ["--count", str(count)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.broadcast.origin", str(template),
             "--streams", str(streams), "--pace", str(pace), "--window", str(window),
             "--tail", str(tail), *length],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._port = 0

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(json.loads(line))

    def __enter__(self) -> Self:
        try:
            self._port = self._said.get(timeout=START_MAX_S)["port"]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def url(self, stream: int = 0) -> str:
        return f"http://127.0.0.1:{self._port}/{stream}/live.m3u8"

    def end(self) -> None:
        """Every stream ends with what it lists by now."""
        assert self._process.stdin is not None
        self._process.stdin.write("end\n")
        self._process.stdin.flush()

    def last(self, deadline_s: float) -> Last:
        """The next stream whose last segment was answered, by a monotonic moment. Raises
        TimeoutError."""
        try:
            return Last(**self._said.get(timeout=max(0.0, deadline_s - time.monotonic())))
        except queue.Empty:
            raise TimeoutError("the last segment was not fetched in time") from None

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_MAX_S)
        self._reader.join(STOP_MAX_S)
        self._process.stdout.close()
