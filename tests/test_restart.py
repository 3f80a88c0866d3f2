"""SIGTERM and kill -9 in mid-recording: the next start goes on with the same recording."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from .compare import assert_same, captured
from .daemon import Daemon
from .media import ts_clips
from .origin import Origin

# More than is needed, where a start takes its time.
CLIPS = 120


def active_with(count: int, segments: int) -> Callable[[Any], bool]:
    return lambda body: len(body["active"]) == count and all(
        a["segments"] >= segments for a in body["active"])


def ids_by_name(body: Any) -> dict[str, str]:
    return {a["channel_name"]: a["id"] for a in body["active"]}


def test_goes_on_with_the_same_recordings(daemon: Callable[..., Daemon]) -> None:
    """Once after SIGTERM and once after kill -9, three broadcasts at the same time."""
    one = daemon(capture_after="keep")
    with ExitStack() as stack:
        origins = {
            "wide": stack.enter_context(Origin(window=CLIPS)),
            "narrow": stack.enter_context(Origin(window=7)),
            "dates": stack.enter_context(Origin(window=7, program_dates=True)),
        }
        for name, origin in origins.items():
            origin.add(ts_clips(CLIPS)[0])
            one.call("POST", "/api/channels",
                     {"platform": "url", "name": origin.url, "display_name": name})
        over = threading.Event()
        plays = [o.play(takewhile(lambda _: not over.is_set(), ts_clips(CLIPS)[1:]), every_s=0.3)
                 for o in origins.values()]
        before = ids_by_name(one.wait("/api/recordings/active", active_with(3, 6)))
        assert one.terminate() == 0
        assert not any("SIGKILL" in line for line in one.log)
        start_later(one, origins)
        assert ids_by_name(wait_for_more(one)) == before
        one.kill()
        start_later(one, origins)
        wait_for_more(one)
        over.set()
        for play in plays:
            play.wait(30)
        body = one.wait("/api/recordings?status=complete", lambda b: b["total"] == 3)
        check_wide(one, before["wide"], origins["wide"])
        for name in ("narrow", "dates"):
            check_narrow(one, before[name], origins[name])
    assert {r["id"] for r in body["recordings"]} == set(before.values())


def start_later(one: Daemon, origins: dict[str, Origin]) -> None:
    """Start again once segments have left the narrow windows."""
    goals = {name: len(origin.offered) + 8 for name, origin in origins.items()}
    pause, deadline_s = threading.Event(), time.monotonic() + 20
    while any(len(origins[name].offered) < goal for name, goal in goals.items()):
        assert time.monotonic() < deadline_s, "the broadcast is too short for this test"
        pause.wait(0.05)
    one.start()


def wait_for_more(one: Daemon) -> Any:
    """Each of the three takes segments in again."""
    held = one.wait("/api/recordings/active", active_with(3, 6))["active"]
    goals = {recording["id"]: recording["segments"] + 3 for recording in held}
    return one.wait("/api/recordings/active", lambda body: all(
        recording["segments"] >= goals[recording["id"]] for recording in body["active"]))


def recording_of(one: Daemon, recording_id: str) -> Any:
    return one.get(f"/api/recordings/{recording_id}")


def check_wide(one: Daemon, recording_id: str, origin: Origin) -> None:
    """All was still offered after the restart: nothing is missing."""
    directory = one.directory / "data" / "captures" / recording_id
    assert_same(directory, origin.offered)
    recording = recording_of(one, recording_id)
    assert recording["completeness"] == 1.0
    assert recording["gaps"] == 0


def check_narrow(one: Daemon, recording_id: str, origin: Origin) -> None:
    """What left the window meanwhile, and only that, is one gap of the right length."""
    directory = one.directory / "data" / "captures" / recording_id
    bodies = [body for _, body in captured(directory)]
    assert len(bodies) == len(set(bodies))
    got = [o for o in origin.offered if o.body in set(bodies)]
    stretches = missing_stretches([o in got for o in origin.offered])
    assert len(stretches) == 2, "each time the daemon was down something left the window"
    assert_same(directory, got)
    gaps = one.get(f"/api/recordings/{recording_id}/gaps")["gaps"]
    assert [g["cause"] for g in gaps] == ["daemon_down", "daemon_down"]
    assert [g["segments"] for g in gaps] == stretches
    assert [g["duration"] for g in gaps] == pytest.approx([0.5 * n for n in stretches], abs=0.05)
    recording = recording_of(one, recording_id)
    expected = len(got) / len(origin.offered)
    assert recording["completeness"] == pytest.approx(expected, abs=0.002)


def missing_stretches(there: list[bool]) -> list[int]:
    """Lengths of the runs of False."""
    runs = "".join("x" if one else " " for one in there).split("x")
    return [len(run) for run in runs if run]


def test_a_recording_whose_broadcast_ended_meanwhile_is_finished(
    daemon: Callable[..., Daemon]
) -> None:
    one = daemon(capture_after="keep")
    with Origin(window=CLIPS) as origin:
        origin.add(ts_clips(12)[0])
        one.call("POST", "/api/channels", {"platform": "url", "name": origin.url})
        play = origin.play(ts_clips(12)[1:], every_s=0.3)
        one.wait("/api/recordings/active", active_with(1, 4))
        one.kill()
        play.wait(30)
        one.start()
        body = one.wait("/api/recordings?status=complete", lambda b: b["total"] == 1)
        (recording,) = body["recordings"]
        directory = one.directory / "data" / "captures" / recording["id"]
        assert_same(directory, origin.offered)


def test_killed_while_processing_is_finished_by_the_next_start(
    daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nsleep 30 < /dev/null\n")
    slow.chmod(0o755)
    (tmp_path / "ffprobe").symlink_to("/usr/bin/ffprobe")
    one = daemon(ffmpeg_path=slow)
    with Origin() as origin:
        origin.add(ts_clips(6)[0])
        one.call("POST", "/api/channels", {"platform": "url", "name": origin.url})
        origin.play(ts_clips(6)[1:], every_s=0.2).wait(20)
        one.wait("/api/recordings?status=processing", lambda b: b["total"] == 1)
        one.kill()
        del one.environ["BR_FFMPEG_PATH"]
        one.start()
        body = one.wait("/api/recordings?status=complete", lambda b: b["total"] == 1)
        (recording,) = body["recordings"]
        frames = sum(o.frames for o in origin.offered)
    from .media import video_frames
    assert video_frames(Path(recording["file_path"])) == frames
    path = Path(recording["file_path"])
    assert {p.name for p in path.parent.iterdir()} == {
        path.name, path.with_suffix(".json").name}, "temporary files are left"


def test_sigterm_with_a_hanging_origin_leaves_at_once(daemon: Callable[..., Daemon]) -> None:
    """A download that hangs in its socket must not hold up the exit."""
    from .faults import Hang

    one = daemon()
    with Origin() as origin:
        for clip in ts_clips(6):
            origin.add(clip)
        origin.faults.append(Hang(lambda num: num >= 4, tries=99, seconds=60))
        one.call("POST", "/api/channels", {"platform": "url", "name": origin.url})
        one.wait("/api/recordings/active", active_with(1, 4))
        # Below what a hanging socket alone would take (its 6 s of silence).
        assert one.terminate(timeout_s=5.5) == 0


def test_sighup_and_its_like_change_nothing(daemon: Callable[..., Daemon]) -> None:
    """gunicorn would start a second worker, which means a second recorder."""
    import os

    one = daemon()
    worker = one.worker_pid
    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGUSR2, signal.SIGWINCH):
        os.kill(one.pid, number)
        os.kill(worker, number)
    assert one.get("/api/health")["status"] == "healthy"
    assert one.worker_pid == worker
    assert one.terminate() == 0
