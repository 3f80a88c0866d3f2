"""Tests of brlib.disks.disks: nobody waits for a disk that hangs, and it is asked once."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from brlib.config import Settings
from brlib.disks import Answer, Disks, NoAnswer
from brlib.disks import disks as module
from brlib.disks.base import measure
from brlib.errors import Unavailable

from .frozen import Frozen

SETTINGS = Settings(data_directory=Path("/data"), output_directory=Path("/out"))
ANSWER = Answer(1, 1000, 400, 600, False)


@dataclass
class Field:
    """Disks whose answers the test gives: by path an answer, an error, or a hang."""

    now_s: float = 100.0
    given: dict[str, Answer | OSError | threading.Event] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    settings: Settings = SETTINGS

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.disks = Disks(lambda: self.settings, lambda: self.now_s, self.measure)

    def measure(self, path: Path) -> Answer:
        with self.changed:
            self.asked[str(path)] += 1
            self.changed.notify_all()
        given = self.given.get(str(path), ANSWER)
        if isinstance(given, threading.Event):
            assert given.wait(20)
            given = ANSWER
        if isinstance(given, OSError):
            raise given
        return given

    def step(self, seconds: float = 4.0) -> None:
        """Let it ask, and wait until what answers has answered."""
        self.now_s += seconds
        self.disks.step()
        self.wait(lambda: not self.out())

    def out(self) -> list[str]:
        """Who owes an answer without hanging."""
        return [root.path for root in self.disks._roots.values() if root.out_s is not None
                and not isinstance(self.given.get(root.path), threading.Event)]

    def wait(self, until: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(2000):
            if until():
                return
            pause.wait(0.005)
        raise AssertionError("it does not come to that")

    def hang(self, path: str) -> threading.Event:
        self.given[path] = threading.Event()
        return self.given[path]  # type: ignore[return-value]

    def states(self) -> dict[tuple[str, ...], tuple[bool, str | None]]:
        return {group.paths: (group.silent, group.error) for group in self.disks.groups()}


@pytest.fixture
def field_() -> Iterator[Field]:
    one = Field()
    yield one
    for given in one.given.values():
        if isinstance(given, threading.Event):
            given.set()
    one.disks.stop()
    assert one.disks.join(5)


def test_roots_of_one_device_are_one_disk(field_: Field) -> None:
    field_.given["/nas"] = replace(ANSWER, device=2, free_bytes=7)
    field_.disks.watch(["/nas", "/out", "/nas"])
    field_.step()
    assert field_.states() == {
        ("/data/captures", "/out"): (False, None), ("/nas",): (False, None)}
    assert field_.disks.free_bytes("/nas/x") == 7
    assert field_.disks.free_bytes("/out") == 600
    assert field_.disks.free_bytes("/elsewhere") is None


def test_it_is_asked_every_few_seconds(field_: Field) -> None:
    for _ in range(4):
        field_.step(1.0)
    assert field_.asked["/out"] == 2


def test_a_hanging_disk_is_asked_once_and_known_for_it(field_: Field) -> None:
    field_.step()
    gate = field_.hang("/out")
    field_.given["/data/captures"] = replace(ANSWER, device=9)
    for _ in range(20):
        field_.step()
    assert field_.asked["/out"] == 2
    assert field_.asked["/data/captures"] == 21
    assert field_.states() == {("/data/captures",): (False, None), ("/out",): (True, None)}
    assert field_.disks.free_bytes("/out") is None
    with pytest.raises(NoAnswer, match="/out does not answer"):
        field_.disks.require("/out/x/y.mp4")
    with pytest.raises(NoAnswer, match="/out does not answer"):
        field_.disks.ask("/out/x", lambda: "nobody waits for it")
    field_.disks.require("/data/captures/rec_1")
    field_.disks.require("/outside")
    field_.given["/out"] = ANSWER
    gate.set()
    field_.wait(lambda: not field_.states()[("/out",)][0])
    field_.disks.require("/out")


def test_it_is_silent_only_after_a_while(field_: Field) -> None:
    """A disk that sleeps takes some seconds."""
    field_.step()
    field_.hang("/out")
    field_.step()
    field_.now_s += module.REQUIRED_S + 0.1
    with pytest.raises(NoAnswer):
        field_.disks.require("/out")
    assert not any(silent for silent, _ in field_.states().values())
    field_.now_s += module.SILENT_S
    assert any(silent for silent, _ in field_.states().values())


def test_one_root_of_a_hanging_disk_is_enough(field_: Field) -> None:
    """Of a share with a folder for each channel the first that hangs is waited for."""
    names = [f"/nas/{number}" for number in range(100)]
    for name in names:
        field_.given[name] = replace(ANSWER, device=2)
    field_.disks.watch(names)
    while len(field_.asked) < 102:
        field_.step()
    gates = [field_.hang(name) for name in names]
    before = field_.asked.total()
    for _ in range(30):
        field_.step()
    hung = sum(root.out_s is not None for root in field_.disks._roots.values())
    assert hung <= module.ASKERS
    assert field_.asked["/out"] >= 30, "others are asked all the same"
    assert field_.asked.total() - before <= 2 * 30 + module.ASKERS
    for gate in gates:
        gate.set()


def test_disks_that_hang_from_the_start_leave_threads_for_ours(field_: Field) -> None:
    gates = [field_.hang(f"/nas/{number}") for number in range(100)]
    field_.disks.watch(field_.given)
    for _ in range(10):
        field_.step()
    assert field_.asked["/out"] == field_.asked["/data/captures"] == 10
    away = [paths for paths, (silent, _) in field_.states().items() if silent]
    assert len(away) == 100, "those that were never asked do not answer either"
    for gate in gates:
        gate.set()


@pytest.mark.parametrize("given, error", [
    (OSError(errno.ENOENT, "No such file or directory"), "No such file or directory"),
    (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    (replace(ANSWER, read_only=True), "it is mounted read-only"),
])
def test_an_error_is_an_answer(field_: Field, given: Answer | OSError, error: str) -> None:
    """And not one of the disk that was there before, where other roots are."""
    field_.disks.watch(["/nas/a", "/nas/b"])
    field_.given["/nas/a"] = field_.given["/nas/b"] = replace(ANSWER, device=2)
    field_.step()
    assert field_.states()[("/nas/a", "/nas/b")] == (False, None)
    if isinstance(given, Answer):
        given = replace(given, device=3)
    field_.given["/nas/a"] = given
    field_.step()
    assert field_.states()[("/nas/a",)] == (False, error)
    assert field_.states()[("/nas/b",)] == (False, None)
    assert field_.disks.free_bytes("/nas/a") is None
    field_.disks.require("/nas/a")


def test_what_is_not_wanted_any_more_is_forgotten(field_: Field) -> None:
    field_.disks.watch(["/a", "/b"])
    gate = field_.hang("/b")
    field_.step()
    field_.disks.watch([])
    field_.settings = replace(SETTINGS, output_directory=Path("/other"))
    field_.step()
    assert set(field_.disks._roots) == {"/data/captures", "/other", "/b"}
    gate.set()
    field_.given["/b"] = ANSWER
    field_.wait(lambda: field_.disks._roots["/b"].out_s is None)
    field_.step()
    assert set(field_.disks._roots) == {"/data/captures", "/other"}


def test_a_call_gives_what_it_gives(field_: Field) -> None:
    assert field_.disks.ask("/x", lambda: 5) == 5
    with pytest.raises(FileNotFoundError):
        field_.disks.ask("/x", lambda: os.stat("/x/y/z"))


def test_a_call_that_hangs_is_left_and_not_made_again(field_: Field) -> None:
    gate, begun, ended = threading.Event(), Counter[str](), threading.Event()

    def work() -> None:
        begun["work"] += 1
        assert gate.wait(20)
        ended.set()

    with pytest.raises(NoAnswer, match="/x does not answer"):
        field_.disks.ask("/x", work, 0.05)
    field_.now_s += 1
    with pytest.raises(NoAnswer):
        field_.disks.ask("/x", work, 0.05)
    assert begun["work"] == 1
    assert field_.disks.ask("/y", lambda: "others") == "others"
    gate.set()
    assert ended.wait(5)
    field_.wait(lambda: not field_.disks._calls._out)
    assert field_.disks.ask("/x", lambda: "again") == "again"


def test_calls_are_bounded(field_: Field) -> None:
    gate = threading.Event()
    for number in range(40):
        with pytest.raises(Unavailable):
            field_.disks.ask(f"/{number}", lambda: gate.wait(20), 0.01)
    assert len(field_.disks._calls._out) <= 16
    gate.set()


def test_the_start_waits_only_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then by itself as soon as the disk is there."""
    monkeypatch.setattr(module, "FIRST_MAX_S", 0.2)
    settings = Settings(data_directory=tmp_path / "data", output_directory=tmp_path / "out")
    for directory in (settings.captures_directory, settings.output_directory):
        directory.mkdir(parents=True)
    frozen = Frozen(monkeypatch, settings.output_directory, ("stat", "statvfs"))
    frozen.freeze()
    disks = Disks(lambda: settings)
    disks.start()
    captures = str(settings.captures_directory)
    assert disks.free_bytes(captures) and disks.free_bytes(str(tmp_path / "out")) is None
    frozen.thaw()
    pause = threading.Event()
    while disks.free_bytes(str(tmp_path / "out")) is None:
        pause.wait(0.01)
    (group,) = disks.groups()
    assert group.paths[0] == captures and group.usable
    disks.stop()
    assert disks.join(5)


def test_a_real_disk(tmp_path: Path) -> None:
    answer, system = measure(tmp_path), os.statvfs(tmp_path)
    assert answer.total_bytes == system.f_blocks * system.f_frsize
    assert 0 < answer.used_bytes <= answer.total_bytes and not answer.read_only
    assert answer.device == tmp_path.stat().st_dev
    with pytest.raises(FileNotFoundError):
        measure(tmp_path / "gone")
