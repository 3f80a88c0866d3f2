"""Disks with too little room, and an output directory whose share hangs: who is told, who waits.

Free space is what the test says; a share that hangs is `tests.frozen`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brlib.disks import NoAnswer
from brlib.disks import disks as disks_module
from brlib.models import ChannelStatus, SkipReason

from .compare import assert_all_frames
from .disk_stage import (
    ANSWER_MAX_S, Space, be_quick, finish, offer, record, two_origins, until,
)
from .engine import Engine
from .frozen import Frozen
from .origin import Origin


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    be_quick(monkeypatch)


@pytest.fixture
def origins() -> Iterator[tuple[Origin, Origin]]:
    with two_origins() as both:
        yield both


def test_recordings_end_in_order_of_priority_and_begin_again_with_room(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin]
) -> None:
    one, (first, second) = engine(min_free_space=1000), origins
    captures = one.service.settings.captures_directory
    space = Space(one)
    space.set(captures, 5000)
    less = record(one, first, "less")
    more = record(one, second, "more", priority=5)
    channel = one.service.recorder.get(less).channel
    space.set(captures, 900)
    warned = one.wait("disk_warning", limit="min_free_space")
    assert (warned.data["path"], warned.data["free_bytes"]) == (str(captures), 900)
    ended = one.wait("recording_ended")
    assert (ended.data["id"], ended.data["end_reason"]) == (less, "disk")
    recording = one.wait_complete()
    assert recording.id == less
    assert_all_frames(recording, first.offered)
    assert one.wait("recording_ended").data["id"] == more
    one.wait_complete()
    until(lambda: one.service.supervisor.state(one.service.store.channels.get(channel.id)) == (
        ChannelStatus.LIVE, SkipReason.DISK), "shown")
    one.service.watchlist.check(channel.id)
    assert one.service.recorder.find_by_channel(channel.id) is None
    assert one.service.problems()[1], "nothing can be recorded"
    space.set(captures, 1050)
    one.service.watchlist.check(channel.id)
    assert one.service.recorder.find_by_channel(channel.id) is None, "not at once again"
    space.set(captures, 5000)
    offer(first, 1)
    until(lambda: one.service.recorder.find_by_channel(channel.id) is not None, "it begins again")
    assert one.service.storage_info()["disks"][0]["free_bytes"] == 5000
    first.end()
    second.end()


def test_only_channels_of_a_full_disk_are_kept_from_recording(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin], tmp_path: Path
) -> None:
    one, (first, second) = engine(min_free_space=1000), origins
    own = tmp_path / "own"
    own.mkdir()
    space = Space(one)
    space.set(one.service.settings.captures_directory, 5000)
    space.set(own, 10)
    until(lambda: one.service.disks.free_bytes(
        str(one.service.settings.captures_directory)) == 5000, "asked")
    offer(first, 3)
    full = one.add(first.url, output_directory=str(own), enabled=False)
    until(lambda: one.service.room.allows(str(own)) is False, "known")
    one.service.watchlist.change(full.id, {"enabled": True})
    event = one.wait("channel_status", channel_id=full.id, status="live")
    assert event.data["status_reason"] == "disk"
    record(one, second, "well")
    second.end()
    one.wait_complete()
    assert not one.service.problems()[1]


# An output directory on a share that hangs.


def test_requests_for_a_dead_share_are_refused_at_once(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one, (first, second) = engine(), origins
    share = one.service.settings.output_directory
    recording_id = record(one, first, "done")
    finish(one, first)
    disk = Frozen(monkeypatch, share)
    disk.freeze()
    output = str(share)
    service = one.service

    def usable() -> bool:
        group = service.disks.find(output)
        return group is not None and group.usable

    until(lambda: not usable(), "known")
    for act in (
        lambda: service.archive.file(recording_id, 1),
        lambda: service.archive.watched(recording_id),
        lambda: service.archive.reprocess(recording_id),
        lambda: service.archive.delete(recording_id, True),
        lambda: service.watchlist.add("url", second.url, None, True, output_directory=output),
        lambda: service.change_settings({"output_directory": output}),
    ):
        begun_s = time.monotonic()
        with pytest.raises(NoAnswer, match="does not answer"):
            act()
        assert time.monotonic() - begun_s < 1.0
    assert service.upkeep.cleanup().deleted == []
    info = service.storage_info()
    assert (info["total_available"], info["hours_left"]) == (0, None)
    assert "no_answer" in [d["state"] for d in info["disks"] if output in d["paths"]]
    assert any("does not answer" in problem for problem in service.problems()[0])
    disk.thaw()
    until(usable, "back")
    assert service.archive.file(recording_id, 1).exists()
    service.archive.delete(recording_id, True)


def test_a_dead_share_does_not_hold_up_the_start(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "nas").mkdir()
    monkeypatch.setattr(disks_module.Disks.ask, "__defaults__", (0.3,))
    disk = Frozen(monkeypatch, tmp_path / "nas")
    disk.freeze()
    begun_s = time.monotonic()
    one = engine(output_directory=tmp_path / "nas" / "out")
    assert time.monotonic() - begun_s < ANSWER_MAX_S
    until(lambda: any("does not answer" in p for p in one.service.problems()[0]), "said")
    assert not one.service.problems()[1] and one.service.room.allows(None)
    disk.thaw()
    until(lambda: one.service.disks.free_bytes(str(tmp_path / "nas" / "out")) is not None, "back")
