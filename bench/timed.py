"""The daemon with clocks in it: the CPU time of its threads and of a capture's functions.

Started by `bench.where` in place of `battles_record.py`; twice a second it writes what was
counted so far to the file that BENCH_TIMES names. A function's time is that of its own thread,
with all that it calls and without what it waits for; a clock costs it a microsecond.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import requests
from streamlink.stream.hls import hls
from urllib3.connectionpool import HTTPConnectionPool

import battles_record
from brlib import ledger
from brlib.capture import capture, download
from brlib.capture.capture import Capture
from brlib.capture.segments import WorkerMixin, WriterMixin
from brlib.ledger import Ledger
from brlib.platforms.heads import _Answer
from brlib.recorder.active import ActiveRecording
from brlib.service.service import Service

TIMES = "BENCH_TIMES"
EVERY_S = 0.5

# What is told, and what that is in the code; what is further in is part of what stands before.
STEPS: tuple[tuple[str, Any, str], ...] = (
    ("the playlist: all", WorkerMixin, "reload"),
    ("the playlist: request", hls.HLSStreamWorker, "_fetch_playlist"),
    ("the playlist: parsed", hls, "parse_m3u8"),
    ("the playlist: judged, queued", WorkerMixin, "process_segments"),
    ("the segment: all", WriterMixin, "_fetch_safely"),
    ("the segment: body received", download, "_read"),
    ("both: requests", requests.Session, "send"),
    ("both: urllib3 in it", HTTPConnectionPool, "urlopen"),
    ("both: the answers' heads in it", _Answer, "begin"),
    ("the commit: all", Capture, "commit"),
    ("the commit: digest", capture, "digest_of"),
    ("the commit: media and line", Ledger, "append_segment"),
    ("the commit: write(2) in it", ledger, "_write_all"),
    ("the commit: sync", Ledger, "sync"),
    ("the recording's own thread", ActiveRecording, "step"),
)


class Clock:
    def __init__(self) -> None:
        self.calls, self.cpu_s = 0, 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            begun_s = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self.cpu_s += time.thread_time() - begun_s
                self.calls += 1
        return timed


def install(path: Path) -> None:
    clocks = {}
    for words, owner, name in STEPS:
        clocks[words] = Clock()
        setattr(owner, name, clocks[words].around(getattr(owner, name)))

    def tell() -> None:
        while True:
            threads = {str(one.native_id): one.name for one in threading.enumerate()}
            steps = {words: (clock.calls, clock.cpu_s) for words, clock in clocks.items()}
            fresh = path.with_suffix(".fresh")
            fresh.write_text(json.dumps(
                {"pid": os.getpid(), "threads": threads, "steps": steps}))
            fresh.replace(path)
            time.sleep(EVERY_S)

    start = Service.start

    def started(service: Service, *args: Any, **options: Any) -> None:
        # In the worker: a thread of the master would not be in it.
        threading.Thread(target=tell, name="clocks", daemon=True).start()
        start(service, *args, **options)

    setattr(Service, "start", started)


if __name__ == "__main__":
    install(Path(os.environ[TIMES]))
    sys.exit(battles_record.main())
