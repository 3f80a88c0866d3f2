"""An engine with a disk in trouble, for tests: recordings to watch, short patience, free space."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib.capture import capture as capture_module
from brlib.disks import Answer
from brlib.disks import disks as disks_module
from brlib.disks import room as room_module
from brlib.disks.base import measure
from brlib.ledger import read
from brlib.models import Activity
from brlib.recorder import active as active_module
from brlib.service import archive as archive_module
from brlib.service import service as service_module

from .engine import Engine
from .media import ts_clips
from .origin import Origin

# A busy machine's slack over the tenths of a second below.
ANSWER_MAX_S = 6.0


def be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of a few tenths of a second."""
    for module, name, value in (
        (capture_module, "HANGING_S", 0.3), (capture_module, "OWN_WAIT_S", 0.2),
        (active_module, "HANGING_MAX_S", 1.0), (active_module, "DISK_RETRY_S", 0.3),
        (disks_module, "ASK_EVERY_S", 0.1), (disks_module, "LOOK_EVERY_S", 0.05),
        (disks_module, "SILENT_S", 0.5), (disks_module, "REQUIRED_S", 0.3),
        (disks_module, "FIRST_MAX_S", 0.5), (room_module, "LOOK_EVERY_S", 0.1),
        (room_module, "SETTLED_S", 0.2), (archive_module, "STOP_MAX_S", 0.5),
        (service_module, "STOP_MAX_S", 1.0),
    ):
        monkeypatch.setattr(module, name, value)


@contextmanager
def two_origins() -> Iterator[tuple[Origin, Origin]]:
    """Everything stays on offer."""
    with Origin(window=0) as one, Origin(window=0) as other:
        yield one, other


def offer(origin: Origin, count: int) -> None:
    for clip in ts_clips(24)[len(origin.offered):len(origin.offered) + count]:
        origin.add(clip)


def until(done: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    end_s, pause = time.monotonic() + timeout_s, threading.Event()
    while not done():
        assert time.monotonic() < end_s, what
        pause.wait(0.02)


def record(engine: Engine, origin: Origin, name: str, **options: Any) -> str:
    """Its id, once three segments and its notes are in."""
    offer(origin, 3)
    channel = engine.add(origin.url, display_name=name, **options)
    event = engine.wait_for(
        lambda e: e.type == "segment_downloaded" and e.data["channel_id"] == channel.id
        and e.data["segments"] >= 3, what=f"{name} recording")
    recording_id = str(event.data["id"])
    until(lambda: "quality" in read(engine.capture_directory(recording_id)).notes, "notes")
    return recording_id


def segments(engine: Engine, recording_id: str) -> int:
    return engine.recording(recording_id).sums.segments


def activity(engine: Engine, recording_id: str) -> Activity:
    return engine.service.recorder.get(recording_id).activity


def finish(engine: Engine, *origins: Origin) -> None:
    for origin in origins:
        origin.end()
    for _ in origins:
        engine.wait_complete()


class Space:
    """How much is free on each disk of an engine, as the test says: by directory."""

    def __init__(self, engine: Engine) -> None:
        self.free: dict[str, int] = {}
        self._engine = engine
        engine.service.disks._measure = self._measure

    def _measure(self, path: Path) -> Answer:
        free = self.free.get(str(path))
        answer = measure(path)
        return answer if free is None else replace(
            answer, free_bytes=free, device=answer.device + hash(str(path)) % 1000 + 1)

    def set(self, path: Path, free_bytes: int) -> None:
        self.free[str(path)] = free_bytes
