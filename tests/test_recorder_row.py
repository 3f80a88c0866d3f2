"""The row of an active recording while the store fails: the capture goes on, the row follows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from brlib.errors import Unavailable
from brlib.models import Gap, GapCause, Recording, RecordingStatus, SessionEnd, utc_now
from brlib.recorder import Over
from brlib.store.recordings import Recordings

from . import test_active
from .test_active import Stage

running, stage = test_active.running, test_active.stage


def full(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_it_begins_although_its_row_cannot_be_written(
    stage: Callable[[], Stage], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The capture is what counts: it goes on, is opened anew where it breaks, and the row
    follows."""
    one = stage()
    store, subscription = one.active._outside.store.recordings, one.bus.subscribe()
    with monkeypatch.context() as broken:
        broken.setattr(type(store), "add", full)
        one.steps(1)
        one.capture.commit("1:a")
        one.steps(65)
        assert one.active.begun.is_set() and one.reason is None
        opened = len(one.capture.sessions)
        one.session.end = SessionEnd.BROKEN
        one.steps(10)
        assert len(one.capture.sessions) == opened + 1, "it is opened anew"
        one.capture.commit("2:b")
        one.steps(1)
        assert one.active.now().sums.segments == 2
    assert store.find_with_status(RecordingStatus) == []
    events = [event.type for _ in range(3) if (event := subscription.get(0))]
    assert events == ["recording_started", "segment_downloaded", "segment_downloaded"]
    assert caplog.text.count("its row cannot be written") == 1
    began = one.active.recording.started_at
    one.steps(6)
    assert store.get("rec_aaaaaaaaaaaa").sums.segments == 2
    assert store.get("rec_aaaaaaaaaaaa").started_at == began


def test_it_ends_once_the_row_can_be_written(
    stage: Callable[[], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it had none until then; and what is told of its end is told once."""
    one = stage()
    one.capture.gaps = [Gap(utc_now(), 1.0, 2.0, 1, GapCause.NETWORK)]
    store, subscription = one.active._outside.store.recordings, one.bus.subscribe()
    with monkeypatch.context() as broken:
        broken.setattr(type(store), "add", full)
        one.steps(1)
        one.capture.commit("1:a")
        one.steps(1)
        one.session.end = SessionEnd.ENDLIST
        one.steps(1)
        assert one.active._left() is False
    told: list[Over] = []

    def tell(over: Over) -> None:
        told.append(over)
        if len(told) < 3:
            # The second is no error of SQLite's: nobody was free to read.
            raise (sqlite3.OperationalError, Unavailable)[len(told) - 1]("database is busy")

    ending = one.active._ending
    monkeypatch.setattr(ending, "_outside", replace(ending._outside, on_over=tell))
    assert [one.active._left() for _ in range(3)] == [False, False, True]
    assert store.get("rec_aaaaaaaaaaaa").status is RecordingStatus.PROCESSING
    assert len(store.find_gaps("rec_aaaaaaaaaaaa")) == 1
    events = [event.type for _ in range(9) if (event := subscription.get(0))]
    assert events == ["recording_started", "segment_downloaded", "recording_ended"]


def test_a_row_that_was_lost_is_made_again(running: Stage) -> None:
    store = running.active._outside.store.recordings
    store.delete("rec_aaaaaaaaaaaa")
    running.steps(6)
    assert store.get("rec_aaaaaaaaaaaa").sums.segments == 1


def test_a_row_whose_commit_seemed_to_fail(
    stage: Callable[[], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stage()
    store, real = one.active._outside.store.recordings, Recordings.add

    def commits(recordings: Recordings, recording: Recording) -> None:
        real(recordings, recording)
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(Recordings, "add", commits)
        one.steps(1)
        one.capture.commit("1:a")
        one.steps(2)
    one.session.end = SessionEnd.ENDLIST
    one.steps(1)
    one.active.run()
    assert store.get("rec_aaaaaaaaaaaa").status is RecordingStatus.PROCESSING


def test_the_capture_says_whose_it_is(stage: Callable[[], Stage]) -> None:
    one = stage()
    one.steps(1)
    assert not one.active.begun.is_set()
    told = dict(one.capture.notes)
    assert (told["recording"], told["channel"]) == ("rec_aaaaaaaaaaaa", "ch_aaaaaaaaaaaa")
    assert told["channel_address"] == told["channel_url"] == "http://x/"
    one.capture.commit("1:a")
    one.steps(1)
    began = one.active.recording.started_at
    assert dict(one.capture.notes)["started_at"] == began.isoformat(timespec="microseconds")
