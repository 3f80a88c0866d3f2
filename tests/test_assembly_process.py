"""Tests of brlib.assembly.process: an FFmpeg or ffprobe that hangs, and one that only waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from brlib import workers
from brlib.assembly import process
from brlib.assembly.base import AssemblyFailed, Plan, Suspended
from brlib.assembly.process import FFmpeg
from brlib.models import Course, Recording
from brlib.sidecar import Sidecar

from .test_workers import is_gone, until

OUT = Path("/mnt/nas")
# More than a pipe holds.
MUCH = bytes(1024 * 1024)


class Task:
    """A feed's owner that only counts."""

    recording: Recording

    def __init__(self) -> None:
        self.closed, self.stop = threading.Event(), threading.Event()
        self.moves = 0

    def moved(self) -> None:
        self.moves += 1

    def progress(self, fed_bytes: int) -> None:
        raise NotImplementedError

    def counted(self, course: Course) -> None:
        raise NotImplementedError

    def owned(self) -> tuple[str, ...]:
        raise NotImplementedError

    def guarded(self, path: Path) -> bool:
        raise NotImplementedError

    def naming(self, files: tuple[str, ...]) -> None:
        raise NotImplementedError

    def described(self, files: tuple[str, ...]) -> Sidecar:
        raise NotImplementedError


def plan(ffprobe: str = "ffprobe") -> Plan:
    return Plan("copy", "mp4", OUT, OUT / "a", "number", "ffmpeg", ffprobe)


class Runs:
    """Starts shell scripts as FFmpeg, and ends them."""

    def __init__(self) -> None:
        self.task = Task()
        self.made: list[FFmpeg] = []

    def __call__(self, body: str, feed: bool = True) -> FFmpeg:
        self.made.append(FFmpeg("x", ["sh", "-c", body], plan(), self.task, feed))
        return self.made[-1]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    monkeypatch.setattr(process, "SILENT_MAX_S", 0.4)
    monkeypatch.setattr(process, "LOOK_EVERY_S", 0.05)
    one = Runs()
    yield one
    for made in one.made:
        made.abandon()


def test_one_that_reads_nothing_is_killed(runs: Runs) -> None:
    one = runs("exec sleep 1000")
    with pytest.raises(AssemblyFailed, match="FFmpeg hung: for 0 s it read, wrote and said nothi"):
        one.write(MUCH)
    assert runs.task.moves > 1


def test_one_that_ends_never_is_killed(runs: Runs) -> None:
    one = runs("cat > /dev/null; exec sleep 1000")
    one.write(MUCH)
    with pytest.raises(AssemblyFailed, match="FFmpeg hung"):
        one.end(0.4)


@pytest.mark.parametrize("sign", [
    "echo frame=1", "head -c 8192 > /dev/null", "read -r _ < /etc/passwd"],
    ids=["says so", "takes input", "reads elsewhere"])
def test_one_that_is_slow_and_alive_is_not(sign: str, runs: Runs) -> None:
    one = runs(f"for i in 1 2 3 4 5 6 7 8; do sleep 0.1; {sign}; done; cat > /dev/null")
    one.write(MUCH)
    one.end(0.4)


def test_waiting_for_more_to_feed_is_not_hanging(runs: Runs) -> None:
    one = runs("cat > /dev/null")
    one.write(b"x")
    one._alive_s -= 3600
    one.write(MUCH)
    one.end(0.4)


@pytest.mark.parametrize(("body", "says"), [
    ("exit 0", "FFmpeg ended early, without an error"),
    ("kill -9 $$", "as the system does when memory runs out"),
    ("echo x: No space left on device >&2; exit 1", "The output disk is full"),
])
def test_one_that_takes_no_more(body: str, says: str, runs: Runs) -> None:
    one = runs(body)
    with pytest.raises(AssemblyFailed, match=says):
        one.write(MUCH)


@pytest.mark.parametrize(("body", "says"), [
    ("cat > /dev/null; kill -9 $$", "as the system does when memory runs out"),
    ("cat > /dev/null; echo progress=end; echo Cannot allocate memory; exit 1", "memory"),
    ("cat > /dev/null; echo a; echo frame=7; exit 3", r"FFmpeg failed \(3: a\)"),
])
def test_one_that_fails_at_its_end(body: str, says: str, runs: Runs) -> None:
    one = runs(body)
    one.write(MUCH)
    with pytest.raises(AssemblyFailed, match=says):
        one.end(5)


@pytest.mark.parametrize("at", ["write", "end"])
def test_a_stop_is_heard_while_it_hangs(at: str, runs: Runs) -> None:
    one = runs("exec sleep 1000")
    runs.task.stop.set()
    with pytest.raises(Suspended):
        one.write(MUCH) if at == "write" else one.end(1000)


def test_one_that_cannot_be_killed_keeps_nobody_waiting(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stand-in for a write to a dead share: signals do nothing. (With a real one, ext4
    frozen by fsfreeze, it is the same: `wait` returns nothing until the disk is back.)"""
    really = os.killpg
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    monkeypatch.setattr(workers.Child.stop, "__defaults__", (0.05,))
    one = runs("exec sleep 1000")
    pid = one._child.pid
    with pytest.raises(AssemblyFailed, match="FFmpeg hung"):
        one.write(MUCH)
    one.abandon()
    assert "does not even end when it is killed" in caplog.text
    assert not is_gone(pid)
    monkeypatch.setattr(os, "killpg", really)
    really(pid, 9)
    assert until(lambda: is_gone(pid)), "nobody waited for it"


@pytest.mark.parametrize(("body", "says"), [
    ("exec sleep 1000", "ffprobe did not answer within 0 s"),
    (None, "ffprobe is not installed"),
])
def test_ffprobe_hangs_or_is_missing(
    body: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PROBE_MAX_S", 0.2)
    program = tmp_path / "ffprobe"
    if body is not None:
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    with pytest.raises(AssemblyFailed, match=says):
        process.find_probe(plan(str(program)), tmp_path, Task())


def test_ffprobe_hears_a_stop(tmp_path: Path) -> None:
    program = tmp_path / "ffprobe"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    task = Task()
    task.stop.set()
    with pytest.raises(Suspended):
        process.count_packets(plan(str(program)), tmp_path, "video", None, task)
