"""What is wrong with the engine, for `/api/health` and the watchdog. Asks; changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..disks import Room
from ..events import EventBus
from ..recorder import ActiveRecording
from ..tools import Tools
from ..watchdog import Standstill
from ..workers import Worker

# Without these nothing is recorded: a restart is better than waiting.
VITAL = ("supervisor",)
BUS_MAX_S = 0.5


def find_still(
    workers: Sequence[Worker], recordings: Collection[ActiveRecording], bus: EventBus
) -> list[Standstill]:
    """Every thread that ought to move and does not."""
    return [*_still_workers(workers), *_still_recordings(recordings), *_still_bus(bus)]


def _still_workers(workers: Sequence[Worker]) -> Iterator[Standstill]:
    for worker in workers:
        vital = worker.name in VITAL
        if worker.died:
            yield Standstill(
                worker.name, f"the {worker.name} thread is dead: restart the daemon", vital)
        elif worker.pulse.stuck:
            yield Standstill(
                worker.name, f"the {worker.name} thread has been at one step for "
                f"{worker.pulse.busy_s:.0f} s: if that lasts, restart the daemon", vital)


def _still_recordings(recordings: Collection[ActiveRecording]) -> Iterator[Standstill]:
    """A dead disk, as a rule: that recording's trouble alone, and it goes on by itself."""
    for active in recordings:
        if active.pulse.stuck:
            yield Standstill(
                f"rec-{active.recording.id}", f"{active.recording.id} "
                f"({active.channel.display_name}) has been at one step for "
                f"{active.pulse.busy_s:.0f} s: its disk may not answer", vital=False)


def _still_bus(bus: EventBus) -> Iterator[Standstill]:
    if not bus.moves(BUS_MAX_S):
        yield Standstill("events", "events are not passed on: restart the daemon", vital=True)


def problems(
    room: Room, tools: Tools, workers: Sequence[Worker], still: Sequence[Standstill]
) -> tuple[list[str], bool]:
    """Sentences, and whether recording is impossible because of one of them."""
    found, fatal = [one.sentence for one in still], any(one.vital for one in still)
    for worker in workers:
        if worker.last_error and not worker.died:
            found.append(f"the {worker.name} thread fails: {worker.last_error}")
            fatal = fatal or worker.name in VITAL
    if (problem := tools.problem()) is not None:
        found.append(f"{problem}: streams are captured, but no file can be finished")
    sentences, no_disk = room.problems()
    return found + sentences, fatal or no_disk
