"""The REST API as the reference promises it: shapes, keys, filters, verbs and refusals."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.models import Recording, RecordingStatus, Sums
from brlib.store import open_store

from .daemon import Daemon, run_command
from .media import stream_kinds, ts_clips, video_frames
from .origin import Origin

NONE = type(None)
CHANNEL: dict[str, Any] = {
    "id": str, "platform": str, "name": str, "enabled": bool, "quality": str, "status": str,
    "display_name": str, "url": str, "title": (str, NONE), "category": (str, NONE),
    "viewers": (int, NONE), "live_since": (str, NONE), "recording_id": (str, NONE),
    "status_reason": (str, NONE), "last_checked_at": (str, NONE), "last_error": (str, NONE),
    "created_at": str, "priority": int, "paused": bool, "schedule": NONE, "filters": NONE,
    "quota_bytes": NONE, "retention": NONE, "processing": NONE,
    "filename_template": (str, NONE), "output_directory": (str, NONE)}
RECORDING: dict[str, Any] = {
    "id": str, "channel_id": str, "channel_name": str, "platform": str, "title": str,
    "status": str, "started_at": str, "duration": int, "file_size": int,
    "file_path": (str, NONE), "category": (str, NONE), "quality": str, "broadcast_id": (str, NONE),
    "ended_at": (str, NONE), "end_reason": (str, NONE), "segments": int,
    "completeness": (float, int), "gaps": int, "parts": int, "error": (str, NONE),
    "activity": (str, NONE)}
ACTIVE: dict[str, Any] = {
    "id": str, "channel_name": str, "platform": str, "title": str, "started_at": str,
    "duration": int, "segments": int, "quality": str, "activity": str, "bytes": int,
    "bitrate": int, "completeness": (float, int)}
GAP: dict[str, Any] = {
    "started_at": str, "duration": (float, int), "segments": int, "cause": str}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NOON = datetime(2026, 2, 2, 12, tzinfo=UTC)
CHANNEL_IDS = ("ch_aaaaaaaaaaaa", "ch_bbbbbbbbbbbb")


def fits(subject: dict[str, Any], table: dict[str, Any]) -> None:
    """Every key of the table is there with its type, and times look as they shall."""
    assert table.keys() <= subject.keys()
    for key, kind in table.items():
        value = subject[key]
        assert isinstance(value, kind), (key, value)
        assert kind is bool or not (isinstance(value, bool) and kind is int), (key, value)
        if value is not None and key.endswith(("_at", "live_since")):
            assert TIME.fullmatch(value), (key, value)


def refused(
    answer: tuple[int, Any, dict[str, str]], status: int, code: str, *fields: str
) -> str:
    """The message of an error, once its shape, status, code and fields are as expected."""
    assert answer[0] == status, answer
    assert list(answer[1]) == ["error"], answer
    error = answer[1]["error"]
    assert set(error) == ({"code", "message", "details"} if fields else {"code", "message"})
    assert error["code"] == code and error["message"]
    assert answer[2]["Content-Type"] == "application/json"
    for detail in error.get("details", []):
        assert set(detail) == {"field", "message"} and detail["message"]
    assert sorted(d["field"] for d in error.get("details", [])) == sorted(fields)
    return str(error["message"])


def seed(number: int) -> Recording:
    """A finished recording of long ago: number 0 is the oldest; 3 and 4 began together."""
    return Recording(
        id=f"rec_{number:012d}", channel_id=CHANNEL_IDS[number % 2], channel_name="shroud",
        platform="twitch" if number % 3 else "url", title=f"Title {number}",
        status=RecordingStatus.FAILED if number == 5 else RecordingStatus.COMPLETE,
        started_at=NOON + timedelta(days=3 if number == 4 else number, microseconds=500_000),
        sums=Sums(segments=number, captured_s=10.4))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that keeps captures, with six recordings of long ago."""
    one = Daemon(tmp_path_factory.mktemp("api"), capture_after="keep")
    store = open_store(one.directory / "data" / "battles-record.sqlite3")
    for number in range(6):
        store.recordings.add(seed(number))
    store.close()
    one.start()
    yield one
    one.close()


def add(daemon: Daemon, name: str, **options: Any) -> dict[str, Any]:
    status, channel, _ = daemon.call(
        "POST", "/api/channels", {"platform": "url", "name": name, **options})
    assert status == 201, channel
    fits(channel, CHANNEL)
    return dict(channel)


def remove(daemon: Daemon, channel: dict[str, Any]) -> None:
    assert daemon.call("DELETE", f"/api/channels/{channel['id']}")[:2] == (204, None)


# Keys.


def test_keys(daemon: Daemon) -> None:
    config = ("--config", str(daemon.config))
    reader = run_command("api-key", "create", "reader", "--read", *config).stdout.strip()
    assert re.fullmatch(r"br_[A-Za-z0-9]{40}", reader)
    assert daemon.call("GET", "/api/channels", key=reader)[0] == 200
    for method, path in (("POST", "/api/channels"), ("PATCH", "/api/channels/x"),
                         ("DELETE", "/api/recordings/x"), ("POST", "/api/channels/x/check"),
                         ("POST", "/api/recordings/x/stop")):
        refused(daemon.call(method, path, {}, key=reader), 403, "FORBIDDEN")
    listed = run_command("api-key", "list", *config).stdout
    assert reader not in listed
    number = next(row.split("\t")[0] for row in listed.splitlines() if row.endswith("reader"))
    assert run_command("api-key", "revoke", number, *config).returncode == 0
    for key in (reader, "br_" + "x" * 40, "x", "br_", None):
        for path in ("/api/channels", "/api/nothing", "/api/health", "/"):
            answer = daemon.call("GET", path, key=key)
            refused(answer, 401, "UNAUTHORIZED")
            assert answer[2]["WWW-Authenticate"] == "Bearer"


# Channels.


def test_life_of_a_channel(daemon: Daemon) -> None:
    before = daemon.get("/api/channels")
    channel = add(daemon, "http://127.0.0.1:9/Live.m3u8", quality="best", enabled=False)
    path = f"/api/channels/{channel['id']}"
    assert re.fullmatch(r"ch_[a-z0-9]{12}", channel["id"])
    assert (channel["status"], channel["quality"]) == ("disabled", "source")
    assert (channel["enabled"], channel["paused"]) == (False, False)
    assert daemon.get(path) == channel
    assert daemon.get("/api/channels") == {"channels": [*before["channels"], channel]}
    changes = {"quality": "1080p60", "priority": 7, "display_name": "Me", "paused": True,
               "filename_template": "{channel}/{id}"}
    status, changed, _ = daemon.call("PATCH", path, changes)
    assert (status, changed) == (200, {**channel, **changes})
    status, changed, _ = daemon.call("PATCH", path, {"enabled": True, "filename_template": None})
    assert (status, changed["status"], changed["filename_template"]) == (200, "paused", None)
    assert daemon.call("PATCH", path, {})[:2] == (200, changed)
    refused(daemon.call("POST", f"{path}/stop-recording"), 409, "CONFLICT")
    remove(daemon, channel)
    for answer in (daemon.call("GET", path), daemon.call("PATCH", path, {}),
                   daemon.call("DELETE", path), daemon.call("POST", f"{path}/check"),
                   daemon.call("POST", f"{path}/stop-recording")):
        message = refused(answer, 404, "CHANNEL_NOT_FOUND")
        assert message == f"Channel with ID {channel['id']} does not exist"
    assert daemon.get("/api/channels") == before


def test_a_channel_is_watched_once(daemon: Daemon) -> None:
    body = {"platform": "url", "name": "http://twice.invalid/a", "enabled": False}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: daemon.call("POST", "/api/channels", body), range(4)))
    assert sorted(answer[0] for answer in answers) == [201, 409, 409, 409]
    refused(daemon.call("POST", "/api/channels", {**body, "name": "http://TWICE.invalid/a"}),
            409, "CONFLICT")
    refused(next(answer for answer in answers if answer[0] == 409), 409, "CONFLICT")
    remove(daemon, next(answer[1] for answer in answers if answer[0] == 201))


def test_check_of_what_is_offline_or_not_wanted(daemon: Daemon) -> None:
    with Origin() as origin:
        away = add(daemon, f"{origin.base_url}/nothing.m3u8")
        origin.add(ts_clips(1)[0])
        unwanted = add(daemon, origin.url, enabled=False)
        for channel, live, status in ((away, False, "offline"), (unwanted, True, "disabled")):
            code, body, _ = daemon.call("POST", f"/api/channels/{channel['id']}/check")
            assert (code, body) == (200, {
                "id": channel["id"], "live": live, "status": status, "title": None,
                "category": None, "viewers": None, "recording_id": None})
            fits(daemon.get(f"/api/channels/{channel['id']}"), {**CHANNEL, "last_checked_at": str})
        remove(daemon, away)
        remove(daemon, unwanted)


# The list of recordings.


@pytest.mark.parametrize(("query", "expected"), [
    ("", "543210"), (f"channel={CHANNEL_IDS[0]}", "420"), ("channel=ch_cccccccccccc", ""),
    ("platform=twitch", "5421"), ("platform=url", "30"), ("status=failed", "5"),
    ("status=recording", ""), ("platform=twitch&status=complete", "421"),
    ("from=2026-02-05", "543"), ("to=2026-02-03", "10"), ("to=2026-02-03T12:00:00Z", "10"),
    ("from=2026-02-03T12:00:00Z&to=2026-02-03T12:00:00Z", "1"), ("to=20260203", "10"),
    ("from=2026-02-03T12:00:01Z&to=2026-02-05T11:59:59Z", "2"),
    ("from=2026-02-07T13:00:00%2B01:00", "5"), ("from=2026-02-07T13:00:01+01:00", ""),
    ("status=&from=&limit=", "543210"),
])
def test_filters(daemon: Daemon, query: str, expected: str) -> None:
    body = daemon.get(f"/api/recordings?{query}")
    assert list(body) == ["recordings", "total", "limit", "offset"]
    ids = {f"rec_{number:012d}": str(number) for number in range(6)}
    assert [ids[r["id"]] for r in body["recordings"] if r["id"] in ids] == list(expected)
    assert (body["total"], body["limit"], body["offset"]) == (len(expected), 50, 0)


def test_pages(daemon: Daemon) -> None:
    whole = daemon.get("/api/recordings?limit=500")["recordings"]
    for limit in (1, 2, 4):
        pages = [daemon.get(f"/api/recordings?limit={limit}&offset={offset}")
                 for offset in range(0, 8, limit)]
        assert [r for page in pages for r in page["recordings"]] == whole
        assert {(page["total"], page["limit"]) for page in pages} == {(6, limit)}
    assert whole[0]["duration"] == 10 and whole[0]["started_at"] == "2026-02-07T12:00:00Z"
    for recording in whole:
        fits(recording, RECORDING)
        assert daemon.get(f"/api/recordings/{recording['id']}") == recording


@pytest.mark.parametrize("query", [
    "channel=shroud", "channel=ch_", "platform=vimeo", "status=done", "from=yesterday",
    "from=2026-02-30", "to=2026-02-02T25:00", "to=1", "limit=0", "limit=501", "limit=-1",
    "limit=1.5", "limit=ten", "limit=%D9%A3", "offset=-1", "offset=x",
    "offset=99999999999999999999", "page=2",
])
def test_bad_filters(daemon: Daemon, query: str) -> None:
    refused(daemon.call("GET", f"/api/recordings?{query}"), 400, "VALIDATION_ERROR",
            query.partition("=")[0])


def test_all_problems_come_at_once(daemon: Daemon) -> None:
    refused(daemon.call("GET", "/api/recordings?limit=0&from=x&y=1"), 400, "VALIDATION_ERROR",
            "limit", "from", "y")
    refused(daemon.call("POST", "/api/channels", {"quality": "4k", "nmae": 1}), 400,
            "VALIDATION_ERROR", "platform", "name", "quality", "nmae")


def test_verbs_need_a_recording_that_fits(daemon: Daemon) -> None:
    unknown, over = "/api/recordings/rec_zzzzzzzzzzzz", "/api/recordings/rec_000000000000"
    for method, verb in (("GET", ""), ("DELETE", ""), ("GET", "/gaps"), ("GET", "/chapters"),
                         ("POST", "/stop"),
                         ("POST", "/pause"), ("POST", "/resume"), ("POST", "/reprocess")):
        message = refused(daemon.call(method, unknown + verb), 404, "RECORDING_NOT_FOUND")
        assert message == "Recording with ID rec_zzzzzzzzzzzz does not exist"
    for verb in ("stop", "pause", "resume", "reprocess"):  # neither capture nor file: 409, too
        refused(daemon.call("POST", f"{over}/{verb}"), 409, "CONFLICT")
    refused(daemon.call("DELETE", f"{over}?delete_file=yes"), 400, "VALIDATION_ERROR",
            "delete_file")
    assert daemon.get(over)["status"] == "complete"
    assert daemon.get(f"{over}/gaps") == {"gaps": []}
    assert isinstance(daemon.get(f"{over}/chapters")["chapters"], list)


# Recordings that are made.


def recording_of(daemon: Daemon, channel: dict[str, Any]) -> str:
    """The recording that runs now, by the channel's own word."""
    body = daemon.wait(f"/api/channels/{channel['id']}", lambda c: c["recording_id"])
    return str(body["recording_id"])


def complete(daemon: Daemon, recording_id: str) -> dict[str, Any]:
    found = daemon.wait(f"/api/recordings/{recording_id}",
                        lambda r: r["status"] in ("complete", "failed"))
    assert found["status"] == "complete", found["error"]
    fits(found, {**RECORDING, "file_path": str, "ended_at": str, "end_reason": str})
    return dict(found)


def test_pause_resume_and_both_stops(daemon: Daemon) -> None:
    clips = ts_clips(60)
    with Origin() as origin:
        origin.add(clips[0])
        one, two = add(daemon, origin.url), add(daemon, f"{origin.base_url}/360p/live.m3u8")
        origin.play(clips[1:], every_s=0.25)
        code, checked, _ = daemon.call("POST", f"/api/channels/{one['id']}/check")
        assert (code, checked["live"], checked["status"]) == (200, True, "recording")
        first, second = recording_of(daemon, one), recording_of(daemon, two)
        assert checked["recording_id"] == first
        active = daemon.wait("/api/recordings/active", lambda b: len(b["active"]) == 2 and all(
            a["segments"] > 2 and a["bitrate"] > 0 for a in b["active"]))["active"]
        assert {a["id"]: a["activity"] for a in active} == dict.fromkeys(
            (first, second), "capturing")
        for row in active:
            fits(row, ACTIVE)
        path = f"/api/recordings/{first}"
        refused(daemon.call("DELETE", path), 409, "CONFLICT")
        refused(daemon.call("POST", f"{path}/resume"), 409, "CONFLICT")
        refused(daemon.call("POST", f"{path}/reprocess"), 409, "CONFLICT")
        refused(daemon.call("DELETE", f"/api/channels/{one['id']}"), 409, "CONFLICT")
        code, body, _ = daemon.call("POST", f"{path}/pause")
        assert (code, body["status"], body["activity"]) == (200, "paused", "paused")
        refused(daemon.call("POST", f"{path}/pause"), 409, "CONFLICT")
        refused(daemon.call("DELETE", path), 409, "CONFLICT")
        assert daemon.get("/api/recordings?status=paused")["total"] == 1
        offered = len(origin.offered)
        daemon.wait("/api/health", lambda _: len(origin.offered) > offered + 5)
        code, body, _ = daemon.call("POST", f"{path}/resume")
        assert (code, body["status"]) == (200, "recording")
        gaps = daemon.wait(f"{path}/gaps", lambda b: b["gaps"])["gaps"]
        assert [gap["cause"] for gap in gaps] == ["paused"]
        fits(gaps[0], GAP)
        code, body, _ = daemon.call("POST", f"{path}/stop")
        assert (code, body["id"], body["end_reason"]) == (202, first, "stopped")
        code, body, _ = daemon.call("POST", f"/api/channels/{two['id']}/stop-recording")
        assert (code, body["status"], body["paused"]) == (202, "paused", True)
        refused(daemon.call("POST", f"/api/channels/{two['id']}/stop-recording"), 409, "CONFLICT")
        refused(daemon.call("POST", f"{path}/stop"), 409, "CONFLICT")
        code, body, _ = daemon.call("POST", f"/api/channels/{one['id']}/check")
        assert (code, body["status"], body["live"]) == (200, "live", True)
        assert daemon.get(f"/api/channels/{one['id']}")["status_reason"] == "stopped"
        remove(daemon, one)
        remove(daemon, two)
    done = complete(daemon, first)
    assert (done["gaps"], done["activity"]) == (1, None) and 0 < done["completeness"] < 1
    assert daemon.get(f"{path}/gaps")["gaps"] == gaps
    assert complete(daemon, second)["gaps"] == 0
    for recording_id in (first, second):
        file = Path(daemon.get(f"/api/recordings/{recording_id}")["file_path"])
        assert daemon.call("DELETE", f"/api/recordings/{recording_id}")[:2] == (204, None)
        refused(daemon.call("GET", f"/api/recordings/{recording_id}"), 404, "RECORDING_NOT_FOUND")
        assert not file.exists() and not (captures(daemon) / recording_id).exists()


def captures(daemon: Daemon) -> Path:
    return daemon.directory / "data" / "captures"


def test_reprocess_and_keeping_the_file(daemon: Daemon) -> None:
    clips = ts_clips(4)
    with Origin() as origin:
        for clip in clips:
            origin.add(clip)
        origin_channel = add(daemon, origin.url, display_name="../../x")
        recording_id = recording_of(daemon, origin_channel)
        origin.end()
        done = complete(daemon, recording_id)
        remove(daemon, origin_channel)
    path, file = f"/api/recordings/{recording_id}", Path(done["file_path"])
    assert file.is_relative_to(daemon.directory / "recordings")
    assert done["file_size"] == file.stat().st_size and done["segments"] == 4
    kinds, frames = stream_kinds(file), sum(clip.frames for clip in clips)
    for gone in (None, file, captures(daemon) / recording_id):  # from the capture, then the file
        if gone is not None and gone.is_dir():
            shutil.rmtree(gone)
        elif gone is not None:
            gone.unlink()
        code, body, _ = daemon.call("POST", f"{path}/reprocess")
        assert (code, body["id"], body["status"]) == (202, recording_id, "processing")
        again = complete(daemon, recording_id)
        assert (again["file_path"], again["segments"]) == (str(file), 4)
        assert stream_kinds(file) == kinds and video_frames(file) == frames
    away = file.rename(file.with_suffix(".away"))
    refused(daemon.call("POST", f"{path}/reprocess"), 409, "CONFLICT")
    away.rename(file)
    assert daemon.call("DELETE", f"{path}?delete_file=false")[:2] == (204, None)
    refused(daemon.call("GET", path), 404, "RECORDING_NOT_FOUND")
    assert video_frames(file) == frames


# Health.


def test_health(daemon: Daemon) -> None:
    health = daemon.get("/api/health")
    assert health["status"] == "healthy" and set(health) == {"status", "version", "uptime"}
    fits(health, {"status": str, "version": str, "uptime": int})
    assert 0 <= health["uptime"] < 300


def test_health_in_public_without_ffmpeg(tmp_path: Path) -> None:
    sick = Daemon(tmp_path, public_health="yes", ffmpeg_path="/nowhere/ffmpeg").start()
    try:
        for key in ("", None, "br_wrong"):
            status, health, _ = sick.call("GET", "/api/health", key=key)
            assert (status, health["status"]) == (200, "degraded")
            # What exactly is wrong is not for strangers: it names paths.
            assert "/nowhere" not in str(health) and health["problems"]
        refused(sick.call("GET", "/api/channels", key=None), 401, "UNAUTHORIZED")
    finally:
        sick.close()


def test_health_when_nothing_can_be_recorded(tmp_path: Path) -> None:
    full = Daemon(tmp_path, min_free_space="900000T").start()
    try:
        status, health, _ = full.call("GET", "/api/health")
    finally:
        full.close()
    assert (status, health["status"], health["error"]["code"]) == (503, "degraded", "UNAVAILABLE")
    assert any("min_free_space" in problem for problem in health["problems"])
