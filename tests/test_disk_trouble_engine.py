"""A disk that hangs or fails under one recording: the others go on, and so does it, by itself.

The disk that hangs is `tests.frozen`, for one recording's capture alone.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib.models import Activity, Broadcast, EndReason, GapCause, RecordingStatus
from brlib.recorder import active as active_module

from .compare import assert_all_frames, assert_same
from .disk_stage import (
    ANSWER_MAX_S, activity, be_quick, finish, offer, record, segments, two_origins, until,
)
from .engine import Engine
from .frozen import WRITES, Frozen
from .origin import Origin


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    be_quick(monkeypatch)


@pytest.fixture
def origins() -> Iterator[tuple[Origin, Origin]]:
    with two_origins() as both:
        yield both


@pytest.mark.parametrize("long", [False, True], ids=["session kept", "session closed"])
def test_a_disk_that_hangs_blocks_its_own_recording_alone(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch, long: bool,
) -> None:
    one, (first, second) = engine(capture_after="keep"), origins
    stuck, well = record(one, first, "stuck"), record(one, second, "well")
    disk = Frozen(monkeypatch, one.capture_directory(stuck), WRITES)
    active = one.service.recorder.get(stuck)
    session = active._reception.session
    if not long:
        monkeypatch.setattr(active_module, "HANGING_MAX_S", 60.0)
    disk.freeze()
    offer(first, 3)
    offer(second, 3)
    until(lambda: activity(one, stuck) is Activity.BLOCKED, "blocked")
    until(lambda: segments(one, well) == 6, "the other goes on")
    assert activity(one, well) is not Activity.BLOCKED
    assert segments(one, stuck) == 3 and one.service.archive.gaps(stuck) == []
    if long:
        until(lambda: active._reception.session is None, "the session is closed")
        assert session is not None and session.closed.is_set()  # type: ignore[attr-defined]
    assert "does not answer" in str(active.trouble)
    until(lambda: any("does not answer" in problem for problem in one.service.problems()[0]),
          "health says it")
    assert not one.service.problems()[1]
    one.service.recorder.note(active.channel.id, Broadcast(title="meanwhile"))
    offer(first, 2)
    disk.thaw()
    until(lambda: segments(one, stuck) == 8, "it goes on by itself")
    until(lambda: activity(one, stuck) is Activity.CAPTURING, "and says so")
    finish(one, first, second)
    assert_same(one.capture_directory(stuck), first.offered)
    assert_same(one.capture_directory(well), second.offered)
    assert_all_frames(one.recording(stuck), first.offered)
    assert one.service.archive.gaps(stuck) == []
    assert "meanwhile" in (one.capture_directory(stuck) / "index.m3u8").read_text()


def test_what_left_the_window_meanwhile_is_a_gap_of_the_disk(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = engine(capture_after="keep")
    with Origin(window=4) as origin:
        stuck = record(one, origin, "stuck")
        disk = Frozen(monkeypatch, one.capture_directory(stuck), WRITES)
        active = one.service.recorder.get(stuck)
        disk.freeze()
        offer(origin, 1)
        disk.wait_caught()
        until(lambda: active._reception.session is None, "the session is closed")
        offer(origin, 10)
        disk.thaw()
        until(lambda: segments(one, stuck) == 8, "it goes on")
        finish(one, origin)
    kept = origin.offered[:4] + origin.offered[10:]
    assert_same(one.capture_directory(stuck), kept)
    (gap,) = one.service.archive.gaps(stuck)
    assert (gap.cause, gap.segments) == (GapCause.DISK, 6)


@pytest.mark.parametrize("verb", ["stop", "cancel"])
def test_who_ends_it_meanwhile_gets_an_answer(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch, verb: str,
) -> None:
    one, (first, _) = engine(), origins
    stuck = record(one, first, "stuck")
    disk = Frozen(monkeypatch, one.capture_directory(stuck), WRITES)
    disk.freeze()
    offer(first, 2)
    disk.wait_caught()
    begun_s = time.monotonic()
    recording = getattr(one.service.archive, verb)(stuck)
    assert time.monotonic() - begun_s < ANSWER_MAX_S
    assert recording.status is RecordingStatus.RECORDING
    disk.thaw()
    until(lambda: one.service.recorder.find(stuck) is None, "it ends")
    if verb == "stop":
        recording = one.wait_complete()
        assert recording.end_reason is EndReason.STOPPED
        assert_all_frames(recording, first.offered[:recording.sums.segments])
    assert not one.capture_directory(stuck).exists()


def test_a_stop_of_the_daemon_does_not_wait_for_the_disk(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the next one goes on where the disk left off, with nothing twice."""
    one, (first, second) = engine(capture_after="keep"), origins
    stuck, well = record(one, first, "stuck"), record(one, second, "well")
    disk = Frozen(monkeypatch, one.capture_directory(stuck), WRITES)
    disk.freeze()
    offer(first, 2)
    disk.wait_caught()
    begun_s = time.monotonic()
    one.close()
    assert time.monotonic() - begun_s < ANSWER_MAX_S
    disk.thaw()
    writers = [t for t in threading.enumerate() if "CaptureWriter" in t.name]
    for writer in writers:
        writer.join(10)
    again = engine(capture_after="keep")
    offer(first, 2)
    offer(second, 2)
    until(lambda: segments(again, stuck) == 7 and segments(again, well) == 5, "both go on")
    finish(again, first, second)
    assert_same(again.capture_directory(stuck), first.offered)
    assert_same(again.capture_directory(well), second.offered)


def test_an_end_that_the_disk_held_up_is_not_forgotten(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ended by a person, then the daemon was stopped: the next start ends it."""
    one, (first, _) = engine(), origins
    stuck = record(one, first, "stuck")
    disk = Frozen(monkeypatch, one.capture_directory(stuck), WRITES)
    disk.freeze()
    offer(first, 2)
    disk.wait_caught()
    one.service.archive.stop(stuck)
    one.close()
    disk.thaw()
    again = engine()
    recording = again.wait_complete()
    assert (recording.id, recording.end_reason) == (stuck, EndReason.STOPPED)
    assert recording.sums.segments >= 3
    assert_all_frames(recording, first.offered[:recording.sums.segments])


class Broken:
    """Writes to one directory fail while `number` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.number: int | None = None
        for name in ("write", "fdatasync", "pwrite"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name), str(root)))

    def _failing(self, real: Callable[..., Any], root: str) -> Callable[..., Any]:
        def call(fd: int, *args: Any) -> Any:
            if self.number and os.readlink(f"/proc/self/fd/{fd}").startswith(root):
                raise OSError(self.number, os.strerror(self.number))
            return real(fd, *args)
        return call


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_blocks_its_own_recording_alone(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch, number: int,
) -> None:
    one, (first, second) = engine(capture_after="keep"), origins
    stuck, well = record(one, first, "stuck"), record(one, second, "well")
    disk = Broken(monkeypatch, one.capture_directory(stuck))
    disk.number = number
    offer(first, 3)
    offer(second, 3)
    until(lambda: activity(one, stuck) is Activity.BLOCKED, "blocked")
    until(lambda: segments(one, well) == 6, "the other goes on")
    until(lambda: any(os.strerror(number) in problem for problem in one.service.problems()[0]),
          "health says it")
    assert segments(one, stuck) == 3
    disk.number = None
    until(lambda: segments(one, stuck) == 6, "it goes on by itself")
    finish(one, first, second)
    assert_same(one.capture_directory(stuck), first.offered)
    assert_all_frames(one.recording(stuck), first.offered)
    assert one.service.archive.gaps(stuck) == [] and one.service.problems() == ([], False)


def test_a_broadcast_that_ends_on_a_full_disk_becomes_a_file(
    engine: Callable[..., Engine], origins: tuple[Origin, Origin],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last words cannot be written; what was committed is all in the file."""
    one, (first, _) = engine(capture_after="keep"), origins
    stuck = record(one, first, "stuck")
    disk = Broken(monkeypatch, one.capture_directory(stuck))
    disk.number = errno.ENOSPC
    one.service.archive.stop(stuck)
    recording = one.wait_complete()
    assert (recording.sums.segments, recording.end_reason) == (3, EndReason.STOPPED)
    assert_all_frames(recording, first.offered[:3])
