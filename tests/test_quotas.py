"""Tests of brlib.quotas: what is told of quotas, and what goes so that there is room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.config import Settings
from brlib.errors import Unavailable
from brlib.events import EventBus
from brlib.models import Channel, Recording, RecordingStatus, Sums
from brlib.quotas import RETRY_S, QuotaCommands, Quotas
from brlib.store import Store, open_store
from brlib.store.recordings import Filter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETE, FAILED, RECORDING = (
    RecordingStatus.COMPLETE, RecordingStatus.FAILED, RecordingStatus.RECORDING)
USED_UP = "The quota is used up"
NOTHING_LEFT = USED_UP + ", and nothing is left that may be deleted"


@dataclass
class Stage:
    """Quotas over a real store; removing is only the row. `away` cannot be removed."""

    store: Store
    bus: EventBus = field(default_factory=EventBus)
    settings: Settings = Settings()
    now_s: float = 0.0
    captured: Mapping[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    relieved: int = 0

    def __post_init__(self) -> None:
        self._events = self.bus.subscribe()
        self.channel = Channel(
            id="ch_1", platform="url", name="a", display_name="Anna", url="u", quality="source",
            enabled=True, created_at=NOW)
        self.store.channels.add(self.channel)
        self.begin()

    def begin(self) -> None:
        """Also again, on the same store: a restart."""
        self.quotas = Quotas(
            lambda: self.settings, self.store, self.bus,
            QuotaCommands(lambda: self.captured, self.remove, self.room), lambda: self.now_s)
        self.quotas._states = self.store.quota_states.find_all()

    def remove(self, recording_id: str) -> None:
        if recording_id in self.away:
            raise Unavailable("Its disk does not answer")
        self.store.recordings.delete(recording_id)
        self.removed.append(recording_id)

    def room(self) -> None:
        self.relieved += 1

    def add(self, name: str, days: float, size: int, status: RecordingStatus = COMPLETE,
            **changes: Any) -> None:
        self.store.recordings.add(replace(Recording(
            id=name, channel_id="ch_1", channel_name="x", platform="url", title=name,
            status=status, started_at=NOW - timedelta(days=days), sums=Sums(captured_bytes=size),
            file_size_bytes=size if status is COMPLETE else 0), **changes))
        self.store.recordings.note_capture(name, status is not COMPLETE)

    def set(self, quota_bytes: int | None = None, **options: Any) -> Channel:
        """The channel's quota and the settings."""
        self.settings = replace(self.settings, **options)
        return self.store.channels.change("ch_1", quota_bytes=quota_bytes)

    def step(self) -> list[tuple[str, str, str]]:
        """What was told of it: whose quota, and its states before and now."""
        self.quotas.step()
        told = []
        while (event := self._events.get(0.0)) is not None:
            assert event.type == "quota_status_changed"
            assert ("channel_id" in event.data) == (event.data["scope"] == "channel")
            told.append((event.data["scope"], event.data["previous_status"],
                         event.data["status"]))
        return told

    def left(self) -> list[str]:
        return sorted(r.id for r in self.store.recordings.find_page(Filter(), 500, 0))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    store = open_store(tmp_path / "store.db")
    yield Stage(store)
    store.close()


def test_each_change_is_told_once_also_over_a_restart(stage: Stage) -> None:
    assert stage.step() == []
    stage.set(quota_bytes=100, quota=1000)
    assert stage.step() == [("global", "unlimited", "ok"), ("channel", "unlimited", "ok")]
    stage.add("a", 1, 85)
    assert stage.step() == [("channel", "ok", "warning")]
    stage.add("b", 1, 15)
    assert stage.step() == [("channel", "warning", "exceeded")]
    stage.begin()
    assert stage.step() == [] and stage.relieved == 0
    stage.store.recordings.delete("a")
    assert stage.step() == [("channel", "exceeded", "ok")] and stage.relieved == 1
    stage.set(quota_bytes=None)
    assert stage.step() == [("channel", "ok", "unlimited")]
    stage.set(quota=15)
    assert stage.step() == [("global", "ok", "exceeded")]
    stage.set(quota_warning_percent=1, quota=100)
    assert stage.step() == [("global", "exceeded", "warning")]


def test_a_channel_that_goes_takes_its_quota_along(stage: Stage) -> None:
    stage.set(quota_bytes=0)
    assert stage.step() == [("channel", "unlimited", "exceeded")]
    stage.store.channels.delete("ch_1")
    assert stage.step() == [] and stage.store.quota_states.find_all() == {}


def test_block(stage: Stage) -> None:
    channel = stage.set(quota_bytes=100)
    stage.add("a", 1, 100)
    stage.step()
    assert stage.quotas.against(channel) == "The channel's quota is used up"
    assert stage.quotas.against(replace(channel, quota_bytes=101)) is None
    other = replace(channel, id="ch_2", quota_bytes=None)
    assert stage.quotas.against(other) is None
    stage.set(quota=100)
    assert stage.quotas.against(other) == USED_UP
    assert stage.left() == ["a"]


def test_what_is_being_recorded_counts(stage: Stage) -> None:
    stage.set(quota=100)
    stage.add("a", 0, 10, RECORDING)
    assert stage.step() == [("global", "unlimited", "ok")]
    stage.captured = {"a": 99}
    assert stage.step() == [("global", "ok", "warning")]


def test_the_oldest_go_until_there_is_room(stage: Stage) -> None:
    channel = stage.set(quota=100, when_quota_reached="delete-oldest")
    for number in range(1, 5):
        stage.add(f"{number} d", number, 30)
    stage.add("protected", 9, 30, protected=True)
    stage.add("failed", 8, 10, FAILED)
    stage.add("active", 7, 10, RECORDING)
    stage.add("processing", 6, 10, RecordingStatus.PROCESSING)
    assert stage.step() == [("global", "unlimited", "warning")]
    # 180 bytes; less than 100 are left after three.
    assert stage.removed == ["4 d", "3 d", "2 d"]
    assert stage.quotas.against(channel) is None
    stage.step()
    assert len(stage.removed) == 3
    stage.captured = {"active": 1000}
    assert stage.step() == [("global", "warning", "exceeded")]
    assert stage.left() == ["active", "failed", "processing", "protected"]
    assert stage.quotas.against(channel) == NOTHING_LEFT
    stage.captured = {}
    assert stage.step() == [("global", "exceeded", "ok")] and stage.relieved == 1


def test_a_channel_s_own_go_for_its_quota(stage: Stage) -> None:
    stage.set(quota_bytes=50, when_quota_reached="delete-oldest")
    stage.add("other", 9, 500, channel_id="ch_2")
    stage.add("old", 3, 30)
    stage.add("young", 2, 30)
    stage.step()
    assert stage.removed == ["old"]


def test_before_room_was_made_a_recording_begins_all_the_same(stage: Stage) -> None:
    channel = stage.set(quota=50, when_quota_reached="delete-oldest")
    stage.add("a", 1, 60)
    assert stage.quotas.against(channel) is None


def test_what_cannot_be_deleted_is_tried_again_later(stage: Stage) -> None:
    channel = stage.set(quota=50, when_quota_reached="delete-oldest")
    stage.add("old", 2, 40)
    stage.add("young", 1, 40)
    stage.away = {"old"}
    stage.step()
    assert stage.removed == ["young"] and stage.quotas.against(channel) is None
    stage.add("protected", 1, 40, protected=True)
    stage.step()
    assert stage.quotas.against(channel) == NOTHING_LEFT
    stage.away = set()
    stage.step()
    assert stage.removed == ["young"]
    stage.now_s += RETRY_S
    stage.step()
    assert stage.removed == ["young", "old"] and stage.quotas.against(channel) is None


def test_what_the_api_shows(stage: Stage) -> None:
    assert stage.quotas.info() == {"quota_status": "unlimited", "channel_quotas": {}}
    stage.set(quota_bytes=100, quota=50)
    stage.add("a", 1, 85)
    assert stage.quotas.info() == {"quota_status": "exceeded", "channel_quotas": {
        "ch_1": {"quota": 100, "used": 85, "used_percent": 85, "status": "warning"}}}
