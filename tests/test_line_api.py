"""A channel of a higher priority takes a slot, by a real daemon."""

from __future__ import annotations

from pathlib import Path

from .daemon import Daemon
from .media import ts_clips
from .origin import Origin
from .test_api import refused


def test_a_higher_priority_preempts_and_gives_back(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, max_concurrent_recordings=1, preempt="yes")
    daemon.start()
    try:
        with Origin() as low, Origin() as high:
            paths = []
            for origin, priority in ((low, 0), (high, 5)):
                for clip in ts_clips(4):
                    origin.add(clip)
                made = daemon.call("POST", "/api/channels", {
                    "platform": "url", "name": origin.url, "priority": priority})[1]
                paths.append(f"/api/channels/{made['id']}")
                daemon.wait(paths[-1], lambda one: one["status"] == "recording")
            daemon.wait(paths[0], lambda one: (
                one["status"], one["status_reason"]) == ("live", "concurrency"))
            first = daemon.wait("/api/recordings", lambda page: any(
                one["status"] == "complete" for one in page["recordings"]))["recordings"][-1]
            assert (first["end_reason"], first["completeness"]) == ("preempted", 1)
            assert first["segments"] == 4
            daemon.call("POST", f"{paths[1]}/stop-recording")
            daemon.wait(paths[0], lambda one: one["status"] == "recording")
            refused(daemon.call("PATCH", "/api/settings", {"preempt": "maybe"}), 400,
                    "VALIDATION_ERROR", "preempt")
    finally:
        daemon.close()
