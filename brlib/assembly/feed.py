"""One recording's way from capture to finished files: feed, prove, name.

The same code live, afterwards, after a crash and on reprocess: it follows the index from
its first entry to its last, whenever that comes. Run in a pool thread by `Assembly`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .. import chapters
from ..errors import CaptureDamaged
from ..ledger import Follower
from ..models import Sums
from ..playlist import Entry, Part, Segment
from ..shape import Shape, begins_alone
from ..tally import Tally, plus
from . import sentences
from .base import AssemblyFailed, Finished, Plan, Suspended, Task
from .output import ChaptersOf, Output, Source, discard, open_output
from .place import Places

LOOK_EVERY_S = 0.2
# A keyframe at a segment's beginning shows itself in so much of it.
HEAD_BYTES = 256 * 1024


@dataclass
class _Part:
    output: Output
    container: str
    kinds: frozenset[str]
    source: Part
    held: Sums
    # Which bytes of the part file of the capture, behind the init section; 0: from the first.
    begin: int
    end: int = 0


class Feed:
    """One pass over a capture: outputs opened, fed and closed as its parts come, and where one has
    reached the limit that the settings set."""

    def __init__(self, task: Task, plan: Plan, directory: Path, places: Places) -> None:
        self._task = task
        self._recording = task.recording
        self._plan = plan
        self._directory = directory
        self._places = places
        self._closed = task.closed
        self._stop = task.stop
        self._tally = Tally()
        self._part: Part | None = None
        self._parts: list[_Part] = []
        self._fed_bytes = 0
        self._media: int | None = None

    def run(self) -> Finished:
        """Raises AssemblyFailed, CaptureDamaged, OSError (of the output directory),
        sqlite3.Error, Suspended."""
        try:
            follower = Follower(self._directory)
            while not self._tally.ended:
                self._task.moved()
                # Asked before reading: what a full disk kept the capture from closing with
                # a last line ends where the recording says that it has ended.
                closed = self._closed.is_set()
                news = follower.news()
                for entry in news:
                    self._take(entry)
                if not news and closed:
                    break
                if not news and self._stop.wait(LOOK_EVERY_S):
                    raise Suspended
            self._finish_part()
            self._check_whole(_rest_bytes(follower))
            self._task.counted(self._tally.course)
            return replace(self._name_files(), made_of=self._directory)
        finally:
            self._close_media()
            self.abandon()

    def abandon(self) -> None:
        """Stop feeding and drop what is not finished; idempotent."""
        parts, self._parts = self._parts, []
        for part in parts:
            part.output.abandon()

    def _check_whole(self, unread_bytes: int) -> None:
        """The proof that this is the recording and not a part of it: what was fed is what
        the recording counted."""
        while not self._closed.wait(LOOK_EVERY_S):
            self._task.moved()
            if self._stop.is_set():
                raise Suspended
        if unread_bytes and not self._tally.ended:
            raise CaptureDamaged(
                f"The index in {self._directory} cannot be read to its end: "
                f"{unread_bytes} bytes are left")
        fed, counted = self._tally.sums, self._task.recording.sums
        if (fed.segments, fed.captured_bytes) != (counted.segments, counted.captured_bytes):
            raise AssemblyFailed(
                f"The capture holds {fed.segments} segments with {fed.captured_bytes} bytes, "
                f"the recording counted {counted.segments} with {counted.captured_bytes}")

    def _take(self, entry: Entry) -> None:
        if self._stop.is_set():
            raise Suspended
        if isinstance(entry, Segment) and self._is_full(entry):
            self._part = self._parts[-1].source
            self._finish_part()
        self._tally.add(entry)
        match entry:
            case Part():
                self._finish_part()
                self._part = entry
            case Segment():
                if self._part is not None:
                    # Not before its first segment: a crash leaves parts without any.
                    part, self._part = self._part, None
                    self._begin_part(part, entry.offset)
                    self._feed(0, part.init_bytes)
                self._feed(entry.offset, entry.size_bytes)
                fed = self._parts[-1]
                fed.held, fed.end = plus(fed.held, entry), entry.offset + entry.size_bytes

    def _is_full(self, entry: Segment) -> bool:
        """Whether the present file has reached its limit and another can begin here: FFmpeg
        leaves out what stands before the first keyframe."""
        if self._media is None or self._part is not None:
            return False
        part = self._parts[-1]
        if not self._plan.full(part.held, entry.duration_s, entry.size_bytes):
            return False
        try:
            init = os.pread(self._media, part.source.init_bytes, 0)
            head = os.pread(self._media, min(entry.size_bytes, HEAD_BYTES), entry.offset)
        except OSError as error:
            raise sentences.of_capture(error) from error
        return begins_alone(Shape.parse(part.source.shape), head, init)

    def _begin_part(self, part: Part, offset: int) -> None:
        shape = Shape.parse(part.shape)
        suffix = self._plan.suffix(shape.container)
        path = self._plan.temporary(self._recording.id, suffix)
        name = f"{self._recording.id}-{len(self._parts) + 1}"
        output = open_output(name, self._plan, shape.container, path, self._task)
        self._parts.append(_Part(output, shape.container, shape.kinds, part,
                                 Sums(captured_bytes=part.init_bytes),
                                 offset if offset > part.init_bytes else 0))
        try:
            self._media = os.open(self._directory / part.file, os.O_RDONLY)
        except OSError as error:
            raise sentences.of_capture(error) from error

    def _feed(self, offset: int, size_bytes: int) -> None:
        if not size_bytes:
            return
        assert self._media is not None
        try:
            data = os.pread(self._media, size_bytes, offset)
        except OSError as error:
            raise sentences.of_capture(error) from error
        if len(data) != size_bytes:
            raise AssemblyFailed(
                f"The capture is shorter than its index says at byte {offset} of "
                f"{self._parts[-1].source.file}")
        self._parts[-1].output.write(data)
        self._fed_bytes += size_bytes
        self._task.progress(self._fed_bytes)

    def _finish_part(self) -> None:
        if self._media is not None:
            self._close_media()
            part = self._parts[-1]
            source = Source(self._directory / part.source.file, part.begin, part.end)
            part.output.finish(part.held, part.kinds, source, self._chapters(part.held))

    def _chapters(self, held: Sums) -> ChaptersOf:
        """Of the file that ends here."""
        course, end_s = self._tally.course, self._tally.sums.captured_s
        found = chapters.of(course, end_s)
        return partial(chapters.in_file, found, course.gaps, end_s - held.captured_s, end_s)

    def _close_media(self) -> None:
        media, self._media = self._media, None
        if media is not None:
            os.close(media)

    def _name_files(self) -> Finished:
        """Give every proven file its name."""
        parts, self._parts = self._parts, []
        if not parts:
            raise AssemblyFailed("The capture holds no media", hopeless=True)
        made = [
            (part.output.path,
             self._plan.final(number, len(parts), self._plan.suffix(part.container)))
            for number, part in enumerate(parts, 1)
        ]
        try:
            return self._places.place(made, self._plan, self._task)
        finally:
            for path, _ in made:
                discard(path)


def _rest_bytes(follower: Follower) -> int:
    try:
        return follower.rest_bytes()
    except OSError as error:
        raise sentences.of_capture(error) from error
