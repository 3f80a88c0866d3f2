"""What a ledger's entries add up to. Pure; the same sums live, after a crash and later.

Kept by `brlib.ledger` as it writes, by recovery as it reads, and by the assembly as it feeds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

from .errors import CaptureDamaged
from .models import Change, Course, Gap, Sums
from .playlist import End, Entry, Hole, Note, Part, Segment

RECENT_SEGMENTS = 512
# Notes that say what is on, and not whose capture it is.
CHANGING = ("title", "category")


def digest_of(body: bytes) -> str:
    """16 hex digits that tell one segment from another: the first ones that `sha256sum` prints.

    Most processors of recorders have instructions for it; with them it takes half of BLAKE2b's
    time. Against a torn disk and a repeated segment 64 bits are plenty; nobody is kept out.
    """
    return sha256(body).hexdigest()[:16]


@dataclass
class Tally:
    """What the entries so far add up to. The same sums live, after a crash, and later."""

    sums: Sums = Sums()
    by_part: dict[str, Sums] = field(default_factory=dict)
    part: Part | None = None
    part_bytes: int = 0
    last: Segment | None = None
    expected: int = -1
    epoch: int = 0
    recent: OrderedDict[str, Segment] = field(default_factory=OrderedDict)
    gaps: list[Gap] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    ended: bool = False

    def add(self, entry: Entry) -> None:
        """Raises CaptureDamaged for a segment in a part that never began."""
        match entry:
            case Segment():
                self._add_segment(entry)
            case Part():
                self.part, self.part_bytes = entry, entry.init_bytes
                self.by_part[entry.file] = Sums(captured_bytes=entry.init_bytes)
                self.sums = replace(
                    self.sums, parts=self.sums.parts + 1,
                    captured_bytes=self.sums.captured_bytes + entry.init_bytes,
                )
            case Hole():
                self._add_gap(entry.gap)
                self.expected, self.epoch = entry.next_num, entry.epoch
            case Note():
                self._add_note(entry)
            case End():
                self.ended = True

    def _add_segment(self, entry: Segment) -> None:
        if entry.file not in self.by_part:
            raise CaptureDamaged(f"The index names media in {entry.file}, which never began")
        self.sums = plus(self.sums, entry)
        self.by_part[entry.file] = plus(self.by_part[entry.file], entry)
        self.part_bytes = entry.offset + entry.size_bytes
        self.last = entry
        self.expected, self.epoch = entry.num + 1, entry.epoch
        self.recent[entry.digest] = entry
        self.recent.move_to_end(entry.digest)
        if len(self.recent) > RECENT_SEGMENTS:
            self.recent.popitem(last=False)

    def _add_gap(self, gap: Gap) -> None:
        """One stretch of one cause is one gap, in however many lines it was noted."""
        if self.gaps and (before := self.gaps[-1]).cause == gap.cause and (
                before.offset_s == gap.offset_s):
            self.gaps[-1] = replace(
                before, duration_s=before.duration_s + gap.duration_s,
                segments=before.segments + gap.segments)
        else:
            self.gaps.append(gap)
        offered_s = gap.duration_s if gap.offered else 0.0
        self.sums = replace(
            self.sums, gaps=len(self.gaps), gap_s=self.sums.gap_s + offered_s)

    def _add_note(self, note: Note) -> None:
        if note.key in CHANGING and self.notes.get(note.key) != note.value:
            self.changes.append(Change(self.sums.captured_s, note.key, note.value))
        self.notes[note.key] = note.value

    @property
    def course(self) -> Course:
        return Course(tuple(self.gaps), tuple(self.changes))

    @property
    def mean_s(self) -> float:
        return self.sums.captured_s / self.sums.segments if self.sums.segments else 0.0

    @property
    def end_date(self) -> datetime | None:
        """Program date-time at which the newest segment ends, where the source gives one."""
        if self.last is None or self.last.date is None:
            return None
        return self.last.date + timedelta(seconds=self.last.duration_s)


def plus(sums: Sums, entry: Segment) -> Sums:
    return replace(
        sums,
        segments=sums.segments + 1,
        captured_bytes=sums.captured_bytes + entry.size_bytes,
        captured_s=sums.captured_s + entry.duration_s,
    )
