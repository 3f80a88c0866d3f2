"""Settings that change while recordings run: what holds at once, and what stays as it began."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from brlib.config import Configuration
from brlib.models import ChannelStatus, Event, SkipReason

from .engine import Engine
from .finishing import Waits
from .media import ts_clips
from .origin import Origin

TEXT = """[storage]
min_free_space = 0
[recording]
url_interval = 60s
max_concurrent_recordings = 1
filename_template = {channel}
[processing]
container = ts
"""


@pytest.fixture
def live(tmp_path: Path, engine: Callable[..., Engine]) -> Engine:
    """An engine whose settings are in a file."""
    path = tmp_path / "config.ini"
    path.write_text(TEXT)
    return engine(configuration=Configuration(path, {}))


def filled(origin: Origin) -> Origin:
    for clip in ts_clips(4):
        origin.add(clip)
    return origin


def reloaded(one: Engine) -> dict[str, object]:
    return one.wait("config_reloaded").data


def is_begun(channel_id: str) -> Callable[[Event], bool]:
    return lambda e: e.type == "recording_started" and e.data["channel_id"] == channel_id


def test_a_raised_limit_lets_waiting_broadcasts_start(live: Engine) -> None:
    with Origin() as first, Origin() as second, Origin() as third:
        for origin in (first, second, third):
            filled(origin)
        one = live.add(first.url)
        live.wait("recording_started", channel_id=one.id)
        two, three = live.add(second.url), live.add(third.url)
        waiting = {live.wait("channel_status", status="live", status_reason="concurrency")
                   .data["channel_id"] for _ in (two, three)}
        assert waiting == {two.id, three.id}
        live.service.configuration.change({"max_concurrent_recordings": 3})
        assert reloaded(live) == {
            "changed": ["max_concurrent_recordings"], "restart_required": []}
        begun = {live.wait("recording_started").data["channel_id"] for _ in range(2)}
        assert begun == {two.id, three.id}
        # Fewer from now on: those that run are left alone, no further one begins.
        live.service.configuration.change({"max_concurrent_recordings": 1})
        reloaded(live)
        assert len(live.service.recorder.find_active()) == 3
        with Origin() as fourth:
            four = live.add(filled(fourth).url)
            live.wait("channel_status", channel_id=four.id, status="live")
            assert live.service.supervisor.state(four) == (
                ChannelStatus.LIVE, SkipReason.CONCURRENCY)


def test_a_recording_keeps_its_directory_and_template(live: Engine, tmp_path: Path) -> None:
    with Origin() as first, Origin() as second:
        one = live.add(filled(first).url, display_name="One")
        live.wait_segments(4)
        live.service.configuration.change({
            "output_directory": "films", "filename_template": "{platform}/{channel}",
            "container": "mkv", "port": 1})
        assert reloaded(live)["restart_required"] == ["port"]
        first.end()
        old = live.wait_complete()
        # Its file was begun as one, too.
        assert old.files == (str(tmp_path / "recordings" / "One.ts"),)
        two = live.add(filled(second).url, display_name="Two")
        live.wait_for(is_begun(two.id))
        second.end()
        new = live.wait_complete()
        assert new.files == (str(tmp_path / "films" / "url" / "Two.mkv"),)
    archive = live.service.archive
    assert archive.file(old.id, 1) == Path(old.files[0]) and one.id == old.channel_id
    archive.delete(old.id, with_file=True)
    assert not Path(old.files[0]).exists() and Path(new.files[0]).exists()


def test_an_edit_by_hand_is_told(
    live: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[str] = []
    monkeypatch.setattr("brlib.log.set_level", levels.append)
    (tmp_path / "config.ini").write_text(
        TEXT.replace("60s", "1s") + "ffmpeg_path = /none\n[logging]\nlog_level = error\n")
    assert reloaded(live) == {
        "changed": ["url_interval", "ffmpeg_path", "log_level"], "restart_required": []}
    assert (live.service.settings.url_interval, levels) == (1.0, ["error"])
    problems, fatal = live.service.problems()
    assert any("/none" in problem for problem in problems) and not fatal


def test_a_shorter_interval_does_not_wait_for_the_longer_one(live: Engine) -> None:
    with Origin() as origin:
        origin.go_away()
        channel = live.add(origin.url)
        live.wait("channel_status", channel_id=channel.id)
        origin.come_back()
        filled(origin)
        live.service.configuration.change({"url_interval": "1s"})
        live.wait_for(is_begun(channel.id))


def test_one_more_is_finished_at_a_time(live: Engine) -> None:
    """A limit on finishing that is raised while others wait lets them begin."""
    assembly = live.service.assembly
    live.service.configuration.change(
        {"max_concurrent_processing": 1, "processing_timing": "after"})
    with assembly._copies.turn(Waits()), Origin() as origin:
        live.add(filled(origin).url)
        live.wait_segments(4)
        origin.end()
        live.wait("processing_started")
        live.service.configuration.change({"max_concurrent_processing": 2})
        live.wait_complete()
