"""One broadcast from several stand-in origins at once, one for each recorder.

The same segments at the same moments with the same faults; origins of their own, because a
fault of "the first try" must not be used up by the others. Used by `bench.tables.complete`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from tests.faults import LIST_TYPE, Reply
from tests.media import Clip, ts_clips
from tests.origin import Origin

from .schedules import Schedule

# What is listed when the recorders start; a recorder that joins 3 from the end has it all.
FIRST_SEGMENTS = 2
STEP_S = 0.05
JOIN_MAX_S = 30.0


class SignedOrigin(Origin):
    """Hands out addresses for playlist and segments in its master playlist; each is good for
    `valid_s`, and answers 403 from then on."""

    def __init__(self, valid_s: float, *, window: int, target_s: int) -> None:
        super().__init__(window=window, target_s=target_s)
        self._valid_s = valid_s

    def answer(self, method: str, path: str, range_: str | None) -> Reply:
        now_ms = int(1000 * time.monotonic())
        if path == "/master.m3u8":
            words = ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=320x180\n"
                     f"signed/{now_ms}/live.m3u8\n")
            return Reply(200, words.encode(), LIST_TYPE)
        _, word, given_ms, rest = [*path.split("/", 3), "", ""][:4]
        if word != "signed" or not given_ms.isdigit():
            return Reply(404)
        if now_ms - int(given_ms) >= 1000 * self._valid_s:
            return Reply(403)
        return super().answer(method, f"/{rest}", range_)


class Broadcast:
    """The origins of one schedule, by the name of the recorder; use it as a context manager."""

    def __init__(self, schedule: Schedule, names: Sequence[str]) -> None:
        self.schedule = schedule
        self.clips = media(schedule)
        self.origins = {name: self._origin() for name in names}
        self._ends = ExitStack()
        self._pause = threading.Event()
        self._published = 0

    def _origin(self) -> Origin:
        window, target_s = self.schedule.window, round(self.schedule.segment_s) or 1
        if self.schedule.valid_s is not None:
            return SignedOrigin(self.schedule.valid_s, window=window, target_s=target_s)
        return Origin(window=window, target_s=target_s)

    def __enter__(self) -> Self:
        for origin in self.origins.values():
            self._ends.enter_context(origin)
        for _ in range(FIRST_SEGMENTS):
            self._publish()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def address(self, name: str) -> str:
        """The one that a person would give the recorder."""
        origin = self.origins[name]
        return origin.url if self.schedule.valid_s is None else origin.master_url

    def joined(self, name: str) -> bool:
        return any(r.path.endswith(".ts") and r.status in (200, 206)
                   for r in self.origins[name].requests)

    def wait_joined(self, each_step: Callable[[], None]) -> list[str]:
        """Until all have their first segment; the names of those that do not in time."""
        deadline_s = time.monotonic() + JOIN_MAX_S
        while late := [name for name in self.origins if not self.joined(name)]:
            if time.monotonic() > deadline_s:
                return late
            each_step()
            self._pause.wait(STEP_S)
        return []

    def go_on(self, each_step: Callable[[], None], also: Sequence[tuple[float, Callable[[], None]]]
              ) -> None:
        """The rest of it, in real time, with its faults and what is `also` to happen (when,
        what); returns at the end, which all playlists say."""
        for origin in self.origins.values():
            origin.faults.extend(self.schedule.faults)
            origin.reset_clock()
        begun_s = time.monotonic()
        for at_s, act in sorted([*self._script(), *also], key=lambda one: one[0]):
            while (left_s := begun_s + at_s - time.monotonic()) > 0:
                each_step()
                self._pause.wait(min(STEP_S, left_s))
            act()
        for origin in self.origins.values():
            origin.end()

    @property
    def length_s(self) -> float:
        """From where it goes on to its end."""
        schedule = self.schedule
        segments = schedule.segments - FIRST_SEGMENTS
        return segments * schedule.segment_s + sum(schedule.stalls.values())

    def _script(self) -> list[tuple[float, Callable[[], None]]]:
        made: list[tuple[float, Callable[[], None]]] = []
        at_s = 0.0
        for number in range(FIRST_SEGMENTS, self.schedule.segments):
            at_s += self.schedule.segment_s + self.schedule.stalls.get(number, 0.0)
            made.append((at_s, self._publish))
        if self.schedule.outage:
            from_s, for_s = self.schedule.outage
            for origin in self.origins.values():
                made += [(from_s, origin.go_away), (from_s + for_s, origin.come_back)]
        return made

    def _publish(self) -> None:
        clip = self.clips[self._published]
        for origin in self.origins.values():
            origin.add(clip)
        self._published += 1


def media(schedule: Schedule) -> list[Clip]:
    """Pictures that all differ, so that each frame can be told from the others."""
    return ts_clips(schedule.segments, segment_s=schedule.segment_s, size="320x180", fps=30)
