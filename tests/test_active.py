"""One recording's state machine, step by step on a fake clock: when it reopens, waits, ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from brlib.config import Settings
from brlib.errors import PlatformError
from brlib.events import EventBus
from brlib.models import (
    Activity, Broadcast, Channel, Course, EndReason, Gap, GapCause, Recording, RecordingStatus,
    SessionEnd, Sums, utc_now,
)
from brlib.platforms import Address, Checked, Offline, Opened
from brlib.platforms.base import Profile
from brlib.recorder import ActiveRecording, Outside, Over
from brlib.store import open_store


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class FakeSession:
    target_duration_s: float = 2.0
    reload_begun_s: float = 0.0
    end: SessionEnd | None = None
    closed: bool = False
    judged: bool = True
    cause: GapCause | None = None
    busy: bool = False
    written_off: bool = False
    written_off_for: GapCause | None = None

    def close(self) -> None:
        self.closed = True

    def write_off(self, cause: GapCause | None = None) -> None:
        self.written_off, self.written_off_for = True, cause


class FakeCapture:
    """A capture whose segments the test commits by hand."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._committed_s = clock()
        self.sums = Sums()
        self.gaps: list[Gap] = []
        self.course = Course()
        self.edge: str | None = None
        self.sessions: list[FakeSession] = []
        self.opened: list[tuple[GapCause | None, bool]] = []
        self.ended: str | None = None
        self.notes: list[tuple[str, str]] = []
        self.tail, self.hanging_s = "", 0.0
        self.trouble: str | None = None

    def commit(self, edge: str) -> None:
        self.sums = Sums(self.sums.segments + 1, captured_s=2.0 * (self.sums.segments + 1))
        self.edge = edge
        self._committed_s = self._clock()

    @property
    def idle_s(self) -> float:
        return self._clock() - self._committed_s

    def open(self, stream: Any, cause: GapCause | None, at_edge: bool) -> FakeSession:
        self.opened.append((cause, at_edge))
        self.sessions.append(FakeSession(reload_begun_s=self._clock()))
        return self.sessions[-1]

    def note(self, key: str, value: str) -> None:
        self.notes.append((key, value))

    def sync_if_due(self) -> None: ...
    def settle(self) -> None: ...
    def leave(self) -> None: ...

    def suspend(self) -> None:
        self.ended = "suspended"

    def finish(self) -> None:
        self.ended = "finished"


@dataclass
class FakePlatform:
    """Answers from a script: a broadcast, None (offline) or an error."""

    name: str = "url"
    batch_size: int = 1
    answer: Broadcast | PlatformError | None = field(default_factory=Broadcast)
    checks: int = 0

    def address(self, name: str) -> Address:
        return Address(name, name, name)

    def _give(self) -> Broadcast | None:
        if isinstance(self.answer, PlatformError):
            raise self.answer
        return self.answer

    def check(self, channel: Channel) -> Broadcast | None:
        self.checks += 1
        return self._give()

    def check_many(self, channels: Sequence[Channel],
                   fresh: bool = False) -> Mapping[str, Checked]:
        return {channel.id: self.check(channel) or Offline() for channel in channels}

    def open(self, channel: Channel) -> Opened | None:
        return Opened(object(), "720p") if self._give() is not None else None

    def profile(self, channel: Channel) -> Profile:
        return Profile()

    def forget(self, channel_id: str) -> None: ...
    def close(self) -> None: ...


@dataclass
class Stage:
    """An active recording with everything around it faked but the store."""

    active: ActiveRecording
    capture: FakeCapture
    platform: FakePlatform
    clock: Clock
    bus: EventBus
    over: list[Over]
    directory: Path

    def steps(self, seconds: float) -> None:
        """Let time pass, a second a step, until it is over or the time is."""
        for _ in range(int(seconds)):
            if self.reason is not None:
                return
            for session in self.capture.sessions:
                session.reload_begun_s = self.clock()
            self.active.step()
            self.clock.now_s += 1.0

    @property
    def reason(self) -> EndReason | None:
        return self.active._end

    @property
    def session(self) -> FakeSession:
        return self.capture.sessions[-1]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[[], Stage]]:
    store = open_store(tmp_path / "store.sqlite3")
    clock, bus, over = Clock(), EventBus(), list[Over]()
    capture, platform = FakeCapture(clock), FakePlatform()

    class Captures:
        def create(self, name: str, directory: Path, on_news: object) -> FakeCapture:
            directory.mkdir(parents=True)
            return capture

        recover = create

    def make() -> Stage:
        settings = Settings(data_directory=tmp_path, reconnect_window=90.0)
        channel = Channel("ch_aaaaaaaaaaaa", "url", "http://x/", "x", "http://x/", "source",
                          True, utc_now())
        store.channels.add(channel)
        recording = Recording("rec_aaaaaaaaaaaa", channel.id, "x", "url", "x",
                              RecordingStatus.RECORDING, utc_now())
        outside = Outside(
            lambda: settings, store, bus, {"url": platform}, Captures(), lambda recording: None,
            lambda recording: None, over.append, lambda channel: None)
        active = ActiveRecording(outside, channel, recording, begun=False, clock=clock)
        return Stage(active, capture, platform, clock, bus, over, tmp_path)

    yield make
    store.close()


@pytest.fixture
def running(stage: Callable[[], Stage]) -> Stage:
    """A recording with its first segment."""
    one = stage()
    one.steps(1)
    one.capture.commit("1:a")
    one.steps(1)
    assert one.active.begun.is_set()
    return one


def test_there_is_no_recording_before_its_first_segment(stage: Callable[[], Stage]) -> None:
    one = stage()
    subscription = one.bus.subscribe()
    one.steps(5)
    assert not one.active.begun.is_set()
    assert one.active.activity is Activity.RECONNECTING
    assert subscription.get(0) is None
    one.capture.commit("1:a")
    one.steps(1)
    events = [subscription.get(0), subscription.get(0)]
    assert [e.type for e in events if e] == ["recording_started", "segment_downloaded"]
    assert one.active.recording.quality == "720p"
    assert str(one.active.activity) == "capturing"


def test_what_never_gives_a_segment_is_abandoned_without_a_trace(
    stage: Callable[[], Stage]
) -> None:
    one = stage()
    one.steps(70)
    assert one.reason is EndReason.STALLED
    one.active.run()
    assert [o.reason for o in one.over] == [None]
    assert one.over[0].error == "No segment of the stream could be fetched"
    assert not (one.directory / "captures" / "rec_aaaaaaaaaaaa").exists()


def test_a_stream_that_cannot_be_opened_at_first_is_given_up_soon(
    stage: Callable[[], Stage]
) -> None:
    one = stage()
    one.platform.answer = PlatformError("HTTP 503")
    one.steps(20)
    one.active.run()
    assert (one.over[0].reason, one.over[0].error) == (None, "HTTP 503")


def test_endlist_ends_it_at_once(running: Stage) -> None:
    running.session.end = SessionEnd.ENDLIST
    running.steps(1)
    assert running.reason is EndReason.ENDED
    running.active.run()
    assert running.capture.ended == "finished"
    assert running.active.recording.status is RecordingStatus.PROCESSING


def test_failed_requests_never_end_it(running: Stage) -> None:
    running.session.end = SessionEnd.BROKEN
    running.platform.answer = PlatformError("HTTP 503")
    running.steps(3600)
    assert running.reason is None
    assert running.active.activity is Activity.RECONNECTING
    running.platform.answer = Broadcast()
    running.steps(15)
    assert len(running.capture.sessions) == 2


def test_offline_for_as_long_as_the_reconnect_window_ends_it(running: Stage) -> None:
    running.session.end = SessionEnd.BROKEN
    running.platform.answer = None
    running.steps(85)
    assert running.reason is None
    running.steps(15)
    assert running.reason is EndReason.OFFLINE


def test_a_streamer_who_comes_back_within_the_window_goes_on(running: Stage) -> None:
    running.session.end = SessionEnd.BROKEN
    running.platform.answer = None
    running.steps(70)
    running.platform.answer = Broadcast()
    running.steps(10)
    running.capture.commit("2:b")
    running.steps(1)
    running.session.end = SessionEnd.BROKEN
    running.platform.answer = None
    running.steps(85)
    assert running.reason is None, "the window counts anew from the last segment"


def test_a_stalled_encoder_is_waited_for_and_its_session_kept(running: Stage) -> None:
    running.platform.answer = Broadcast(edge="1:a")
    running.steps(60)
    assert running.reason is None
    assert not running.session.closed
    assert running.active.activity is Activity.STALLED
    running.steps(40)
    assert running.reason is EndReason.STALLED


def test_a_session_that_brings_nothing_while_the_edge_moves_is_opened_anew(
    running: Stage
) -> None:
    running.platform.answer = Broadcast(edge="9:z")
    running.steps(30)
    assert running.capture.sessions[0].closed
    assert len(running.capture.sessions) > 1
    assert running.reason is None


def test_a_playlist_request_that_hangs_is_left(running: Stage) -> None:
    hung = running.session
    for _ in range(25):
        running.active.step()
        running.clock.now_s += 1.0
    assert hung.closed and running.capture.sessions[-1] is not hung


def test_a_full_disk_blocks_it_until_there_is_room(running: Stage) -> None:
    running.session.end = SessionEnd.DISK
    running.steps(1)
    assert running.active.activity is Activity.BLOCKED
    running.steps(8)
    assert running.capture.opened[-1] == (GapCause.DISK, False)
    running.capture.commit("2:b")
    running.steps(1)
    assert running.active.activity is not Activity.BLOCKED


def test_pause_closes_the_session_and_resume_goes_on_at_the_edge(running: Stage) -> None:
    running.active.pause()
    running.steps(5)
    assert running.session.closed
    assert running.active.activity is Activity.PAUSED
    running.active.resume()
    running.steps(2)
    assert running.capture.opened[-1] == (GapCause.PAUSED, True)


def test_suspended_it_keeps_its_status_and_its_capture(running: Stage) -> None:
    running.active.suspend()
    running.active.run()
    assert running.capture.ended == "suspended"
    assert running.over == []
    assert running.active.recording.status is RecordingStatus.RECORDING


def test_a_store_that_fails_does_not_end_it(
    running: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = running.active._outside.store.recordings

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(type(store), "change", full)
        for _ in range(20):
            assert running.active._step_safely() > 0
            running.clock.now_s += 1.0
        running.session.end = SessionEnd.ENDLIST
        running.steps(1)
        assert running.active._left() is False
    running.active.run()
    assert running.active.recording.status is RecordingStatus.PROCESSING


def test_what_was_on_its_way_when_it_ended_is_written_off(running: Stage) -> None:
    running.session.end = SessionEnd.BROKEN
    running.platform.answer = None
    running.steps(120)
    assert running.reason is EndReason.OFFLINE
    running.active.run()
    assert running.capture.sessions[0].written_off


def test_stopped_by_hand_nothing_is_written_off(running: Stage) -> None:
    running.active.stop()
    running.active.run()
    assert not running.session.written_off


def test_a_pause_is_remembered_until_a_playlist_came(running: Stage) -> None:
    running.active.pause()
    running.steps(2)
    running.active.resume()
    running.steps(1)
    running.session.judged, running.session.end = False, SessionEnd.BROKEN
    running.steps(5)
    assert running.capture.opened[-2:] == [(GapCause.PAUSED, True)] * 2


def test_what_a_session_knew_of_its_line_is_the_next_ones_cause(running: Stage) -> None:
    running.session.cause, running.session.end = GapCause.NETWORK, SessionEnd.BROKEN
    running.steps(5)
    assert running.capture.opened[-1] == (GapCause.NETWORK, False)


def test_patience_while_segments_are_on_their_way(running: Stage) -> None:
    running.platform.answer = Broadcast(edge="9:z")
    running.session.busy = True
    running.steps(120)
    assert not running.session.closed and running.platform.checks == 0
    running.session.busy = False
    running.steps(2)
    assert running.capture.sessions[0].closed
