"""Clocks that are set, and machines that sleep: what was decided by time stays right."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brlib.accounts import Accounts
from brlib.capture.base import Source, Timeouts
from brlib.capture.capture import Capture
from brlib.capture.session import Session, Start
from brlib.clocks import STEADY_AFTER_S, WallClock, boot_s
from brlib.config import Settings
from brlib.continuity import Meaning
from brlib.errors import Unauthorized, Unavailable
from brlib.models import Broadcast, Channel, GapCause, Role, utc_now
from brlib.passwords import Passwords
from brlib.recorder.doubt import Doubt
from brlib.recorder.reception import Reception
from brlib.rules import Verdict
from brlib.store import open_store

from .checking import Loop
from .engine import Engine

HOUR_S, DAY_S = 3600.0, 86400.0
START = datetime(2026, 3, 1, tzinfo=UTC)


class Machine:
    """Its three clocks."""

    def __init__(self) -> None:
        self.monotonic_s = 100.0
        self.boot_s = 100.0
        self.wall = START

    def run(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        self.boot_s += seconds
        self.set(seconds)

    def set(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)

    def wall_clock(self, known: datetime | None = None) -> WallClock:
        return WallClock(known, lambda: self.wall, lambda: self.boot_s, lambda: self.monotonic_s)


@pytest.fixture
def machine() -> Machine:
    return Machine()


# Whether the wall clock is believed.


def test_the_boot_clock_is_real() -> None:
    before = boot_s()
    assert boot_s() >= before > 0


@pytest.mark.parametrize("happens, slept_s, doubted", [
    pytest.param(lambda m: m.run(DAY_S), 0.0, False, id="a day"),
    pytest.param(lambda m: m.sleep(8 * HOUR_S), 8 * HOUR_S, False, id="sleep"),
    pytest.param(lambda m: m.sleep(1.0), 0.0, False, id="a nap"),
    pytest.param(lambda m: m.set(-DAY_S), 0.0, True, id="a day back"),
    pytest.param(lambda m: m.set(DAY_S), 0.0, True, id="a day on"),
    pytest.param(lambda m: m.set(73 * 365 * DAY_S), 0.0, True, id="2099"),
    pytest.param(lambda m: m.set(50.0), 0.0, False, id="a minute"),
    pytest.param(lambda m: (m.sleep(HOUR_S), m.set(-DAY_S)), HOUR_S, True, id="both"),
])
def test_what_the_clocks_say(
    machine: Machine, happens: Callable[[Machine], object], slept_s: float, doubted: bool
) -> None:
    clock = machine.wall_clock()
    happens(machine)
    assert clock.look() == slept_s
    assert clock.look() == 0.0
    assert (clock.doubted_for_s > 0) is doubted


@pytest.mark.parametrize("away, doubted", [
    (timedelta(0), False), (timedelta(hours=20), False), (timedelta(days=40), True),
    (timedelta(minutes=-30), False), (timedelta(days=-2), True),
])
def test_what_an_earlier_process_noted(
    machine: Machine, away: timedelta, doubted: bool
) -> None:
    """Off for long, started in the past, or a clock that was wrong then: nobody can tell."""
    assert (machine.wall_clock(START - away).doubted_for_s > 0) is doubted


def test_a_clock_that_stays_as_it_is_is_believed_again(machine: Machine) -> None:
    clock = machine.wall_clock()
    machine.set(DAY_S)
    assert clock.doubted_for_s == STEADY_AFTER_S
    machine.run(STEADY_AFTER_S - 1)
    assert clock.doubted_for_s == 1.0
    machine.run(1)
    assert clock.doubted_for_s == 0.0
    machine.set(-DAY_S)
    assert clock.doubted_for_s == STEADY_AFTER_S


def test_many_small_steps_are_a_large_one(machine: Machine) -> None:
    clock = machine.wall_clock()
    for _ in range(3):
        machine.set(HOUR_S / 2)
        clock.look()
    assert clock.doubted_for_s > 0


# What is deleted for its age.


def test_nothing_is_deleted_for_its_age_by_a_doubted_clock(
    engine: Callable[..., Engine], machine: Machine
) -> None:
    service = engine(retention_days=30).service
    service.wall_clock = machine.wall_clock()
    assert service.upkeep.cleanup().deleted == []
    machine.set(73 * 365 * DAY_S)
    with pytest.raises(Unavailable, match="24.0 hours"):
        service.upkeep.cleanup()
    machine.run(STEADY_AFTER_S)
    assert service.upkeep.cleanup().deleted == []


def test_what_goes_by_number_needs_no_clock(
    engine: Callable[..., Engine], machine: Machine
) -> None:
    service = engine(retention_keep_latest=3).service
    service.wall_clock = machine.wall_clock()
    machine.set(DAY_S)
    assert service.upkeep.cleanup().deleted == []


# Checks.


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    one = Loop(tmp_path, twitch_interval=30.0, youtube_interval=180.0)
    yield one
    one.close()


@pytest.mark.parametrize("days", [-1, 1, 30000])
def test_checks_go_on_as_before_when_the_clock_is_set(loop: Loop, days: int) -> None:
    loop.add_many("twitch", 3)
    loop.run(300)
    loop.asked("twitch")
    loop.clock.started += timedelta(days=days)
    loop.run(300)
    assert 9 <= len(loop.asked("twitch")) <= 11


def test_after_a_sleep_everyone_is_asked_for_at_once(loop: Loop) -> None:
    """The loop's own clock has stood still meanwhile."""
    for platform in ("twitch", "youtube"):
        loop.add(platform, "one")
    loop.run(5)
    for platform in ("twitch", "youtube"):
        loop.asked(platform)
    loop.clock.started += timedelta(hours=8)
    loop.supervisor.awoke()
    loop.run(5)
    assert [loop.asked(platform) for platform in ("twitch", "youtube")] == [[("one",)]] * 2
    assert loop.supervisor.channels == 2


@pytest.mark.parametrize("days", [1, 30000])
def test_a_rest_that_a_wrong_clock_wrote_down_ends(loop: Loop, days: int) -> None:
    loop.add("twitch", "one")
    loop.store.rests.keep("twitch", loop.clock.now() + timedelta(days=days))
    loop.start()
    loop.run(2 * HOUR_S)
    assert len(loop.asked("twitch")) > 60


# Recordings.


def segment(num: int) -> Any:
    return SimpleNamespace(num=num, uri=f"https://cdn.test/{num}.ts", byterange=None, date=None,
                           duration=2.0, discontinuity=False, map=None)


def watching(machine: Machine, last: int) -> Session:
    """A session that has seen the segments up to `last`."""
    committer: Any = SimpleNamespace(digest=lambda num, epoch: None)
    session = Session(
        "x", committer, Start(None, 0, None), Timeouts(), lambda: None,
        clock=lambda: machine.monotonic_s, boot=lambda: machine.boot_s)
    seen = [segment(num) for num in range(last - 2, last + 1)]
    session.judge(seen, False, lambda _: None)
    for one in seen:
        session.queued(one)
    return session


@pytest.mark.parametrize("happens, next_num, missed", [
    pytest.param(lambda m: m.run(2), 11, 0, id="at once"),
    pytest.param(lambda m: m.set(DAY_S), 11, 0, id="a day on"),
    pytest.param(lambda m: m.set(-DAY_S), 11, 0, id="a day back"),
    pytest.param(lambda m: m.sleep(8 * HOUR_S), 14411, 14400, id="sleep"),
])
def test_what_is_missing_is_counted(
    machine: Machine, happens: Callable[[Machine], object], next_num: int, missed: int
) -> None:
    """By the numbers, which are believed as far as time has really passed: a sleep in which
    no time passed would make another broadcast of them, with nothing missing."""
    session = watching(machine, 10)
    happens(machine)
    judgement = session.judge(
        [segment(num) for num in range(next_num, next_num + 3)], False, lambda _: None)
    assert (judgement.meaning, judgement.start) == (Meaning.CONTINUE, next_num)
    assert judgement.missed == missed


@pytest.mark.parametrize("sees, cause", [
    pytest.param(lambda m, s: [(m.run(5), s.reloaded(2.0)) for _ in range(6)], GapCause.OFFLINE,
                 id="the playlist stood still under our eyes"),
    pytest.param(lambda m, s: (m.run(30), s.reloaded(2.0)), GapCause.EXPIRED, id="unseen"),
    pytest.param(lambda m, s: (m.sleep(30), s.reloaded(2.0)), GapCause.EXPIRED, id="asleep"),
    pytest.param(lambda m, s: [(m.run(5), s.reload_failed(OSError())) for _ in range(6)],
                 GapCause.NETWORK, id="out of reach"),
])
def test_why_a_source_that_begins_anew_was_away(
    machine: Machine, sees: Callable[[Machine, Session], object], cause: GapCause
) -> None:
    session = watching(machine, 10)
    began = segment(11)
    began.date = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    session.queued(began)
    sees(machine, session)
    anew = segment(0)
    anew.date = began.date + timedelta(seconds=30)
    session.judge([anew], False, lambda _: None)
    assert session._pending_miss is not None
    assert (session._pending_miss.cause, session._pending_miss.segments) == (cause, 0)


@pytest.mark.parametrize("happens, idle_s", [
    (lambda m: m.run(5), 5.0), (lambda m: m.sleep(8 * HOUR_S), 8 * HOUR_S),
    (lambda m: m.set(DAY_S), 0.0), (lambda m: m.set(-DAY_S), 0.0),
])
def test_how_long_a_capture_has_stood(
    tmp_path: Path, machine: Machine, happens: Callable[[Machine], object], idle_s: float
) -> None:
    clocks: dict[str, Any] = {
        "on_news": lambda: None, "clock": lambda: machine.boot_s, "now": lambda: machine.wall}
    capture = Capture.create("x", tmp_path / "capture", **clocks)
    capture.commit(Source(1, 0, 2.0, "a", None, False), b"\x47" + bytes(187), None,
                   threading.Event())
    happens(machine)
    assert capture.idle_s == idle_s
    capture.suspend()
    # A daemon that starts has nothing but the wall clock; back in time is not before it.
    again = Capture.recover("x", tmp_path / "capture", **clocks)
    assert again.idle_s == max(0.0, (machine.wall - START).total_seconds())
    again.suspend()


class Platform:
    """Calls it live with the segment that we have, or offline."""

    def __init__(self, answer: Broadcast | None) -> None:
        self._answer = answer

    def check(self, channel: Channel) -> Broadcast | None:
        return self._answer


@pytest.mark.parametrize("answer, verdict", [
    (Broadcast(edge="9:x"), Verdict.STALLED), (None, Verdict.OFFLINE),
])
def test_a_wrong_clock_shortens_nobodys_patience(
    tmp_path: Path, machine: Machine, answer: Broadcast | None, verdict: Verdict
) -> None:
    """The daemon starts, and by the wall clock the last segment came a day ago."""
    capture = SimpleNamespace(idle_s=DAY_S, edge="9:x")
    captures: Any = SimpleNamespace(recover=lambda *_: capture)
    reception = Reception(
        captures, "x", tmp_path, lambda: None, None, lambda: machine.monotonic_s)
    reception.recover()
    channel = Channel("ch_aaaaaaaaaaaa", "url", "x", "x", "x", "source", True, utc_now())
    platform: Any = Platform(answer)
    doubt = Doubt(platform, channel, lambda: 90.0, lambda: machine.monotonic_s)
    verdicts: list[Verdict | None] = []
    for _ in range(11):
        machine.run(10)
        verdicts.append(doubt.ask(reception.edge, reception.absent_s, 60.0))
    assert verdicts.index(verdict) == 8  # after 90 s of this process
    assert set(verdicts[:8]) == {Verdict.WAIT}


# Logins.


@pytest.mark.parametrize("days", [30000, -30000])
def test_a_login_of_a_wrong_clock_does_not_live_for_years(
    tmp_path: Path, machine: Machine, days: int
) -> None:
    store = open_store(tmp_path / "store.sqlite3")
    settings = replace(Settings(), data_directory=tmp_path, jwt_secret="x" * 40)
    accounts = Accounts(store, lambda: settings, lambda: machine.wall, Passwords())
    accounts.add_user("kim", "correct horse", Role.ADMIN)
    machine.set(days * DAY_S)
    old = accounts.login("kim", "correct horse")
    machine.set(-days * DAY_S)
    new = accounts.login("kim", "correct horse")
    assert accounts.caller(new.text).name == "kim"
    with pytest.raises(Unauthorized):
        accounts.caller(old.text)
    store.close()
