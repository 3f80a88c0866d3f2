"""Schedules and filters from outside: over the API, in `config.ini`, and a recording that ends
by them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .daemon import Daemon, run_command
from .media import ts_clips
from .origin import Origin
from .test_api import refused

ALWAYS: dict[str, Any] = {"windows": [], "blackouts": [], "timezone": None, "end_behavior": None}
# Today and its neighbours: whatever the time is, and wherever.
TODAY = ["{:%Y-%m-%d}..{:%Y-%m-%d}".format(
    *(datetime.now(UTC) + timedelta(days=days) for days in (-2, 2)))]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("wishes"))
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="module")
def channel(daemon: Daemon) -> str:
    """Its path."""
    made = daemon.call("POST", "/api/channels", {
        "platform": "twitch", "name": "anna", "enabled": False,
        "filters": {"title": "chess", "min_viewers": 5}})[1]
    assert made["filters"] == {
        "title": "chess", "category": None, "min_viewers": 5, "strict": False}
    return f"/api/channels/{made['id']}"


def test_a_channel_s_own(daemon: Daemon, channel: str) -> None:
    window = {"days": ["fri", "sat"], "start": "20:00", "end": "02:00"}
    given = {"windows": [{**window, "days": "fri-sat"}], "timezone": "Europe/Berlin"}
    shown = daemon.call("PATCH", channel, {"schedule": given})[1]["schedule"]
    assert shown == {**ALWAYS, "windows": [window], "timezone": "Europe/Berlin"}
    preview = daemon.get(f"{channel}/schedule/preview?days=7")
    spans = [(datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"]))
             for one in preview["windows"]]
    # Two evenings, or three pieces of them where one has begun.
    assert len(spans) in (2, 3)
    assert sum((end - start for start, end in spans), timedelta()) == timedelta(hours=12)
    changed = daemon.call("PATCH", channel, {"schedule": None, "filters": None})[1]
    assert (changed["schedule"], changed["filters"]) == (None, None)
    always = daemon.get(f"{channel}/schedule/preview")
    assert always["open"] and len(always["windows"]) == 1


@pytest.mark.parametrize(("body", "says"), [
    ({"schedule": {"timezone": "Mars/Olympus"}}, "timezone must be a time zone"),
    ({"schedule": {"windows": [{"days": "mon", "start": "18:00", "end": "18:00"}]}},
     "windows[0] must not end when it starts"),
    ({"schedule": {"blackouts": ["2026-02-30"]}}, "blackouts[0] must name days that exist"),
    ({"filters": {"title": " , ,"}}, "title must hold a word"),
    ({"filters": {"min_viewers": -1}}, "min_viewers must be a whole number"),
    ({"filters": []}, "must be an object"),
])
def test_bad_rules_are_refused(
    body: dict[str, Any], says: str, daemon: Daemon, channel: str
) -> None:
    answer = daemon.call("PATCH", channel, body)
    refused(answer, 400, "VALIDATION_ERROR", *body)
    assert says in answer[1]["error"]["details"][0]["message"]


@pytest.mark.parametrize("days", ["0", "32", "x"])
def test_a_preview_has_bounds(days: str, daemon: Daemon, channel: str) -> None:
    answer = daemon.call("GET", f"{channel}/schedule/preview?days={days}")
    refused(answer, 400, "VALIDATION_ERROR", "days")


@pytest.mark.parametrize(("body", "field"), [
    ({"timezone": "Mars/Olympus"}, "timezone"), ({"schedule_days": "someday"}, "schedule_days"),
    ({"schedule_start": "18"}, "schedule_start"), ({"blackouts": "noon"}, "blackouts"),
    ({"schedule_start": "18:00", "schedule_end": "18:00"}, "schedule_end"),
    ({"schedule_end_behavior": "abort"}, "schedule_end_behavior"),
])
def test_bad_options_are_refused(body: dict[str, Any], field: str, daemon: Daemon) -> None:
    refused(daemon.call("PATCH", "/api/settings", body), 400, "VALIDATION_ERROR", field)


def test_options_that_do_not_go_together_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.ini"
    config.write_text("[schedule]\nschedule_start = 18:00\nschedule_end = 18:00\n")
    done = run_command("check-config", "--config", str(config))
    assert done.returncode == 2
    assert "[schedule] schedule_end: must not end when it starts" in done.stdout + done.stderr


def test_a_recording_ends_with_its_window(daemon: Daemon) -> None:
    with Origin() as origin:
        for clip in ts_clips(4):
            origin.add(clip)
        path = "/api/channels/" + daemon.call(
            "POST", "/api/channels", {"platform": "url", "name": origin.url})[1]["id"]
        daemon.wait(path, lambda one: one["status"] == "recording")
        daemon.call("PATCH", path, {"schedule": {"blackouts": TODAY, "end_behavior": "stop"}})
        done = daemon.wait("/api/recordings", lambda page: page["total"] == 1 and (
            page["recordings"][0]["status"] == "complete"))["recordings"][0]
        assert (done["end_reason"], done["completeness"], done["segments"]) == ("schedule", 1, 4)
        waiting = daemon.wait(path, lambda one: one["status"] == "live")
        assert waiting["status_reason"] == "schedule"
        assert daemon.get(f"{path}/schedule/preview?days=1") == {
            "channel_id": waiting["id"], "open": False, "windows": []}
        daemon.call("PATCH", path, {"enabled": False})
