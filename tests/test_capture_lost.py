"""What a capture has lost, or was about to lose, when its disk failed: each is a gap, once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brlib.capture import Timeouts
from brlib.capture.base import Missed
from brlib.capture.session import Session, Start
from brlib.ledger import INDEX, Ledger, read
from brlib.models import GapCause, SessionEnd
from brlib.playlist import SYNCED

from . import test_disk_trouble
from .media import fmp4_clips
from .test_disk_trouble import Failing, Stage, body, source

stage = test_disk_trouble.stage


def segment(num: int) -> Any:
    return SimpleNamespace(num=num, duration=2.0, uri=f"http://x/{num}.ts", byterange=None,
                           date=None, discontinuity=False)


def gaps(stage: Stage) -> list[tuple[GapCause, int]]:
    return [(gap.cause, gap.segments) for gap in read(stage.directory).gaps]


def session_of(stage: Stage) -> tuple[Session, list[Any]]:
    """With four segments on their way."""
    session = Session("rec_1", stage.capture, Start(None, 0, None), Timeouts(), lambda: None)
    queued = [segment(num) for num in range(4)]
    for one in queued:
        session.queued(one)
    return session, queued


def test_what_could_not_be_written_when_the_broadcast_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, queued = session_of(stage)
    session.commit(queued[0], body(0), None)
    with monkeypatch.context() as broken:
        Failing(broken, "write", errno.ENOSPC, 0, 9)
        session.commit(queued[1], body(1), None)
    assert session.end is SessionEnd.DISK
    stage.capture.settle()
    session.write_off(GapCause.DISK)
    stage.capture.finish()
    assert gaps(stage) == [(GapCause.DISK, 3)]
    assert read(stage.directory).sums.segments == 1


def test_what_was_written_before_its_sync_failed_is_not_missing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, queued = session_of(stage)
    session.commit(queued[0], body(0), None)
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if SYNCED.encode() in bytes(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    stage.now_s += 60
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)
        session.commit(queued[1], body(1), None)
    stage.capture.settle()
    session.write_off(GapCause.DISK)
    stage.capture.finish()
    assert gaps(stage) == [(GapCause.DISK, 2)]
    assert read(stage.directory).sums.segments == 2


def test_what_came_too_late_for_its_session_is_missing(stage: Stage) -> None:
    """Closed between the download and its turn at the disk."""
    session, queued = session_of(stage)
    session.commit(queued[0], body(0), None)
    session.closed.set()
    session.commit(queued[1], body(1), None)
    session.write_off()
    stage.capture.finish()
    assert gaps(stage) == [(GapCause.SOURCE, 3)]


Behind = Callable[[Stage], object]


@pytest.mark.parametrize("behind, expected", [
    (lambda one: None, [(GapCause.DISK, 2)]),
    # What an earlier session had on its way follows behind them.
    (lambda one: one.capture.miss(Missed(1, 2.0, GapCause.SOURCE), 6, 0, one.open),
     [(GapCause.DISK, 2), (GapCause.SOURCE, 1)]),
    # A later one has asked for them again.
    (lambda one: one.capture.miss(Missed(2, 4.0, GapCause.EXPIRED), 5, 0, one.open),
     [(GapCause.EXPIRED, 2)]),
    (lambda one: one.commit(3), []),
], ids=["nothing", "what was on its way", "told as missing", "there again"])
def test_what_the_disk_lost(
    stage: Stage, behind: Behind, expected: list[tuple[GapCause, int]]
) -> None:
    """It was away, and is back without the last two segments."""
    stage.play(3)
    stage.now_s += 10
    stage.capture.sync_if_due()
    stage.play(5)
    os.truncate(stage.directory / "0001.ts", 3 * len(body(0)))
    stage.capture._ledger.doubtful = True
    stage.capture.settle()
    behind(stage)
    stage.capture.finish()
    assert gaps(stage) == expected


def test_a_segment_that_is_written_at_the_second_try_begins_no_part(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    init, clips = fmp4_clips(3)
    stage.capture.commit(source(0), clips[0].body, init, stage.open)
    with monkeypatch.context() as broken:
        Failing(broken, "write", errno.ENOSPC, 0, 1)
        with pytest.raises(OSError):
            stage.capture.commit(source(1), clips[1].body, init, stage.open)
    for num in (1, 2):
        stage.capture.commit(source(num), clips[num].body, init, stage.open)
    assert stage.capture.sums.parts == 1


# What a file system says that is not ours to take for damage.


def test_a_disk_that_cannot_be_read_is_no_damage(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recording waits for it instead of ending."""
    stage.play(2)
    stage.capture.suspend()
    real = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == INDEX:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", fail)
        with pytest.raises(OSError, match="Input/output"):
            Ledger.recover(stage.directory)
    Ledger.recover(stage.directory).close()


def test_a_share_that_cannot_sync_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    one = Stage(tmp_path / "captures" / "rec_2")
    one.play(3)
    one.capture.finish()
    one.check(3)
