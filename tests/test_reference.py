"""The reference's own examples, word for word: our answers have their keys with their types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from brlib.models import Recording, RecordingStatus, Sums
from brlib.store import open_store

from .daemon import Daemon
from .media import ts_clips
from .origin import Origin

PASSWORD = "yourpassword"
TOKEN = '{"token": "eyJhbGciOiJIUzI1NiIs...", "expires_at": "2026-02-04T14:30:00Z"}'
CHANNELS = """{"channels": [{"id": "ch_abc123", "platform": "twitch", "name": "shroud",
    "enabled": true, "quality": "source", "status": "offline"}]}"""
RECORDINGS = """{"recordings": [{"id": "rec_xyz789", "channel_id": "ch_abc123",
    "channel_name": "shroud", "platform": "twitch", "title": "Valorant Ranked",
    "status": "complete", "started_at": "2026-02-02T14:30:00Z", "duration": 10800,
    "file_size": 5368709120, "file_path": "/recordings/shroud/2026-02-02_Valorant Ranked.mp4"}],
    "total": 150, "limit": 50, "offset": 0}"""
ACTIVE = """{"active": [{"id": "rec_active123", "channel_name": "shroud", "platform": "twitch",
    "title": "Valorant Ranked", "started_at": "2026-02-02T14:30:00Z", "duration": 3600,
    "segments": 720, "quality": "1080p60"}]}"""
STORAGE = """{"total_used": 107374182400, "total_available": 536870912000,
    "quota": 214748364800, "quota_used_percent": 50,
    "by_channel": {"ch_abc123": 53687091200}}"""
HEALTH = '{"status": "healthy", "version": "1.0.0", "uptime": 86400}'
ERROR = """{"error": {"code": "CHANNEL_NOT_FOUND",
    "message": "Channel with ID ch_invalid does not exist"}}"""


def differences(example: Any, answer: Any, place: str = "") -> list[str]:
    """Where an answer lacks what an example has, or has it with another type. Objects whose
    keys are ids are compared by their values."""
    if type(example) is not type(answer):
        return [f"{place}: {answer!r} instead of {example!r}"]
    if isinstance(example, list):
        return [] if not example else [
            d for item in answer for d in differences(example[0], item, place + "[]")] or (
                [] if answer else [f"{place}: nothing in it"])
    if not isinstance(example, dict):
        return []
    if all(key.startswith("ch_") for key in example):
        example = dict.fromkeys(answer, next(iter(example.values())))
        return [f"{place}: nothing in it"] if not answer else [
            d for key in answer for d in differences(example[key], answer[key], place + "." + key)]
    return [f"{place}.{key} is missing" for key in example if key not in answer] + [
        d for key, value in example.items() if key in answer
        for d in differences(value, answer[key], f"{place}.{key}")]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With a channel that is being recorded, and a recording of long ago."""
    with Origin() as origin:
        one = Daemon(tmp_path_factory.mktemp("reference"), quota="200G", admin_username="admin",
                     admin_password=PASSWORD)
        origin.add(ts_clips(1)[0])
        store = open_store(one.directory / "data" / "battles-record.sqlite3")
        old = Recording(
            id="rec_xyz789xyz789", channel_id="ch_abc123abc123", channel_name="shroud",
            platform="twitch", title="Valorant Ranked", status=RecordingStatus.COMPLETE,
            started_at=datetime(2026, 2, 2, 14, 30, tzinfo=UTC), sums=Sums(5400, 1, 10800.0),
            files=("/recordings/shroud/2026-02-02_Valorant Ranked.mp4",),
            file_size_bytes=5368709120)
        store.recordings.add(old)
        store.recordings.add(replace(old, id="rec_xyz789xyz780", files=("/recordings/x.mp4",)))
        store.close()
        one.start()
        one.call("POST", "/api/channels", {"platform": "url", "name": origin.url})
        one.wait("/api/recordings/active", lambda body: body["active"])
        yield one
        one.close()


@pytest.mark.parametrize("path, example", [
    ("/api/channels", CHANNELS), ("/api/recordings?status=complete", RECORDINGS),
    ("/api/recordings/active", ACTIVE), ("/api/storage", STORAGE), ("/api/health", HEALTH),
])
def test_examples(daemon: Daemon, path: str, example: str) -> None:
    assert differences(json.loads(example), daemon.get(path)) == []


def test_one_recording_word_for_word(daemon: Daemon) -> None:
    (example,) = json.loads(RECORDINGS)["recordings"]
    answer = daemon.get("/api/recordings/rec_xyz789xyz789")
    same = {key: answer[key] for key in example if not key.endswith("id")}
    assert same == {key: value for key, value in example.items() if not key.endswith("id")}


def test_tokens(daemon: Daemon) -> None:
    status, body, _ = daemon.call("POST", "/api/auth/login", key=None, raw=json.dumps(
        {"username": "admin", "password": "yourpassword"}).encode(),
        headers={"Content-Type": "application/json"})
    assert (status, differences(json.loads(TOKEN), body)) == (200, [])
    status, body, _ = daemon.call("POST", "/api/auth/refresh", key=body["token"])
    assert (status, differences(json.loads(TOKEN), body)) == (200, [])


def test_bodies_and_errors(daemon: Daemon) -> None:
    status, channel, _ = daemon.call("POST", "/api/channels", {
        "platform": "url", "name": "http://127.0.0.1:9/shroud", "quality": "source",
        "enabled": True})
    assert status == 201
    path = f"/api/channels/{channel['id']}"
    status, changed, _ = daemon.call("PATCH", path, {"quality": "1080p60", "enabled": False})
    assert (status, changed["quality"], changed["enabled"]) == (200, "1080p60", False)
    assert daemon.call("DELETE", path)[:2] == (204, None)
    status, body, _ = daemon.call("GET", "/api/channels/ch_invalid")
    assert (status, body) == (404, json.loads(ERROR))


def test_settings_example(daemon: Daemon) -> None:
    new = daemon.directory / "new" / "path"
    new.mkdir(parents=True)
    status, body, _ = daemon.call("PATCH", "/api/settings", {
        "output_directory": str(new), "max_concurrent_recordings": 5})
    assert (status, body["output_directory"], body["max_concurrent_recordings"]) == (
        200, str(new), 5)
    assert body["restart_required"] == []


@pytest.mark.parametrize("example, answer, count", [
    ({"a": 1}, {"a": 2, "b": 3}, 0), ({"a": 1}, {"a": "2"}, 1), ({"a": 1}, {"b": 1}, 1),
    ({"a": [{"b": 1}]}, {"a": []}, 1), ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {}]}, 1),
    ({"x": {"ch_a": 1}}, {"x": {"ch_b": 2, "ch_c": "3"}}, 1), ({"a": True}, {"a": 1}, 1),
])
def test_the_comparison_itself(example: Any, answer: Any, count: int) -> None:
    assert len(differences(example, answer)) == count
