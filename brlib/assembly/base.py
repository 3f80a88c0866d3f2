"""What the parts of an assembly share: what a finished file is made of and where it goes, whom
they work for, and how they fail."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import ffmpeg, naming, schedule
from ..config import Settings
from ..encoding import Way
from ..errors import Conflict, RecorderError
from ..models import Course, Recording, Sums
from ..processing import Processing
from ..sidecar import Sidecar


class AssemblyFailed(RecorderError):
    """No file could be made, or it does not agree with the capture.

    `what` happened, and what a person can do: `advice` goes on behind a colon, as in
    "install it". `hopeless`: another try would end alike. `of_disk`: it passes with the trouble
    of the output disk, however long that lasts. `made_bytes`: how
    much an encoder had made when the disk was full.
    """

    made_bytes = 0

    def __init__(
        self, what: str, advice: str = "", hopeless: bool = False, of_disk: bool = False
    ) -> None:
        super().__init__(f"{what}: {advice}" if advice else what)
        self.advice = advice
        self.hopeless = hopeless
        self.of_disk = of_disk


class FFmpegFailed(AssemblyFailed):
    """It ended badly, hung, or made something else: what it was told may be to blame. `passing`:
    rather the machine, at that moment."""

    def __init__(
        self, what: str, advice: str = "", of_disk: bool = False, passing: bool = False
    ) -> None:
        super().__init__(what, advice, of_disk=of_disk)
        self.passing = passing


class NothingLeft(Conflict):
    """A recording has neither a capture nor a file of its own."""


class Suspended(Exception):
    """The daemon stops; the job will be done again."""


@dataclass(frozen=True)
class Finished:
    """The files that came of it, in the order of the broadcast. `trouble`: what is wrong
    nevertheless. `made_of`: the capture that all of is in them, None where they are made of
    files."""

    files: tuple[Path, ...]
    size_bytes: int
    trouble: str | None = None
    made_of: Path | None = None


class Task(Protocol):
    """Whom a feed works for: what it is told, and tells, meanwhile.

    `recording` is the row as it is; its sums are final once `closed` is set.
    """

    recording: Recording
    closed: threading.Event
    stop: threading.Event

    def progress(self, fed_bytes: int) -> None: ...

    def moved(self) -> None:
        """It is alive: said now and then, and not while a disk does not answer."""

    def counted(self, course: Course) -> None:
        """What the whole capture says is missing, and what it was called."""

    def owned(self) -> tuple[str, ...]:
        """The files that are this recording's at this moment."""

    def guarded(self, path: Path) -> bool:
        """Whether what has that name is a protected recording's. Raises OSError."""

    def naming(self, files: tuple[str, ...]) -> None:
        """From now on these are."""

    def described(self, files: tuple[str, ...]) -> Sidecar:
        """The recording with these files. Raises OSError."""


@dataclass(frozen=True)
class Plan:
    """How one recording is to be finished: the settings as they are for it."""

    mode: str
    container: str
    directory: Path
    stem: Path
    when_exists: str
    ffmpeg: str
    ffprobe: str
    max_duration_s: float | None = None
    max_size_bytes: int | None = None
    # Only in mode reencode, once one is chosen; without one the streams are copied.
    way: Way | None = None
    # How far FFmpeg stands back for others: capture goes before.
    nice: int = 0

    @classmethod
    def of(
        cls, recording: Recording, settings: Settings, processing: Processing, nice: int = 0
    ) -> Plan:
        directory = Path(recording.output_directory or settings.output_directory)
        template = recording.filename_template or settings.filename_template
        stem = naming.render(template, {
            "channel": recording.channel_name,
            "title": recording.title,
            "platform": recording.platform,
            "quality": recording.quality,
            "category": recording.category or "",
            "id": recording.id,
            **naming.time_values(
                recording.started_at.astimezone(schedule.zone_of(settings.timezone))),
        })
        return cls(
            processing.mode, processing.container, directory, directory / stem,
            settings.when_file_exists, settings.ffmpeg_path, settings.ffprobe_path,
            settings.max_duration, settings.max_file_size, nice=nice,
        )

    @property
    def coding(self) -> tuple[Sequence[str], Sequence[str]]:
        """What FFmpeg is told to do to the streams, and on which device."""
        return (self.way.output, self.way.device) if self.way else (ffmpeg.COPY, ())

    def full(self, held: Sums, duration_s: float, size_bytes: int) -> bool:
        """Whether a segment is too much for a file that holds so much. One it always holds."""
        if not held.segments:
            return False
        too_long = self.max_duration_s is not None and (
            held.captured_s + duration_s > self.max_duration_s)
        return too_long or self.max_size_bytes is not None and (
            held.captured_bytes + size_bytes > self.max_size_bytes)

    def suffix(self, part_container: str) -> str:
        return f".{part_container if self.mode == 'concatenate' else self.container}"

    def temporary(self, recording_id: str, suffix: str) -> Path:
        """A hidden file beside the final one; its name says whose it is."""
        return self.stem.parent / f".{recording_id}.{secrets.token_hex(4)}{suffix}.part"

    def leftovers(self, recording_id: str) -> list[Path]:
        """Temporary files of this recording that no process finished."""
        return list(self.stem.parent.glob(f".{recording_id}.*.part"))

    def final(self, number: int, of: int, suffix: str) -> Path:
        name = self.stem.name + (f" (part {number})" if of > 1 else "") + suffix
        return self.stem.with_name(name)
