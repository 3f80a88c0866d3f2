"""Broadcasts with a script, recorded side by side by one engine.

A test module lists its scenarios; `record_all` plays each from an origin of its own and
hands over what was offered and what was recorded. Side by side, because each takes seconds
of real time and almost no CPU.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brlib.capture import Timeouts
from brlib.models import Recording

from .engine import FAST, Engine
from .faults import Fault, Offered
from .media import Clip
from .origin import Origin


@dataclass(frozen=True)
class Scenario:
    """`script` publishes the broadcast, one segment after the other, and returns at its end."""

    name: str
    script: Callable[[Origin], None]
    origin: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    parts: int = 1
    lost: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    recording: Recording
    directory: Path
    offered: list[Offered]
    fetches: list[str]


def publish(
    origin: Origin, clips: list[Clip], *, every_s: float = 0.2, init: bytes | None = None,
    discontinuity: bool = False,
) -> None:
    """Offer clips at the pace of a live encoder (faster than real time)."""
    pace = threading.Event()
    for position, clip in enumerate(clips):
        origin.add(clip, init=init, discontinuity=discontinuity and position == 0)
        pace.wait(every_s)


def until_fetched(origin: Origin, name: str, timeout_s: float = 20.0) -> None:
    """Wait until somebody asked the origin for a segment and got it."""
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not any(r.path.endswith(name) and r.status in (200, 206) for r in origin.requests):
        assert time.monotonic() < deadline_s, f"{name} was never fetched"
        pause.wait(0.05)


def record_all(
    scenarios: list[Scenario], directory: Path, timeout_s: float, timeouts: Timeouts = FAST
) -> dict[str, Outcome]:
    """Play and record every scenario at the same time, in one engine that keeps captures."""
    engine = Engine(directory, timeouts, capture_after="keep",
                    max_concurrent_recordings=len(scenarios))
    try:
        return _record(scenarios, engine, timeout_s)
    finally:
        engine.close()


def _record(
    scenarios: list[Scenario], engine: Engine, timeout_s: float
) -> dict[str, Outcome]:
    with ExitStack() as stack:
        origins = {s.name: stack.enter_context(Origin(**s.origin)) for s in scenarios}
        for scenario in scenarios:
            origins[scenario.name].faults.extend(scenario.faults)
        errors: list[BaseException] = []
        threads = [_player(s, origins[s.name], errors) for s in scenarios]
        channels = {
            engine.add(origins[s.name].url, display_name=s.name).id: s.name for s in scenarios}
        outcomes: dict[str, Outcome] = {}
        deadline_s = time.monotonic() + timeout_s
        while len(outcomes) < len(scenarios):
            recording = engine.wait_complete(max(0.1, deadline_s - time.monotonic()))
            name = channels[recording.channel_id]
            assert name not in outcomes, f"{name} was recorded twice"
            outcomes[name] = Outcome(
                recording, engine.capture_directory(recording.id), list(origins[name].offered),
                [r.path for r in origins[name].requests])
        for thread in threads:
            thread.join(10)
    if errors:
        raise errors[0]
    return outcomes


def _player(scenario: Scenario, origin: Origin, errors: list[BaseException]) -> threading.Thread:
    begun = threading.Event()

    def play() -> None:
        try:
            scenario.script(_Signalling(origin, begun))  # type: ignore[arg-type]
            origin.end()
        except BaseException as error:  # shown by the test, whatever it is
            errors.append(error)
            origin.end()

    thread = threading.Thread(target=play, name=f"play-{scenario.name}")
    thread.start()
    assert begun.wait(10), "nothing was published"
    return thread


class _Signalling:
    """An origin that says when its first segment is there."""

    def __init__(self, origin: Origin, begun: threading.Event) -> None:
        self._origin = origin
        self._begun = begun

    def add(self, *args: Any, **options: Any) -> Offered:
        offered = self._origin.add(*args, **options)
        self._begun.set()
        return offered

    def __getattr__(self, name: str) -> Any:
        return getattr(self._origin, name)
