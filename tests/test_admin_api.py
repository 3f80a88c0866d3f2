"""Settings, logs, tools, storage, lists and images over HTTP."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import simple_websocket

from brlib.models import Recording, RecordingStatus
from brlib.store import open_store

from .daemon import Daemon, run_command
from .pictures import made
from .test_api import refused

CONFIG = """# My recorder.
[server]
public_health = no   # whoever asks must log in

[recording]
# Not too many.
max_concurrent_recordings = 4
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("admin"))
    one.config.write_text(CONFIG)
    one.start()
    yield one
    one.close()


@pytest.fixture
def events(daemon: Daemon) -> Iterator[simple_websocket.Client]:
    client = simple_websocket.Client(f"ws://127.0.0.1:{daemon.port}/api/ws")
    client.send(json.dumps({"type": "auth", "token": daemon.key}))
    assert json.loads(client.receive(timeout=10))["type"] == "connected"
    yield client
    client.close()
    client.thread.join(5)


def hear(client: simple_websocket.Client, kind: str) -> dict[str, Any]:
    """The next event of a kind."""
    while (message := client.receive(timeout=10)) is not None:
        event = json.loads(message)
        if event["type"] == kind:
            return dict(event["data"])
    raise AssertionError(f"no {kind}")


# Settings.


def test_settings_are_shown_without_secrets(daemon: Daemon) -> None:
    shown = daemon.get("/api/settings")
    assert (shown["max_concurrent_recordings"], shown["reconnect_window"]) == (4, 90)
    assert shown["trusted_proxies"] == ["127.0.0.1/32"]
    assert (shown["admin_password"], shown["quota"]) == (None, None)


def test_settings_are_changed_in_the_file(daemon: Daemon, events: Any) -> None:
    status, body, _ = daemon.call("PATCH", "/api/settings", {
        "max_concurrent_recordings": 6, "quota": "200G", "jwt_secret": "x" * 40})
    assert (status, body["max_concurrent_recordings"]) == (200, 6)
    assert (body["quota"], body["restart_required"]) == (200 * 1024 ** 3, ["jwt_secret"])
    assert "x" * 40 not in json.dumps(body)
    told = hear(events, "config_reloaded")
    assert sorted(told["changed"]) == ["jwt_secret", "max_concurrent_recordings", "quota"]
    assert told["restart_required"] == ["jwt_secret"]
    text = daemon.config.read_text()
    assert text.startswith("# My recorder.\n[server]\npublic_health = no   # whoever asks")
    assert "# Not too many.\nmax_concurrent_recordings = 6\n" in text
    assert daemon.get("/api/storage")["quota"] == 200 * 1024 ** 3
    status, body, _ = daemon.call("PATCH", "/api/settings", {"quota": None, "jwt_secret": None})
    assert (status, body["quota"], body["restart_required"]) == (200, None, [])
    hear(events, "config_reloaded")


@pytest.mark.parametrize("change, fields", [
    ({"max_concurrent_recordings": 0}, ["max_concurrent_recordings"]),
    ({"filename_template": "../{title}", "container": "avi", "nonsense": 1},
     ["nonsense"]),
    ({"filename_template": "../{title}", "container": "avi"},
     ["filename_template", "container"]),
    ({"output_directory": "/dev/null/x"}, ["output_directory"]),
    ({"output_directory": "data/viewing"}, ["output_directory"]),
    ({"ffmpeg_path": "/tmp/anything"}, ["ffmpeg_path"]), ({"host": "not a host"}, ["host"]),
    ({"default_quality": "best\n[auth]\nadmin_password = x"}, ["default_quality"]),
])
def test_bad_settings_change_nothing(
    daemon: Daemon, change: dict[str, Any], fields: list[str]
) -> None:
    before, text = daemon.get("/api/settings"), daemon.config.read_text()
    refused(daemon.call("PATCH", "/api/settings", change), 400, "VALIDATION_ERROR", *fields)
    assert (daemon.get("/api/settings"), daemon.config.read_text()) == (before, text)


def test_an_option_that_the_environment_sets(daemon: Daemon) -> None:
    answer = daemon.call("PATCH", "/api/settings", {"url_interval": "5s"})
    assert answer[0] in (400, 409) and "BR_URL_INTERVAL" in json.dumps(answer[1])


def test_an_edit_by_hand_is_noticed(daemon: Daemon, events: Any) -> None:
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("# Not too many.", "reconnect_window = 5m"))
    assert hear(events, "config_reloaded")["changed"] == ["reconnect_window"]
    assert daemon.get("/api/settings")["reconnect_window"] == 300
    # A broken edit is refused; what was so stays so.
    daemon.config.write_text("[recording]\nreconnect_window = soon\n")
    daemon.wait("/api/logs?level=error", lambda b: any(
        "reconnect_window" in line["message"] for line in b["logs"]))
    assert daemon.get("/api/settings")["reconnect_window"] == 300
    daemon.config.write_text(text)
    assert hear(events, "config_reloaded")["changed"] == ["reconnect_window"]


# Logs, tools, storage.


def test_logs_survive_a_restart_and_hide_secrets(tmp_path: Path) -> None:
    one = Daemon(tmp_path).start()
    try:
        one.terminate()
        one.start()
        logs(one)
    finally:
        one.close()


def logs(daemon: Daemon) -> None:
    body = daemon.get("/api/logs?limit=1000")
    messages = [line["message"] for line in body["logs"]]
    starts = [i for i, message in enumerate(messages) if "The engine runs" in message]
    stops = [i for i, message in enumerate(messages) if "The engine has stopped" in message]
    assert len(starts) >= 2 and stops and starts[0] < stops[0] < starts[1]
    assert daemon.key not in json.dumps(body)
    page = daemon.get("/api/logs?limit=2&offset=1")
    assert page == {"logs": daemon.get("/api/logs?limit=3")["logs"][1:], "limit": 2}
    for level in ("error", "warn", "info", "debug"):
        found = {line["level"] for line in daemon.get(f"/api/logs?level={level}")["logs"]}
        worse = ("error", "warn", "info", "debug")
        assert found <= set(worse[:worse.index(level) + 1])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert daemon.get("/api/logs?from=2099-01-01")["logs"] == []
    assert len(daemon.get(f"/api/logs?to={now}&from=2020-01-01")["logs"]) > 2
    for query in ("level=warning", "limit=0", "limit=1001", "from=x", "offset=-1"):
        refused(daemon.call("GET", f"/api/logs?{query}"), 400, "VALIDATION_ERROR",
                query.partition("=")[0])


def test_dependencies(daemon: Daemon) -> None:
    found = daemon.get("/api/system/dependencies")["dependencies"]
    assert {"ffmpeg", "ffprobe", "yt-dlp", "streamlink", "bun", "deno", "node"} <= set(found)
    assert found["ffmpeg"]["available"] and found["ffmpeg"]["version"] >= "5.1"
    assert found["ffmpeg"]["path"].startswith("/")
    assert {name for name, tool in found.items() if tool["required"]} >= {"ffmpeg", "ffprobe"}


def test_cleanup_deletes_what_the_rules_say(daemon: Daemon) -> None:
    assert daemon.call("POST", "/api/storage/cleanup")[1] == {"deleted": [], "freed_bytes": 0}
    root = daemon.directory / "recordings"
    store = open_store(daemon.directory / "data" / "battles-record.sqlite3")
    for number, year in enumerate((2020, 2021, 2099)):
        file = root / f"old {number}.mp4"
        file.write_bytes(b"x" * 1000)
        when = datetime(year, 1, 1, tzinfo=UTC)
        store.recordings.add(Recording(
            id=f"rec_old00000000{number}", channel_id="ch_aaaaaaaaaaaa", channel_name="old",
            platform="twitch", title="t", status=RecordingStatus.COMPLETE, started_at=when,
            ended_at=when, files=(str(file),), file_size_bytes=1000, output_directory=str(root)))
    store.close()
    used = daemon.get("/api/storage")["by_channel"]["ch_aaaaaaaaaaaa"]
    assert used == 3000
    assert daemon.call("POST", "/api/storage/cleanup")[1]["deleted"] == []
    daemon.call("PATCH", "/api/settings", {"retention_days": 30, "retention_keep_latest": 2})
    status, body, _ = daemon.call("POST", "/api/storage/cleanup")
    assert (status, body) == (200, {"deleted": ["rec_old000000000"], "freed_bytes": 1000})
    assert [p.name for p in sorted(root.glob("old*"))] == ["old 1.mp4", "old 2.mp4"]
    assert daemon.get("/api/storage")["by_channel"]["ch_aaaaaaaaaaaa"] == 2000
    daemon.call("PATCH", "/api/settings", {"retention_days": None, "retention_keep_latest": None})


# Lists.


def test_import_and_export(daemon: Daemon) -> None:
    rows = ("platform,channel,quality,enabled\r\n"
            "url,http://127.0.0.1:9/a.m3u8,best,false\r\n"
            "url,http://127.0.0.1:9/a.m3u8,,false\r\n"
            "url,no address,,\r\n"
            "myspace,tom,,\r\n"
            "url,http://127.0.0.1:9/b.m3u8,4k,false\r\n"
            "url,\"http://127.0.0.1:9/c,d.m3u8\",720p,no\r\n").encode()
    status, body, _ = daemon.call("POST", "/api/channels/import", raw=rows)
    assert status == 200
    assert [r["status"] for r in body["results"]] == [
        "created", "exists", "invalid", "invalid", "invalid", "created"]
    assert (body["created"], body["exists"], body["invalid"]) == (2, 1, 3)
    assert [r["line"] for r in body["results"]] == [2, 3, 4, 5, 6, 7]
    assert all(r["message"] for r in body["results"] if r["status"] != "created")
    one = daemon.get(f"/api/channels/{body['results'][0]['id']}")
    assert (one["quality"], one["enabled"]) == ("source", False)
    status, text, headers = daemon.call("GET", "/api/channels/export")
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert text.splitlines()[0] == b"platform,channel,quality,enabled"
    assert b'url,"http://127.0.0.1:9/c,d.m3u8",720p,false' in text
    again = daemon.call("POST", "/api/channels/import", raw=text,
                        headers={"Content-Type": "text/csv"})[1]
    assert again["created"] == 0 and again["exists"] == len(again["results"]) > 0
    for channel in daemon.get("/api/channels")["channels"]:
        daemon.call("DELETE", f"/api/channels/{channel['id']}")


@pytest.mark.parametrize("raw, kind, status, code", [
    (b"\xff\xfe\x00", "text/csv", 400, "VALIDATION_ERROR"),
    (b'url,"never', "text/csv", 400, "VALIDATION_ERROR"),
    (b"platform,channel,colour\n", "text/csv", 400, "VALIDATION_ERROR"),
    (b"{}", "application/json", 415, "UNSUPPORTED_MEDIA_TYPE"),
    (b"x" * (1024 * 1024 + 1), "text/csv", 413, "PAYLOAD_TOO_LARGE"),
])
def test_what_is_no_list(daemon: Daemon, raw: bytes, kind: str, status: int, code: str) -> None:
    answer = daemon.call("POST", "/api/channels/import", raw=raw, headers={"Content-Type": kind})
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)


def test_import_by_command_line(daemon: Daemon, tmp_path: Path) -> None:
    """The running daemon watches what was imported beside it."""
    file = tmp_path / "channels.csv"
    file.write_text("platform,channel,enabled\nurl,http://127.0.0.1:9/cli.m3u8,no\nurl,x,no\n")
    config = ("--config", str(daemon.config))
    done = run_command("import-channels", str(file), *config)
    assert done.returncode == 1
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [["line 2", "created"], ["line 3", "invalid"]]
    shown = daemon.get(f"/api/channels/{rows[0][2]}")
    assert (shown["name"], shown["enabled"]) == ("http://127.0.0.1:9/cli.m3u8", False)
    piped = run_command("import-channels", "-", *config, stdin="url,http://127.0.0.1:9/cli.m3u8\n")
    assert (piped.returncode, piped.stdout.split("\t")[1]) == (0, "exists")
    assert run_command("import-channels", str(tmp_path / "none.csv"), *config).returncode == 1
    for channel in daemon.get("/api/channels")["channels"]:
        daemon.call("DELETE", f"/api/channels/{channel['id']}")


# Images.


def form(data: bytes, field: str = "picture") -> tuple[bytes, dict[str, str]]:
    """A multipart body with one file, as curl's -F makes it."""
    body = io.BytesIO()
    body.write(b"--frame\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--frame\r\n")
    body.write(f'Content-Disposition: form-data; name="{field}"; filename="../x.exe"\r\n'
               "Content-Type: image/png\r\n\r\n".encode())
    body.write(data + b"\r\n--frame--\r\n")
    return body.getvalue(), {"Content-Type": "multipart/form-data; boundary=frame"}


@pytest.fixture
def channel(daemon: Daemon) -> Iterator[dict[str, Any]]:
    _, made, _ = daemon.call("POST", "/api/channels", {
        "platform": "url", "name": "http://127.0.0.1:9/pictures.m3u8", "enabled": False})
    yield made
    daemon.call("DELETE", f"/api/channels/{made['id']}")


@pytest.mark.parametrize("kind", ["profile", "banner"])
def test_life_of_an_image(daemon: Daemon, channel: dict[str, Any], kind: str) -> None:
    path = f"/api/channels/{channel['id']}/images/{kind}"
    empty = daemon.get(f"/api/channels/{channel['id']}/profile")
    assert (empty[f"{kind}_image_url"], empty["images"][kind]) == (None, None)
    refused(daemon.call("GET", path), 404, "IMAGE_NOT_FOUND")
    refused(daemon.call("DELETE", path), 404, "IMAGE_NOT_FOUND")
    raw, headers = form(made("x.png"))
    status, profile, _ = daemon.call("POST", path, raw=raw, headers=headers)
    assert (status, profile["images"][kind]["custom"]) == (201, True)
    assert profile == daemon.get(f"/api/channels/{channel['id']}/profile")
    status, data, headers = daemon.call("GET", profile[f"{kind}_image_url"])
    assert (status, data[:2], headers["Content-Type"]) == (200, b"\xff\xd8", "image/jpeg")
    etag = headers["ETag"]
    status, data, _ = daemon.call("GET", path, headers={"If-None-Match": etag})
    assert (status, data) == (304, None)
    assert daemon.call("DELETE", path)[0] == 204
    refused(daemon.call("GET", path), 404, "IMAGE_NOT_FOUND")
    status, profile, _ = daemon.call(
        "POST", f"/api/channels/{channel['id']}/images/fetch-platform")
    assert (status, profile["images"][kind]) == (200, None)


def test_what_is_no_image(daemon: Daemon, channel: dict[str, Any]) -> None:
    path = f"/api/channels/{channel['id']}/images/profile"
    for data in (b"", b"#EXTM3U\nfile:///etc/passwd\n", b"<svg/>", made("x.png")[:60],
                 b"\x89PNG\r\n\x1a\n" + b"x" * 100):
        raw, headers = form(data)
        answer = daemon.call("POST", path, raw=raw, headers=headers)
        assert (answer[0], answer[1]["error"]["code"]) == (400, "VALIDATION_ERROR"), data[:20]
    raw, headers = form(made("x.png") + b"x" * (5 * 1024 * 1024))
    refused(daemon.call("POST", path, raw=raw, headers=headers), 413, "PAYLOAD_TOO_LARGE")
    refused(daemon.call("POST", path, {}), 415, "UNSUPPORTED_MEDIA_TYPE")
    part = b'--frame\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx\r\n'
    answer = daemon.call("POST", path, raw=part * 50 + b"--frame--\r\n", headers=headers)
    refused(answer, 413, "PAYLOAD_TOO_LARGE")
    refused(daemon.call("POST", path, raw=b"--frame--\r\n", headers=headers), 400,
            "VALIDATION_ERROR", "file")
    for wrong in ("ch_zzzzzzzzzzzz", "..%2f..", "x"):
        for method in ("GET", "DELETE"):
            refused(daemon.call(method, f"/api/channels/{wrong}/images/profile"), 404,
                    "CHANNEL_NOT_FOUND" if "%" not in wrong else "NOT_FOUND")
    left = list((daemon.directory / "data" / "images").rglob("*"))
    assert [p for p in left if p.is_file()] == []


def test_many_at_once(daemon: Daemon, channel: dict[str, Any]) -> None:
    """Uploads of one image side by side: every answer is one of the document's."""
    path, answers = f"/api/channels/{channel['id']}/images/banner", []
    raw, headers = form(made("x.jpg"))

    def put() -> None:
        answers.append(daemon.call("POST", path, raw=raw, headers=headers)[0])

    threads = [threading.Thread(target=put) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(answers) <= {201, 503} and 201 in answers
