"""What is kept, through the API of a real daemon: protection, quotas, retention."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from brlib.models import Recording, RecordingStatus
from brlib.store import open_store

from .daemon import Daemon
from .media import ts_clips
from .origin import Origin
from .test_api import refused

SIZE = 1000


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("keeping"))
    one.start()
    yield one
    one.close()


@pytest.fixture
def channel(daemon: Daemon) -> Iterator[str]:
    """Its id. Recordings and settings are as before afterwards."""
    made = daemon.call("POST", "/api/channels", {
        "platform": "twitch", "name": "anna", "enabled": False})[1]
    yield made["id"]
    daemon.call("PATCH", "/api/settings", {
        "quota": None, "when_quota_reached": "block", "retention_days": None})
    for one in daemon.get("/api/recordings")["recordings"]:
        daemon.call("PATCH", f"/api/recordings/{one['id']}", {"protected": False})
        daemon.call("DELETE", f"/api/recordings/{one['id']}")
    daemon.call("DELETE", f"/api/channels/{made['id']}")


def add(daemon: Daemon, channel: str, *years: int) -> list[str]:
    """Recordings with a file each that ended in these years; their ids."""
    root = daemon.directory / "recordings"
    store = open_store(daemon.directory / "data" / "battles-record.sqlite3")
    for year in years:
        file, when = root / f"{year}.mp4", datetime(year, 1, 1, tzinfo=UTC)
        file.write_bytes(bytes(SIZE))
        store.recordings.add(Recording(
            id=f"rec_{year:012d}", channel_id=channel, channel_name="anna", platform="twitch",
            title="t", status=RecordingStatus.COMPLETE, started_at=when, ended_at=when,
            files=(str(file),), file_size_bytes=SIZE, output_directory=str(root)))
        store.recordings.note_capture(f"rec_{year:012d}", False)
    store.close()
    return [f"rec_{year:012d}" for year in years]


def listed(daemon: Daemon) -> list[str]:
    return [one["id"] for one in daemon.get("/api/recordings")["recordings"]]


def test_a_protected_one_is_not_deleted(daemon: Daemon, channel: str) -> None:
    (old,) = add(daemon, channel, 2020)
    path = f"/api/recordings/{old}"
    assert daemon.get(path)["protected"] is False
    status, body, _ = daemon.call("PATCH", path, {"protected": True})
    assert (status, body["protected"], daemon.get(path)["protected"]) == (200, True, True)
    for query in ("", "?delete_file=false"):
        refused(daemon.call("DELETE", path + query), 409, "CONFLICT")
    refused(daemon.call("PATCH", path, {"protected": "yes"}), 400, "VALIDATION_ERROR", "protected")
    refused(daemon.call("PATCH", path, {"title": "x"}), 400, "VALIDATION_ERROR", "title")
    refused(daemon.call("PATCH", "/api/recordings/rec_zzzzzzzzzzzz", {"protected": True}),
            404, "RECORDING_NOT_FOUND")
    daemon.call("PATCH", path, {"protected": False})
    assert daemon.call("DELETE", path)[0] == 204


@pytest.mark.parametrize("body, field", [
    ({"quota": "-1"}, "quota"), ({"quota": -1}, "quota"),
    ({"quota_warning_percent": 101}, "quota_warning_percent"),
    ({"when_quota_reached": "delete"}, "when_quota_reached"),
])
def test_bad_options_are_refused(body: dict[str, Any], field: str, daemon: Daemon) -> None:
    refused(daemon.call("PATCH", "/api/settings", body), 400, "VALIDATION_ERROR", field)


@pytest.mark.parametrize("body", [{"quota_bytes": -1}, {"quota_bytes": "10G"}])
def test_bad_rules_are_refused(body: dict[str, Any], daemon: Daemon, channel: str) -> None:
    answer = daemon.call("PATCH", f"/api/channels/{channel}", body)
    refused(answer, 400, "VALIDATION_ERROR", *body)


def test_the_oldest_goes_for_the_quota(daemon: Daemon, channel: str) -> None:
    kept, old, young = add(daemon, channel, 2020, 2021, 2022)
    daemon.call("PATCH", f"/api/recordings/{kept}", {"protected": True})
    quota = 3 * SIZE
    shown = daemon.call("PATCH", f"/api/channels/{channel}", {"quota_bytes": quota})[1]
    assert shown["quota_bytes"] == quota
    storage = daemon.get("/api/storage")
    assert storage["quota_status"] == "unlimited"
    assert storage["channel_quotas"] == {channel: {
        "quota": quota, "used": quota, "used_percent": 100, "status": "exceeded"}}
    daemon.call("PATCH", "/api/settings", {"when_quota_reached": "delete-oldest"})
    daemon.wait("/api/recordings", lambda page: page["total"] == 2)
    assert listed(daemon) == [young, kept]


def test_a_quota_that_is_used_up_keeps_a_broadcast_waiting(daemon: Daemon, channel: str) -> None:
    add(daemon, channel, 2020)
    daemon.call("PATCH", "/api/settings", {"quota": SIZE})
    daemon.wait("/api/storage", lambda one: one["quota_status"] == "exceeded")
    with Origin() as origin:
        for clip in ts_clips(4):
            origin.add(clip)
        path = "/api/channels/" + daemon.call(
            "POST", "/api/channels", {"platform": "url", "name": origin.url})[1]["id"]
        daemon.wait(path, lambda one: (one["status"], one["status_reason"]) == ("live", "quota"))
        daemon.call("PATCH", "/api/settings", {"quota": None})
        daemon.wait(path, lambda one: one["recording_id"] is not None)
        recording = daemon.get(path)["recording_id"]
        active = f"/api/recordings/{recording}"
        daemon.call("PATCH", active, {"protected": True})
        assert daemon.get(active)["protected"] is True
        refused(daemon.call("POST", f"{active}/cancel"), 409, "CONFLICT")
        daemon.call("POST", f"{active}/stop")
        done = daemon.wait(active, lambda one: one["status"] == "complete")
        assert done["protected"] is True
        daemon.call("DELETE", path)


@pytest.mark.parametrize("retention, says", [
    ({"days": 0}, "days must be"), ({"min_keep": 3}, "min_keep needs"), ([], "must be an object")])
def test_bad_retention_is_refused(
    retention: Any, says: str, daemon: Daemon, channel: str
) -> None:
    answer = daemon.call("PATCH", f"/api/channels/{channel}", {"retention": retention})
    refused(answer, 400, "VALIDATION_ERROR", "retention")
    assert says in answer[1]["error"]["details"][0]["message"]


def test_retention_of_a_channel_and_what_would_go(daemon: Daemon, channel: str) -> None:
    kept, old, young = add(daemon, channel, 2020, 2021, 2022)
    daemon.call("PATCH", f"/api/recordings/{kept}", {"protected": True})
    daemon.call("PATCH", "/api/settings", {"retention_days": 30})
    shown = daemon.call("PATCH", f"/api/channels/{channel}", {"retention": {}})[1]["retention"]
    assert shown == {"days": None, "keep_latest": None, "min_keep": 0}
    nothing = {"deleted": [], "freed_bytes": 0}
    dry = "/api/storage/cleanup?dry_run=true"
    assert daemon.call("POST", dry)[1] == {**nothing, "would_delete": []}
    daemon.call("PATCH", f"/api/channels/{channel}", {"retention": {"days": 10, "min_keep": 1}})
    assert daemon.call("POST", dry)[1] == {**nothing, "would_delete": [{
        "id": old, "reason": "older than 10 days and not among the latest 1", "bytes": SIZE}]}
    assert listed(daemon) == [young, old, kept]
    assert daemon.call("POST", "/api/storage/cleanup")[1] == {
        "deleted": [old], "freed_bytes": SIZE}
    assert listed(daemon) == [young, kept]
    daemon.call("PATCH", f"/api/channels/{channel}", {"retention": None})
    assert [one["id"] for one in daemon.call("POST", dry)[1]["would_delete"]] == [young]


def test_a_file_deleted_by_hand(daemon: Daemon, channel: str) -> None:
    gone, _ = add(daemon, channel, 2020, 2021)
    (daemon.directory / "recordings" / "2020.mp4").unlink()
    assert daemon.call("POST", "/api/storage/cleanup")[1]["deleted"] == []
    shown = daemon.get(f"/api/recordings/{gone}")
    assert (shown["file_size"], shown["status"]) == (0, "complete")
    assert "2020.mp4" in shown["error"]
