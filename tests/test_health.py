"""What health says of threads: which are dead or stuck, and whether anything can be recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brlib.events import EventBus
from brlib.models import Activity
from brlib.pulse import Pulse
from brlib.service import health
from brlib.watchdog import Standstill

from .engine import Engine

WAIT_S = 20.0


def worker(
    name: str = "config", died: bool = False, busy_s: float = 0.0, error: str | None = None
) -> Any:
    pulse = SimpleNamespace(stuck=busy_s > 60, busy_s=busy_s)
    return SimpleNamespace(name=name, died=died, pulse=pulse, last_error=error)


def active(busy_s: float) -> Any:
    return SimpleNamespace(
        recording=SimpleNamespace(id="rec_1"), channel=SimpleNamespace(display_name="Chess"),
        pulse=SimpleNamespace(stuck=busy_s > 300, busy_s=busy_s))


DEAD = "the {} thread is dead: restart the daemon"
STUCK = "the {} thread has been at one step for 61 s: if that lasts, restart the daemon"


@pytest.mark.parametrize("workers, recordings, still", [
    ([worker(), worker("supervisor", busy_s=59)], [active(299)], []),
    ([worker(died=True)], [], [Standstill("config", DEAD.format("config"), False)]),
    ([worker("supervisor", died=True)], [],
     [Standstill("supervisor", DEAD.format("supervisor"), True)]),
    ([worker("supervisor", busy_s=61.2)], [],
     [Standstill("supervisor", STUCK.format("supervisor"), True)]),
    ([worker("images-0", busy_s=61.2)], [],
     [Standstill("images-0", STUCK.format("images-0"), False)]),
    ([], [active(301), active(1)],
     [Standstill("rec-rec_1", "rec_1 (Chess) has been at one step for 301 s: its disk may not "
                 "answer", False)]),
])
def test_who_does_not_move(
    workers: list[Any], recordings: list[Any], still: list[Standstill]
) -> None:
    assert health.find_still(workers, recordings, EventBus()) == still


@pytest.mark.parametrize("name, fatal", [("supervisor", True), ("config", False)])
def test_a_check_loop_that_only_fails_records_nothing(name: str, fatal: bool) -> None:
    room = SimpleNamespace(problems=lambda: ([], False))
    tools = SimpleNamespace(problem=lambda: None)
    found = health.problems(
        room, tools, [worker(name, error="disk I/O error")], [])  # type: ignore[arg-type]
    assert found == ([f"the {name} thread fails: disk I/O error"], fatal)
    assert health.problems(
        room, tools, [worker(name)], []) == ([], False)  # type: ignore[arg-type]


def test_a_bus_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "BUS_MAX_S", 0.01)
    bus = EventBus()
    with bus._lock:
        (still,) = health.find_still([], [], bus)
    assert still.vital and "events" in still.sentence
    assert health.find_still([], [], bus) == []


def test_a_recording_that_hangs_is_its_own_trouble(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says `blocked`, health names it, and the others go on."""
    one = engine()
    release, hangs = threading.Event(), threading.Event()

    def hang(channel: Any) -> None:
        hangs.set()
        release.wait(WAIT_S)

    monkeypatch.setattr("brlib.recorder.active.STEP_MAX_S", 0.05)
    platform = one.service.platforms["url"]
    monkeypatch.setattr(platform, "open", hang)
    channel = one.add("http://127.0.0.1:9/live.m3u8", enabled=False)
    recording = one.service.recorder.record(channel, SimpleNamespace(
        id="b", title="", category=None))  # type: ignore[arg-type]
    try:
        assert hangs.wait(WAIT_S)
        pause = threading.Event()
        while not recording.pulse.stuck:
            pause.wait(0.01)
        assert recording.activity is Activity.BLOCKED
        sentences, fatal = one.service.problems()
        assert not fatal
        assert [s for s in sentences if f"{recording.recording.id} (" in s] == sentences
    finally:
        release.set()


def test_a_pulse_between_two_steps_is_calm() -> None:
    assert not Pulse(0.0).stuck
