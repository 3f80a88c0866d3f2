"""Tests of brlib.disks.room: warnings once per crossing, the forecast, who ends and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from brlib.config import Settings
from brlib.disks import Answer, Disks, Group, Room, RoomCommands, Use
from brlib.disks.rates import Rates
from brlib.events import EventBus
from brlib.rules import ROOM_AGAIN_S

MB = 10 ** 6
CAPTURES, OUT, NAS = "/data/captures", "/out", "/nas"


class FakeDisks(Disks):
    """Disks that hold what the test says: (total, free) by directory. Same total: one disk."""

    def __init__(self, settings: Callable[[], Settings], clock: Callable[[], float]) -> None:
        super().__init__(settings, clock)
        self.held: dict[str, tuple[int, int]] = {}
        self.silent: set[str] = set()
        self.errors: dict[str, str] = {}
        self.watched: list[str] = []

    def watch(self, directories: Any) -> None:
        self.watched = list(directories)

    def groups(self) -> list[Group]:
        found: dict[int | str, Group] = {}
        for path, (total, free) in self.held.items():
            error = self.errors.get(path)
            key = path if error else total
            paths = found[key].paths if key in found else ()
            found[key] = Group(key, (*paths, path), Answer(total, total, total - free, free, False),
                               self._clock(), path in self.silent, error)
        return list(found.values())

    def find(self, directory: str) -> Group | None:
        return next((g for g in self.groups()
                     if any(Path(directory).is_relative_to(p) for p in g.paths)), None)


@dataclass
class Hall:
    """A room over fake disks, with recordings that the test lets grow."""

    settings: Settings = field(default_factory=lambda: Settings(
        data_directory=Path("/data"), output_directory=Path(OUT), min_free_space=100 * MB))
    now_s: float = 1000.0
    uses: dict[str, Use] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    room_again: int = 0

    def __post_init__(self) -> None:
        self.bus = EventBus()
        self.subscription = self.bus.subscribe()
        self.disks = FakeDisks(lambda: self.settings, lambda: self.now_s)
        self.one_disk(10_000, 5_000)

        def again() -> None:
            self.room_again += 1

        self.room = Room(
            lambda: self.settings, self.disks, self.bus, RoomCommands(
                uses=lambda: list(self.uses.values()), directories=lambda: [NAS],
                stop=self.stopped.append, on_room=again),
            lambda: self.now_s)

    def one_disk(self, total_mb: int, free_mb: float) -> None:
        self.disks.held = {CAPTURES: (total_mb * MB, round(free_mb * MB)),
                           OUT: (total_mb * MB, round(free_mb * MB))}

    def two_disks(self, captures_free_mb: int, out_free_mb: int) -> None:
        self.disks.held = {CAPTURES: (10_000 * MB, captures_free_mb * MB),
                           OUT: (20_000 * MB, out_free_mb * MB)}

    def record(self, name: str, captured_mb: int, fed_mb: int | None = None, priority: int = 0,
               output: str = OUT, active: bool = True) -> None:
        fed_mb = captured_mb if fed_mb is None else fed_mb
        self.uses[name] = Use(name, priority, output, captured_mb * MB, fed_mb * MB, active)

    def step(self, seconds: float = 2.0) -> None:
        """Two looks: who ends for want of room does so at the second."""
        for wait_s in (seconds, 1e-9):
            self.now_s += wait_s
            self.room.step()

    def told(self) -> list[tuple[str, int]]:
        found = []
        while (event := self.subscription.get(0)) is not None:
            assert event.type == "disk_warning"
            found.append((event.data["limit"], event.data["used_percent"]))
        return found

    def states(self) -> dict[str, str]:
        return {path: disk["state"] for disk in self.room.info()["disks"]
                for path in disk["paths"]}


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_a_warning_is_told_once_per_crossing(hall: Hall) -> None:
    for free_mb, told, state in (
        (5000, [], "ok"), (1001, [], "ok"), (1000, [("disk_warning_percent", 90)], "warning"),
        (900, [], "warning"), (1150, [], "warning"), (950, [], "warning"), (1300, [], "ok"),
        (1000, [("disk_warning_percent", 90)], "warning"),
    ):
        hall.one_disk(10_000, free_mb)
        if free_mb == 1001:
            hall.one_disk(10_000, 1101)
        hall.step()
        assert hall.told() == told, free_mb
        assert hall.states() == {CAPTURES: state, OUT: state}


def test_what_a_warning_says(hall: Hall) -> None:
    hall.settings = replace(hall.settings, disk_warning_percent=50)
    hall.two_disks(5_000, 20_000)
    hall.step()
    event = hall.subscription.get(0)
    assert event is not None and event.data == {
        "path": CAPTURES, "free_bytes": 5_000 * MB, "total_bytes": 10_000 * MB,
        "used_percent": 50, "limit": "disk_warning_percent", "threshold": 50,
        "hours_left": None}
    assert hall.told() == []


def test_no_recording_begins_below_the_limit_until_there_is_room_again(hall: Hall) -> None:
    hall.step()
    assert hall.room.allows(None)
    hall.one_disk(10_000, 99)
    hall.step()
    assert not hall.room.allows(None) and not hall.room.allows(NAS)
    assert hall.told()[-1] == ("min_free_space", 100)
    assert hall.states()[CAPTURES] == "full"
    sentences, fatal = hall.room.problems()
    assert fatal and "min_free_space" in sentences[0]
    for free_mb in (100, 105, 109):
        hall.one_disk(10_000, free_mb)
        hall.step()
        assert not hall.room.allows(None), "a tenth more is wanted"
    assert (hall.room_again, hall.told()) == (0, [])
    hall.one_disk(10_000, 110)
    hall.step()
    assert hall.room.allows(None) and hall.room_again == 1
    assert hall.room.problems() == ([], False)


def test_room_again_is_ten_minutes_of_what_was_written(hall: Hall) -> None:
    hall.one_disk(100_000, 5_000)
    for second in range(60):
        hall.record("a", second * 2)  # 1 MB/s, twice
        hall.step(2.0)
    hall.one_disk(100_000, 99)
    hall.step()
    assert hall.stopped == ["a"]
    hall.uses.clear()
    enough_mb = 100 + 2 * ROOM_AGAIN_S
    for free_mb, allowed in ((enough_mb * 0.9, False), (enough_mb * 1.1, True)):
        hall.one_disk(100_000, free_mb)
        hall.step(100)
        assert hall.room.allows(None) is allowed


def test_only_recordings_on_a_short_disk_are_held_up(hall: Hall) -> None:
    hall.two_disks(5_000, 50)
    hall.disks.held[NAS] = (30_000 * MB, 9_000 * MB)
    hall.record("here", 10)
    hall.record("there", 99, output=NAS)
    hall.step()
    assert not hall.room.allows(None) and hall.room.allows(NAS)
    assert hall.stopped == ["here"]
    assert hall.room.problems()[1] is False, "others can be recorded"
    assert NAS in hall.disks.watched


@pytest.mark.parametrize("path, allowed, fatal", [(CAPTURES, False, True), (OUT, True, False)])
@pytest.mark.parametrize("how", ["silent", "error"])
def test_a_disk_that_is_away(
    hall: Hall, path: str, allowed: bool, fatal: bool, how: str
) -> None:
    """Without the captures' nothing is recorded; a file can be made later."""
    hall.two_disks(5_000, 5_000)
    hall.step()
    if how == "silent":
        hall.disks.silent.add(path)
    else:
        hall.disks.errors[path] = "Input/output error"
        hall.step()
    assert hall.room.allows(None) is allowed
    sentences, said_fatal = hall.room.problems()
    assert said_fatal is fatal and len(sentences) == 1 and path in sentences[0]
    assert hall.states()[path] == ("no_answer" if how == "silent" else "error")


def test_a_disk_that_does_not_answer_stops_nobody(hall: Hall) -> None:
    hall.record("a", 10)
    hall.one_disk(10_000, 50)
    hall.disks.silent |= {CAPTURES, OUT}
    hall.step()
    assert hall.stopped == [] and hall.told() == []


def test_one_at_a_time_and_the_next_when_the_file_is_finished(hall: Hall) -> None:
    for name, priority, captured in (("low", 0, 5), ("big", 1, 900), ("small", 1, 20)):
        hall.record(name, captured, priority=priority)
    hall.one_disk(10_000, 90)
    for _ in range(20):
        hall.step()
    assert hall.stopped == ["low"]
    hall.record("low", 5, active=False)  # being finished
    for _ in range(20):
        hall.step()
    assert hall.stopped == ["low"]
    del hall.uses["low"]
    hall.step()
    assert hall.stopped == ["low"], "what it gave back is not seen yet"
    for _ in range(3):
        hall.step()
    assert hall.stopped == ["low", "big"], "of two alike the one that gives back more"
    hall.one_disk(10_000, 990)
    del hall.uses["big"]
    for _ in range(10):
        hall.step()
    assert hall.stopped == ["low", "big"], "there is room: the last goes on"
    assert not hall.room.allows(None) or hall.room_again == 1


def test_finishing_is_not_waited_for_when_the_rest_runs_out(hall: Hall) -> None:
    hall.record("a", 10)
    hall.record("b", 20, priority=5)
    hall.one_disk(10_000, 90)
    hall.step()
    hall.record("a", 10, active=False)
    for free_mb, stopped in ((80, ["a"]), (65, ["a"]), (64, ["a", "b"]), (10, ["a", "b"])):
        hall.one_disk(10_000, free_mb)
        hall.step()
        assert hall.stopped == stopped, free_mb


def test_room_to_finish_is_kept_where_files_are_made_afterwards(hall: Hall) -> None:
    """On one disk for as many as are finished at a time, as each gives back what it took."""
    hall.settings = replace(hall.settings, processing_timing="after", max_concurrent_processing=1)
    hall.record("a", 300, fed_mb=0, priority=1)
    hall.record("b", 200, fed_mb=0)
    hall.one_disk(10_000, 400)
    hall.step()
    assert hall.stopped == []
    hall.one_disk(10_000, 399)
    hall.step()
    assert hall.stopped == ["b"]
    # Writing its file takes room, and needs it no more.
    hall.record("b", 200, fed_mb=150, active=False)
    hall.one_disk(10_000, 249)
    for _ in range(5):
        hall.step()
    assert hall.stopped == ["b"]


@pytest.mark.parametrize("kept, free_mb, stopped", [
    ("", 601, []), ("", 599, ["a"]), ("abc", 701, []), ("abc", 699, ["a"]),
    # All of c's, and the two largest of those that go.
    ("c", 701, []), ("c", 699, ["a"]), ("a", 701, []), ("a", 699, ["a"]),
])
def test_what_is_kept_gives_nothing_back(
    hall: Hall, kept: str, free_mb: int, stopped: list[str]
) -> None:
    """By each recording's own processing."""
    hall.settings = replace(hall.settings, max_concurrent_processing=2)
    for name, captured in (("a", 300), ("b", 200), ("c", 100)):
        hall.record(name, captured, fed_mb=0)
        hall.uses[name] = replace(hall.uses[name], gives_back=name not in kept)
    hall.one_disk(10_000, free_mb)
    hall.step()
    assert hall.stopped == stopped


def test_the_output_disk_needs_room_for_every_file(hall: Hall) -> None:
    for name in "ab":
        hall.record(name, 300, fed_mb=0)
    hall.two_disks(5_000, 701)
    hall.step()
    assert hall.stopped == []
    hall.two_disks(5_000, 699)
    hall.step()
    assert hall.stopped == ["a"]


def test_the_forecast_is_by_what_is_really_written(hall: Hall) -> None:
    """Live on one disk everything is written twice; on two, once on each."""
    for second in range(0, 60, 2):
        hall.record("a", 500 + second * 5)
        hall.step()
    (disk,) = hall.room.info()["disks"]
    assert disk["write_rate"] == pytest.approx(10 * MB)
    assert disk["hours_left"] == pytest.approx(4_900 / 10 / 3600, abs=0.01)
    assert hall.room.info()["hours_left"] == disk["hours_left"]
    hall.two_disks(1_000, 2_000)
    hall.step()
    captures, out = hall.room.info()["disks"]
    assert captures["hours_left"] == pytest.approx(900 / 5 / 3600, abs=0.01)
    assert out["hours_left"] == pytest.approx(1_900 / 5 / 3600, abs=0.01)
    assert hall.room.info()["hours_left"] == captures["hours_left"]


def test_a_file_that_is_made_afterwards_counts_in_the_forecast(hall: Hall) -> None:
    hall.two_disks(5_000, 5_000)
    for second in range(0, 60, 2):
        hall.record("a", second * 5, fed_mb=0)
        hall.step()
    captures, out = hall.room.info()["disks"]
    assert (captures["write_rate"], out["write_rate"]) == (5 * MB, 0)
    assert out["hours_left"] == pytest.approx((5_000 - 100 - 290) / 5 / 3600, abs=0.01)


def test_without_a_recording_there_is_no_forecast(hall: Hall) -> None:
    for _ in range(10):
        hall.step()
    info = hall.room.info()
    assert info["hours_left"] is None
    assert [disk["hours_left"] for disk in info["disks"]] == [None]


def test_what_a_recording_cannot_write_is_said_and_stops_no_other(hall: Hall) -> None:
    hall.record("a", 10)
    hall.uses["a"] = replace(hall.uses["a"], trouble="Input/output error")
    hall.step()
    sentences, fatal = hall.room.problems()
    assert not fatal and "Input/output error" in sentences[0] and hall.room.allows(None)
    hall.record("a", 11)
    hall.step()
    assert hall.room.problems() == ([], False)


# Rates.


def test_a_rate_is_of_what_was_written_since() -> None:
    rates = Rates()
    rates.note(0.0, [("d", "old", 5000)])
    assert rates.all() == {}
    rates.note(10.0, [("d", "old", 5100), ("d", "new", 700)])
    assert rates.all() == {"d": 10.0}
    rates.note(20.0, [("d", "old", 5200), ("d", "new", 800)])
    assert rates.all() == {"d": 15.0}


def test_a_rate_forgets_what_was_long_ago() -> None:
    rates = Rates()
    for second in range(0, 300, 2):
        rates.note(float(second), [("d", "a", min(second, 100) * 10)])
    assert rates.all() == {"d": 0.0}


def test_a_file_that_is_begun_again_is_written_again() -> None:
    rates = Rates()
    for second, size in ((0, 0), (10, 1000), (20, 100)):
        rates.note(float(second), [("d", "a", size)])
    assert rates.all() == {"d": 55.0}
