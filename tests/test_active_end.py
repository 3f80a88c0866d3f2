"""How a recording comes to its end while something else goes wrong: what was asked for counts,
what was told is kept, and what was paused stays out."""

from __future__ import annotations

import errno

import pytest

from brlib.errors import DiskHangs
from brlib.models import Broadcast, EndReason, GapCause, RecordingStatus, SessionEnd

from . import test_active
from .test_active import Stage

running, stage = test_active.running, test_active.stage
REC = "rec_aaaaaaaaaaaa"


def test_what_somebody_asked_for_counts(running: Stage) -> None:
    running.active.stop(EndReason.CANCELLED)
    running.session.end = SessionEnd.ENDLIST
    running.active.step()
    assert running.reason is EndReason.CANCELLED


def test_a_stop_on_a_disk_that_hangs_is_kept(
    running: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose disk hangs is switched off, not stopped: the next process knows."""
    store = running.active._outside.store.recordings

    def hang() -> None:
        raise DiskHangs(errno.ETIMEDOUT, "The disk does not answer")

    with monkeypatch.context() as hanging:
        hanging.setattr(running.capture, "settle", hang)
        running.active.stop()
        assert running.active._left() is False
    kept = store.get(REC)
    assert (kept.status, kept.end_reason) == (RecordingStatus.RECORDING, EndReason.STOPPED)
    running.active.run()
    assert store.get(REC).status is RecordingStatus.PROCESSING


def test_what_is_unforeseen_at_the_end_is_tried_again(
    running: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise() -> None:
        raise RuntimeError("a bug")

    running.session.end = SessionEnd.ENDLIST
    running.steps(1)
    with monkeypatch.context() as broken:
        broken.setattr(running.capture, "settle", surprise)
        assert running.active._left() is False
        assert running.over == []
    running.active.run()
    assert [over.reason for over in running.over] == [EndReason.ENDED]


@pytest.mark.parametrize("behind", ["offline", "disk"])
def test_what_was_paused_stays_out(running: Stage, behind: str) -> None:
    """Also where the stream cannot be had at once when it is resumed."""
    running.active.pause()
    running.steps(2)
    running.active.resume()
    if behind == "offline":
        running.platform.answer = None
        running.steps(8)
        running.platform.answer = Broadcast()
    else:
        running.steps(1)
        running.session.judged, running.session.end = False, SessionEnd.DISK
    running.steps(12)
    assert running.capture.opened[-1] == (GapCause.PAUSED, True)


def test_what_a_disk_kept_out_is_its_doing(running: Stage) -> None:
    """Also when the broadcast is over by the time that the disk is back."""
    session = running.session
    session.end = SessionEnd.DISK
    running.steps(1)
    running.platform.answer = None
    running.steps(150)
    assert running.reason is EndReason.OFFLINE
    running.active.run()
    assert session.written_off_for is GapCause.DISK


def test_a_playlist_that_hangs_is_the_lines_doing(running: Stage) -> None:
    for _ in range(25):
        running.active.step()
        running.clock.now_s += 1.0
    assert running.capture.opened[-1] == (GapCause.NETWORK, False)
