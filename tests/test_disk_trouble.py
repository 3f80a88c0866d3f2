"""A capture whose disk fails in the middle of a write: nothing committed is lost, nothing doubled.

Errors are injected into each system call in turn. A disk that hangs is `tests.frozen`, and a
full one is real where this machine lets us mount a small one, else played by counting bytes.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib.capture import Capture
from brlib.capture import capture as module
from brlib.capture.base import Missed, Source
from brlib.errors import DiskHangs
from brlib.ledger import INDEX, Ledger, read
from brlib.models import GapCause
from brlib.playlist import Segment, parse

from .frozen import Frozen

SEGMENTS = 12
BODY = 4000


def body(num: int) -> bytes:
    return (b"%06d" % num) * (BODY // 6)


def source(num: int) -> Source:
    return Source(num, 0, 2.0, f"path{num}", None, False)


class Stage:
    """A capture as a recording treats it: what fails is tried again from where it stands."""

    def __init__(self, directory: Path) -> None:
        self.now_s = 0.0
        self.directory = directory
        self.open = threading.Event()
        self.capture = Capture.create(
            "rec_1", directory, on_news=lambda: None, clock=lambda: self.now_s)

    def commit(self, num: int, closed: threading.Event | None = None) -> None:
        self.now_s += 2.0
        self.capture.commit(source(num), body(num), None, closed or self.open)

    def next_num(self) -> int:
        last = self.capture._ledger.tally.last
        return last.num + 1 if last is not None else 0

    def play(self, until: int) -> int:
        """Commit up to a segment; how often that failed."""
        failures = 0
        while self.next_num() < until:
            try:
                self.capture.settle()
                self.commit(self.next_num())
                self.capture.note("title", f"at {self.next_num() // 3}")
            except OSError:
                failures += 1
                assert failures < 50, "it never goes on"
        return failures

    def bodies(self) -> list[bytes]:
        found = [item.entry for item in parse((self.directory / INDEX).read_bytes())]
        return [(self.directory / e.file).read_bytes()[e.offset:e.offset + e.size_bytes]
                for e in found if isinstance(e, Segment)]

    def check(self, count: int) -> None:
        """All of it is there once, in order, also for who recovers it."""
        expected = [body(num) for num in range(count)]
        assert self.bodies() == expected
        assert read(self.directory).sums == self.capture.sums
        Ledger.recover(self.directory).close()
        assert self.bodies() == expected


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    one = Stage(tmp_path / "captures" / "rec_1")
    yield one
    one.capture._ledger.abandon()


class Failing:
    """Calls of `os` below a directory fail from the `first`th on, `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int, first: int,
                 times: int = 1, half: bool = False) -> None:
        self.failed = 0
        seen, real = [0], getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            seen[0] += 1
            if first < seen[0] <= first + times:
                self.failed += 1
                if half:
                    real(args[0], bytes(args[1])[:len(args[1]) // 2])
                raise OSError(number, os.strerror(number))
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("name, half", [
    ("write", False), ("write", True), ("fdatasync", False), ("open", False)])
def test_an_error_in_each_call(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, half: bool, number: int
) -> None:
    """Once and several times in a row, in each place where it can be."""
    for first in range(10):
        for times in (1, 3):
            if stage.directory.exists():
                stage.capture._ledger.abandon()
                shutil.rmtree(stage.directory)
            stage = Stage(stage.directory)
            with monkeypatch.context() as broken:
                failing = Failing(broken, name, number, first, times, half)
                failures = stage.play(SEGMENTS)
            assert failures <= failing.failed
            stage.capture.settle()
            stage.capture.finish()
            stage.check(SEGMENTS)
    stage.capture._ledger.abandon()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_was_half_written_and_could_not_be_cut(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Of a write that fails half done even the cut fails."""
    stage.play(3)
    with monkeypatch.context() as broken:
        Failing(broken, "write", number, 0, 1, half=True)
        Failing(broken, "ftruncate", errno.EIO, 0, 1)
        with pytest.raises(OSError, match="Input/output"):
            stage.commit(3)
        assert (stage.directory / "0001.ts").stat().st_size > 3 * len(body(0))
    stage.play(6)
    stage.capture.settle()
    stage.capture.finish()
    stage.check(6)


def test_after_a_failed_sync_what_it_was_for_is_written_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system forgets what it could not write and says so only once."""
    stage.play(4)
    stage.capture.sync_if_due()
    stage.now_s += 10
    vouched = read(stage.directory).sums.segments
    with monkeypatch.context() as broken:
        Failing(broken, "fdatasync", errno.EIO, 0, 1)
        with pytest.raises(OSError):
            stage.commit(4)
    for call in (stage.capture.sync_if_due, lambda: stage.commit(5)):
        stage.now_s += 10
        with pytest.raises(OSError, match="earlier"):
            call()
    assert (stage.directory / INDEX).read_bytes().count(b"SYNC") <= vouched
    written: list[tuple[str, int, int]] = []
    pwrite = os.pwrite

    def noted(fd: int, data: bytes, offset: int) -> int:
        written.append((Path(os.readlink(f"/proc/self/fd/{fd}")).name, offset, len(data)))
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", noted)
    stage.capture.settle()
    size = len(body(0))
    assert {("0001.ts", 4 * size, size), ("0001.ts", 5 * size, size)} <= set(written)
    assert any(name == INDEX for name, _, _ in written)
    stage.play(8)
    stage.capture.settle()
    stage.capture.finish()
    stage.check(8)


@pytest.mark.parametrize("lost", [0, 2])
def test_a_disk_that_was_away_and_came_back(stage: Stage, lost: int) -> None:
    """By its path: what was open before is of no use any more. Its last seconds may be gone."""
    stage.play(3)
    stage.now_s += 10
    stage.capture.sync_if_due()
    stage.play(5)
    stage.capture._ledger.doubtful = True
    away = stage.directory.rename(stage.directory.with_name("away"))
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            stage.capture.settle()
    again = stage.directory
    shutil.copytree(away, again)
    os.truncate(again / "0001.ts", (5 - lost) * len(body(0)))
    stage.capture.settle()
    assert stage.capture.sums.segments == 5 - lost
    stage.play(8)
    stage.capture.settle()
    stage.capture.finish()
    stage.check(8)


# A full disk.


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """64 KiB: a tmpfs, or where that cannot be mounted one that counts what is written."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True,
        check=False, timeout=10).returncode == 0
    if not mounted:
        write = os.write

        def counted(fd: int, data: bytes) -> int:
            used = sum(path.stat().st_size for path in place.rglob("*"))
            if used + len(data) > 65536:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(fd, data)

        monkeypatch.setattr(os, "write", counted)
    yield place
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


def test_a_full_disk_until_there_is_room(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(bytes(30_000))
    one = Stage(small_disk / "rec_1")
    with pytest.raises(OSError) as caught:
        for num in range(100):
            one.commit(num)
    assert caught.value.errno == errno.ENOSPC
    held, capture = one.capture.sums.segments, one.capture
    assert 3 <= held < 16 and "No space" in str(capture.trouble)
    for _ in range(3):
        with pytest.raises(OSError):
            one.commit(held)
    assert one.bodies() == [body(num) for num in range(held)]
    assert one.capture._ledger.doubtful is False
    (small_disk / "other").unlink()
    one.commit(held)
    assert str(capture.trouble) == "None"
    one.capture.finish()
    one.check(held + 1)


def test_closed_on_a_full_disk_nothing_stays_open(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the end can be written. What is there is all there is."""
    stage.play(4)
    with monkeypatch.context() as broken:
        Failing(broken, "write", errno.ENOSPC, 0, 99)
        with pytest.raises(OSError):
            stage.capture.finish()
    assert stage.capture._ledger._index_fd == -1
    stage.commit(4)
    stage.capture.suspend()
    stage.check(4)


# A disk that hangs.


@pytest.fixture
def hanging(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setattr(module, "OWN_WAIT_S", 0.1)
    stage.play(3)
    one = Hanging(stage, Frozen(monkeypatch, stage.directory))
    yield one
    one.end()


class Hanging:
    """A capture with a commit that hangs in a session's thread."""

    def __init__(self, stage: Stage, disk: Frozen) -> None:
        self.disk = disk
        self.closed = threading.Event()
        self._thread = threading.Thread(target=lambda: stage.commit(3, self.closed))
        disk.freeze()
        self._thread.start()
        disk.wait_caught()

    def end(self) -> None:
        self.disk.thaw()
        self._thread.join(10)


def test_nobody_waits_for_a_write_that_hangs(
    stage: Stage, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the API and the recording's own thread ask is answered at once."""
    one = stage.capture
    assert (one.sums.segments, one.gaps, one.edge) == (3, [], "2:path2")
    assert one.digest(2, 0) and one.has(body(2)) and one.ends_with(body(2))
    assert (one.hanging_s, str(one.trouble)) == (0, "None")
    monkeypatch.setattr(one._writes, "_max_s", 0.0)
    assert one.hanging_s > 0 and str(one.trouble) == "The disk does not answer"
    acts: tuple[Callable[[], object], ...] = (
        lambda: one.note("title", "x"), one.settle, one.finish,
        lambda: one.open(None, GapCause.DISK))
    for act in acts:
        with pytest.raises(DiskHangs):
            act()
    stage.now_s += 60
    one.sync_if_due()


@pytest.mark.parametrize("closed", [False, True])
def test_what_hung_is_committed_once(stage: Stage, hanging: Hanging, closed: bool) -> None:
    """Also when its session was closed meanwhile: the next goes on behind it."""
    if closed:
        hanging.closed.set()
    hanging.end()
    assert stage.next_num() == 4
    stage.commit(4, hanging.closed)
    assert stage.next_num() == (4 if closed else 5)
    stage.play(6)
    stage.capture.finish()
    stage.check(6)


def test_who_stops_meanwhile_leaves_the_closing_to_the_writer(
    stage: Stage, hanging: Hanging
) -> None:
    with pytest.raises(DiskHangs):
        stage.capture.suspend()
    stage.capture.sync_if_due()
    hanging.end()
    assert stage.capture._ledger._index_fd == -1, "it is closed"
    stage.commit(4)
    stage.check(4)


def test_a_missing_stretch_that_cannot_be_written_is_written_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.play(2)
    missed = Missed(2, 4.0, GapCause.DISK)
    with monkeypatch.context() as broken:
        Failing(broken, "write", errno.ENOSPC, 0, 1, half=True)
        with pytest.raises(OSError):
            stage.capture.miss(missed, 4, 0, stage.open)
    assert stage.capture.gaps == [] and stage.next_num() == 2
    stage.capture.miss(missed, 4, 0, stage.open)
    stage.commit(4)
    stage.capture.finish()
    assert [(gap.cause, gap.segments) for gap in read(stage.directory).gaps] == [
        (GapCause.DISK, 2)]
