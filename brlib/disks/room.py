"""What room the disks have for recordings: warnings, the forecast, and who ends for want of it.

A loop of its own looks at the disks' last answers and at what recordings have committed.
Made by `Service`; asked by the supervisor before a recording begins, by health and by the
API. What it decides is in `rules`.

What finishing a recording's file still has to write is kept free besides `min_free_space`:
where it grows with the recording that is nearly nothing, where it is made or encoded afterwards
as much as the capture.
So there is always room to finish what ends, unless others fill the disk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from .. import rules
from ..config import Settings
from ..events import EventBus
from ..rules import Claim
from ..workers import Worker
from .base import Disk, DiskState, Group, Use
from .disks import Disks
from .rates import Rates

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
STEP_MAX_S = 30.0
# After a file is finished its capture goes, which takes a moment.
SETTLED_S = 3.0


@dataclass(frozen=True)
class RoomCommands:
    """What the disks ask of others. `uses`: of every recording that is active or being
    finished. `directories`: where files may go besides `output_directory`. `stop` ends a
    recording for want of room. `on_room`: a disk that was short has room again."""

    uses: Callable[[], list[Use]]
    directories: Callable[[], Iterable[str]]
    stop: Callable[[str], None]
    on_room: Callable[[], None]


@dataclass(frozen=True)
class Stopped:
    """The recording that was stopped last, and what was to spare then. `over_s`: when it was
    seen that its file is finished or has failed."""

    recording_id: str
    spare_bytes: int
    over_s: float | None = None


@dataclass(frozen=True)
class Level:
    """What is remembered of a disk. `rate` is how fast it filled when it became short, `low_s`
    since when there is too little to spare, `problem` what was said of it last."""

    warned: bool = False
    short: bool = False
    rate: float = 0.0
    low_s: float | None = None
    stopped: Stopped | None = None
    problem: str | None = None


class Room:
    def __init__(
        self, settings: Callable[[], Settings], disks: Disks, bus: EventBus,
        commands: RoomCommands, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._disks = disks
        self._bus = bus
        self._commands = commands
        self._clock = clock
        self._written = Rates()
        self._taken = Rates()
        # By directory: a disk that was away may have another number when it is back.
        self._levels: dict[str, Level] = {}
        self._told_to_end: set[str] = set()
        self._seen: tuple[Disk, ...] = ()
        self._stopping = threading.Event()
        self.worker = Worker("room", self.step, STEP_MAX_S)

    def start(self) -> None:
        """Look once before anyone asks; the disks have been asked."""
        self.step()
        self.worker.start()

    def stop(self) -> None:
        self._stopping.set()
        self.worker.stop()

    def join(self, deadline_s: float) -> bool:
        return self.worker.join(deadline_s)

    # The loop.

    def step(self) -> float:
        uses = self._commands.uses()
        self._told_to_end &= {use.recording_id for use in uses}
        self._disks.watch([use.output_directory for use in uses] + [
            *self._commands.directories()])
        self._note_rates(uses)
        groups = self._disks.groups()
        levels, seen, relieved = dict[str, Level](), [], False
        for group in groups:
            before = self._level_of(group)
            level, disk = self._judge(group, uses, before)
            _log_change(disk, before.problem)
            levels.update(dict.fromkeys(group.paths, replace(level, problem=disk.problem)))
            seen.append(disk)
            relieved = relieved or (before.short and not level.short)
        self._levels, self._seen = levels, tuple(seen)
        if relieved:
            self._commands.on_room()
        return LOOK_EVERY_S

    def _level_of(self, group: Group) -> Level:
        found = (self._levels[path] for path in group.paths if path in self._levels)
        return next(found, Level())

    def _note_rates(self, uses: list[Use]) -> None:
        now_s, captures = self._clock(), self._captures
        captured = [(captures, f"{use.recording_id} captured", use.captured_bytes)
                    for use in uses]
        self._written.note(now_s, captured + [
            (use.output_directory, use.recording_id, use.fed_bytes) for use in uses])
        # A file that is to be made afterwards takes its room all the same.
        self._taken.note(now_s, captured + [
            (use.output_directory, use.recording_id, use.captured_bytes) for use in uses])

    @property
    def _captures(self) -> str:
        return str(self._settings().captures_directory)

    def _judge(self, group: Group, uses: list[Use], before: Level) -> tuple[Level, Disk]:
        written, taken = (sum(rates.all().get(path, 0.0) for path in group.paths)
                          for rates in (self._written, self._taken))
        trouble = self._trouble(group, uses)
        disk = Disk(group.paths, DiskState.OK, trouble, None, None, None, round(written), None)
        if group.silent:
            return before, replace(disk, state=DiskState.NO_ANSWER, problem="it does not answer")
        answer = group.answer
        if answer is None or group.error is not None:
            return before, replace(disk, state=DiskState.ERROR, problem=group.error)
        claims = self._claims(group, uses)
        spare = answer.free_bytes - rules.reserve_bytes(claims, self._at_once(group))
        min_free = self._settings().min_free_space
        disk = replace(
            disk, total_bytes=answer.total_bytes, free_bytes=answer.free_bytes,
            used_percent=rules.used_percent(answer.used_bytes, answer.free_bytes),
            hours_left=rules.hours_left(spare, min_free, taken))
        level = self._level(disk, before, spare, taken)
        if spare < min_free:
            low_s = self._clock() if before.low_s is None else before.low_s
            level = replace(level, low_s=low_s)
            # What is owed is known now, what is free was asked before: a file that is begun
            # again owes what its former one has just given back.
            if group.asked_s > low_s:
                level = self._relieve(group, level, claims, spare)
        return level, replace(disk, state=_state(level, trouble))

    def _trouble(self, group: Group, uses: list[Use]) -> str | None:
        """What a recording met that could not write its capture."""
        if self._captures not in group.paths:
            return None
        return next((use.trouble for use in uses if use.trouble), None)

    def _claims(self, group: Group, uses: list[Use]) -> list[Claim]:
        captures = self._captures in group.paths
        return [
            Claim(use.recording_id, use.priority, use.captured_bytes,
                  max(0, use.captured_bytes - use.fed_bytes) if finishes else 0,
                  use.active and use.recording_id not in self._told_to_end, use.gives_back)
            for use in uses
            if (finishes := use.output_directory in group.paths) or captures
        ]

    def _at_once(self, group: Group) -> int | None:
        back = self._captures in group.paths
        return self._settings().max_concurrent_processing if back else None

    def _level(self, disk: Disk, before: Level, spare: int, rate: float) -> Level:
        """The disk's level now; tells of what it has just passed."""
        settings = self._settings()
        assert disk.used_percent is not None
        warned = rules.nearly_full(
            before.warned, disk.used_percent, settings.disk_warning_percent)
        short = rules.short_of_room(before.short, spare, settings.min_free_space, before.rate)
        if warned and not before.warned:
            self._warn(disk, "disk_warning_percent", settings.disk_warning_percent)
        if short and not before.short:
            self._warn(disk, "min_free_space", settings.min_free_space)
        if before.short and not short:
            log.info("The disk of %s has room for recordings again", disk.paths[0])
        return Level(warned, short, before.rate if before.short else rate,
                     stopped=before.stopped if short else None)

    def _warn(self, disk: Disk, limit: str, threshold: int) -> None:
        log.warning("The disk of %s is %s %% full, %s bytes are free: %s is passed",
                    disk.paths[0], disk.used_percent, disk.free_bytes, limit)
        self._bus.publish("disk_warning", {
            "path": disk.paths[0], "free_bytes": disk.free_bytes,
            "total_bytes": disk.total_bytes, "used_percent": disk.used_percent,
            "limit": limit, "threshold": threshold, "hours_left": disk.hours_left})

    def _relieve(self, group: Group, level: Level, claims: list[Claim], spare: int) -> Level:
        """End a recording, if it is time for the next."""
        last = level.stopped
        if last is not None:
            finishing = any(claim.recording_id == last.recording_id for claim in claims)
            if not finishing and last.over_s is None:
                last = replace(last, over_s=self._clock())
            # Only an answer from after that knows what it gave back.
            settled = last.over_s is not None and group.asked_s > last.over_s + SETTLED_S
            if not rules.next_may_stop(
                    not settled, last.spare_bytes - spare, self._settings().min_free_space):
                return replace(level, stopped=last)
        chosen = rules.first_to_stop(claims)
        if chosen is None or self._stopping.is_set():
            return replace(level, stopped=last)
        log.warning("%s ends: the disk of %s has too little room", chosen, group.paths[0])
        self._told_to_end.add(chosen)
        self._commands.stop(chosen)
        return replace(level, stopped=Stopped(chosen, spare))

    # What is known, from any thread, at once.

    def allows(self, output_directory: str | None) -> bool:
        """Whether a recording may begin whose files go there (None: where all go).

        Its own disk must answer and have room, and so must that of its files, unless that is
        away: the capture is safe, and its file is made once the disk is back.
        """
        captures = self._disks.find(self._captures)
        if captures is None or not captures.usable or self._short(captures):
            return False
        output = self._disks.find(output_directory or str(self._settings().output_directory))
        return output is None or not self._short(output)

    def _short(self, group: Group) -> bool:
        return self._level_of(group).short

    def info(self) -> dict[str, Any]:
        """What the API's storage object says of disks."""
        hours = [disk.hours_left for disk in self._now() if disk.hours_left is not None]
        return {
            "disks": [_shown(disk) for disk in self._now()],
            "hours_left": min(hours, default=None),
        }

    def _now(self) -> list[Disk]:
        """As seen last; that a disk does not answer is known at once."""
        silent = {path for group in self._disks.groups() if group.silent for path in group.paths}
        return [replace(disk, state=DiskState.NO_ANSWER, problem="it does not answer")
                if silent.intersection(disk.paths) else disk for disk in self._seen]

    def problems(self) -> tuple[list[str], bool]:
        """Sentences for health, and whether nothing can be recorded because of one of them."""
        found, fatal = [], False
        for disk in self._now():
            place = " and ".join(disk.paths[:2]) + (" …" if disk.paths[2:] else "")
            own = self._captures in disk.paths
            match disk.state:
                case DiskState.NO_ANSWER:
                    found.append(f"the disk of {place} does not answer")
                case DiskState.ERROR:
                    found.append(f"the disk of {place} cannot be used: {disk.problem}")
                    own = own and disk.free_bytes is None
                case DiskState.FULL:
                    found.append(f"the disk of {place} has less than min_free_space, with what "
                                 "finishing takes: no recording starts on it")
                case _:
                    continue
            fatal = fatal or own
        return found, fatal


def _log_change(disk: Disk, before: str | None) -> None:
    if disk.problem is not None and disk.problem != before:
        log.warning("The disk of %s: %s", disk.paths[0], disk.problem)
    elif disk.problem is None and before is not None:
        log.info("The disk of %s is well again", disk.paths[0])


def _state(level: Level, trouble: str | None) -> DiskState:
    if level.short:
        return DiskState.FULL
    if trouble is not None:
        return DiskState.ERROR
    return DiskState.WARNING if level.warned else DiskState.OK


def _shown(disk: Disk) -> dict[str, Any]:
    return {**asdict(disk), "paths": list(disk.paths), "state": disk.state.value}
