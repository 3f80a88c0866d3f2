"""Complete under faults: this daemon and others record one faulty broadcast at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.base import OURS, Figure, Round, Table
from bench.complete import frames, words
from bench.complete.broadcast import Broadcast
from bench.complete.recorders import OTHERS, Ours, Recorder, Tool
from bench.complete.schedules import FULL, QUICK, Schedule

SETTLE_S = 60.0
TOLD_EVERY_S = 10.0
QUICK_OTHERS = ("ffmpeg",)


def measure(this: Round) -> Iterator[Figure]:
    others = QUICK_OTHERS if this.quick else tuple(OTHERS)
    for number, schedule in enumerate(QUICK if this.quick else FULL):
        scratch = this.scratch / str(number)
        scratch.mkdir()
        for name, counted in play(schedule, others, scratch, this.say).items():
            for what, value, unit in (
                    ("frames", counted.share_percent, "%"), ("gaps", counted.gaps, ""),
                    ("doubled", counted.doubled, ""), ("damaged", counted.damaged, "")):
                yield Figure(schedule.case, name, what, value, unit, counted.complete)


def play(schedule: Schedule, others: tuple[str, ...], scratch: Path, say: Callable[[str], None]
         ) -> dict[str, frames.Count]:
    """One schedule from its first segment to the count of every recorder's frames."""
    with ExitStack() as stack:
        broadcast = Broadcast(schedule, (OURS, *others))
        offered = frames.of_broadcast(
            (clip.body for clip in broadcast.clips), sum(c.frames for c in broadcast.clips),
            scratch)
        stack.enter_context(broadcast)
        ours = Ours(broadcast.address(OURS), scratch / "ours")
        stack.callback(ours.close)
        recorders: list[Recorder] = [ours]
        for number, name in enumerate(others):
            recorders.append(Tool(name, broadcast.address(name), scratch / f"other-{number}",
                                  again=schedule.kill_every_s is not None))
            stack.callback(recorders[-1].close)
        _record(broadcast, recorders, say)
        return {one.name: _count(one, offered, schedule, say) for one in recorders}


def _record(broadcast: Broadcast, recorders: list[Recorder], say: Callable[[str], None]) -> None:
    schedule = broadcast.schedule
    say(f"{schedule.case}: {len(recorders)} recorders start")

    def each_step() -> None:
        for one in recorders:
            one.step()

    for one in recorders:
        one.start()
    for name in broadcast.wait_joined(each_step):
        say(f"{schedule.case}: {name} has not begun in time")
    length_s = broadcast.length_s
    also: list[tuple[float, Callable[[], None]]] = []
    for at in range(int(TOLD_EVERY_S), int(length_s), int(TOLD_EVERY_S)):
        also.append((at, partial(say, f"{schedule.case}: {at} of {length_s:.0f} s")))
    if schedule.kill_every_s is not None:
        moments = int((length_s - 1) / schedule.kill_every_s)
        for turn in range(1, moments + 1):
            also += [(turn * schedule.kill_every_s, one.kill) for one in recorders]
    broadcast.go_on(each_step, also)
    deadline_s = time.monotonic() + SETTLE_S
    say(f"{schedule.case}: the end; at most {SETTLE_S:.0f} s to take it in")
    for one in recorders:
        one.finish(deadline_s)


def _count(one: Recorder, offered: list[str], schedule: Schedule, say: Callable[[str], None]
           ) -> frames.Count:
    files = one.files()
    counted = frames.count(offered, files)
    say(f"{schedule.case}: {one.name}: {counted.share_percent:.2f} % in {len(files)} files, "
        f"{counted.gaps} gaps, {counted.doubled} doubled, {counted.damaged} damaged"
        + ("" if counted.complete else f" [{one.last_words()}]"))
    return counted


TABLE = Table(
    name="complete",
    title="Complete under faults",
    goals="this daemon has 100 % of the frames in every case, none of them twice",
    rounds=3,
    measure=measure,
    drawn="frames",
    notes=words.notes(SETTLE_S),
)
