"""After the chaos: what was offered, what is in the captures and files, and why the rest is not.

A segment may be missing only when nothing could have recorded it: it came not long before a
trouble began, and had left the playlist before segments were fetched again. Everything else
that is missing, doubled, or in a gap of the wrong length or cause is a finding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brlib import ledger, playlist
from brlib.ledger import INDEX
from brlib.models import GapCause
from brlib.playlist import Entry, Hole, Part, Segment

from ..media import video_frames
from .acts import RESUME_MAX_S, Trouble
from .station import SEGMENT_S, Broadcast, Station

# From a segment's appearance until it is in the capture, on a busy machine: the playlist is
# asked for every second.
FETCH_S = 3.0
# A playlist that was asked for just before.
SLACK_S = 1.0
# Of what only the clock can tell.
TURN_SLACK_S = 2.0


@dataclass(frozen=True)
class Blind:
    """A time in which segments of a broadcast could be missed, and why."""

    begin_s: float
    end_s: float
    causes: frozenset[GapCause]

    def excuses(self, from_s: float, until_s: float) -> bool:
        return from_s >= self.begin_s and until_s <= self.end_s


@dataclass(frozen=True, order=True)
class Home:
    """A recording that holds a broadcast, or some of it."""

    first: int
    last: int
    end_reason: str


@dataclass
class Figures:
    recordings: int = 0
    broadcasts: int = 0
    offered: int = 0
    captured: int = 0
    lost: int = 0
    # Those that could have been lost without a finding: the smaller, the sharper the proof.
    excusable: int = 0
    before_begin: int = 0
    behind_end: int = 0
    # Lost between a recording that ended for want of room and the one that came behind it.
    between: int = 0
    doubled: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    # Recordings that went on with another broadcast, and the length of their gaps there.
    turns: int = 0
    turns_s: float = 0.0
    files: int = 0
    frames: int = 0
    resumed_max_s: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        resumed = ", ".join(f"{k} {v:.1f} s" for k, v in sorted(self.resumed_max_s.items()))
        return (
            f"{self.broadcasts} broadcasts in {self.recordings} recordings: {self.offered} "
            f"segments offered, {self.captured} captured, {self.lost} lost of "
            f"{self.excusable} that could be ({self.before_begin} before a recording began, "
            f"{self.behind_end} at a broadcast's end, {self.between} between a recording that "
            "ended for want of room and the next), "
            f"{self.doubled} doubled; lost in gaps by cause {dict(self.gaps)}; {self.turns} "
            f"recordings went on with the next broadcast, their gaps there {self.turns_s:.1f} s; "
            f"{self.files} files with {self.frames} frames; resumed at the latest after "
            f"{resumed}; {len(self.findings)} findings")


class Reckoning:
    def __init__(self, station: Station, troubles: list[Trouble], figures: Figures) -> None:
        self.figures = figures
        self._station = station
        self._troubles = [t for t in troubles if t.station in (None, station.name)]
        self._names = {offer.item.body: (number, offer.item.num)
                       for number, broadcast in enumerate(station.broadcasts)
                       for offer in broadcast.offers}
        self._blind = [self._blinds(broadcast) for broadcast in station.broadcasts]
        self._seen: Counter[tuple[int, int]] = Counter()
        # By broadcast: the recordings that it is in, why each ended, its first and last number.
        self._homes: dict[int, dict[str, Home]] = {}

    def find(self, what: str) -> None:
        self.figures.findings.append(f"{self._station.name}: {what}")

    def take(self, recording: dict[str, Any], gaps: list[dict[str, Any]],
             directory: Path) -> None:
        """Check one recording of this station against the origin, its gaps and its files."""
        self.figures.recordings += 1
        if recording["status"] != "complete":
            self.find(f"{recording['id']} is {recording['status']}: {recording['error']}")
            return
        entries = [found.entry for found in playlist.parse((directory / INDEX).read_bytes())]
        steps = list(self._steps(recording["id"], entries, directory))
        for before, holes, after in steps:
            self._check_step(recording["id"], before, holes, after)
            homes = self._homes.setdefault(after[0], {})
            first = homes[recording["id"]].first if recording["id"] in homes else after[1]
            homes[recording["id"]] = Home(first, after[1], recording["end_reason"])
        tally = ledger.read(directory)
        if (len(gaps), recording["segments"]) != (len(tally.gaps), tally.sums.segments):
            self.find(f"{recording['id']}: the API tells other sums than the capture")
        said_s = sum(gap["duration"] for gap in gaps)
        if abs(said_s - tally.sums.gap_s) > 0.01 * (1 + len(gaps)):
            self.find(f"{recording['id']}: gaps of {said_s} s, not {tally.sums.gap_s}")
        self._check_files(recording, entries)

    def _steps(
        self, recording_id: str, entries: list[Entry], directory: Path
    ) -> Iterator[tuple[tuple[int, int] | None, list[Hole], tuple[int, int]]]:
        """Each captured segment with the one before it and the holes between them."""
        media, holes, before = b"", list[Hole](), None
        for entry in entries:
            match entry:
                case Part(file=file):
                    media = (directory / file).read_bytes()
                case Hole():
                    holes.append(entry)
                case Segment() as one:
                    name = self._names.get(media[one.offset:one.offset + one.size_bytes])
                    if name is None:
                        self.find(f"{recording_id}: segment {one.num} was never offered")
                        continue
                    self._seen[name] += 1
                    yield before, holes, name
                    holes, before = [], name
        if holes:
            self.find(f"{recording_id} ends with gaps: {holes}")

    def _check_step(self, recording_id: str, before: tuple[int, int] | None,
                    holes: list[Hole], after: tuple[int, int]) -> None:
        place = f"{recording_id}: between {before} and {after}"
        if before is None:
            if holes:
                self.find(f"{place}: a gap before anything was captured")
            return
        if before >= after:
            self.find(f"{place}: out of order or doubled")
            return
        if before[0] != after[0]:
            self._check_turn(place, before, holes, after)
            return
        lost = after[1] - before[1] - 1
        said = sum(hole.gap.segments for hole in holes)
        said_s = sum(hole.gap.duration_s for hole in holes)
        if said != lost or abs(said_s - lost * SEGMENT_S) > 0.05 * (lost + 1):
            self.find(f"{place}: {lost} are missing, the gaps say {said} with {said_s:.2f} s")
        self._count(holes)
        allowed = frozenset[GapCause]().union(*(
            blind.causes for blind in self._blind[after[0]]
            if any(blind.excuses(*self._offered(after[0], num))
                   for num in range(before[1] + 1, after[1]))))
        wrong = {hole.gap.cause.value for hole in holes} - {c.value for c in allowed}
        if wrong:
            self.find(f"{place}: {lost} lost by {sorted(wrong)}, not {sorted(allowed)}")

    def _check_turn(self, place: str, before: tuple[int, int], holes: list[Hole],
                    after: tuple[int, int]) -> None:
        """A recording that goes on with the next broadcast, whose beginning nobody saw. What is
        missing then nobody can count, only time."""
        lost = len(self._station.broadcasts[before[0]].offers) - 1 - before[1] + after[1]
        said_s = sum(hole.gap.duration_s for hole in holes)
        self.figures.turns += 1
        self.figures.turns_s += said_s
        if said_s < lost * SEGMENT_S - TURN_SLACK_S:
            self.find(f"{place}: {lost} are missing, the gaps say {said_s:.2f} s")

    def _count(self, holes: list[Hole]) -> None:
        for hole in holes:
            self.figures.gaps[hole.gap.cause.value] += hole.gap.segments

    def _offered(self, broadcast: int, num: int) -> tuple[float, float]:
        one = self._station.broadcasts[broadcast]
        offer = one.offers[num]
        return offer.from_s, min(offer.until_s, one.off_s)

    def _check_files(self, recording: dict[str, Any], entries: list[Entry]) -> None:
        """Each file holds every frame of the segments of its part, and not one more."""
        frames: dict[str, int] = {}
        for entry in entries:
            if isinstance(entry, Segment):
                per_segment = self._station.now.offers[0].item.frames
                frames[entry.file] = frames.get(entry.file, 0) + per_segment
        files = recording["files"]
        got = [video_frames(Path(name)) for name in files]
        self.figures.files += len(files)
        self.figures.frames += sum(got)
        if got != list(frames.values()):
            self.find(f"{recording['id']}: frames {got} in its files, the ledger has "
                      f"{list(frames.values())}")

    def close(self) -> None:
        """All recordings are taken: what is missing must have an excuse."""
        figures = self.figures
        for number, broadcast in enumerate(self._station.broadcasts):
            nums = range(len(broadcast.offers))
            there = [num for num in nums if self._seen[number, num]]
            lost = [num for num in nums if not self._seen[number, num]]
            figures.broadcasts += 1
            figures.offered += len(nums)
            figures.captured += len(there)
            figures.lost += len(lost)
            figures.before_begin += sum(num < min(there, default=0) for num in lost)
            figures.behind_end += sum(num > max(there, default=-1) for num in lost)
            blinds = self._blind[number]
            excused = {num for num in nums if any(
                blind.excuses(*self._offered(number, num)) for blind in blinds)}
            figures.excusable += len(excused)
            self._check_homes(number)
            if bare := [num for num in lost if num not in excused]:
                self.find(f"broadcast {number}: {bare} of {len(nums)} are missing without need")
        doubled = [name for name, count in self._seen.items() if count > 1]
        figures.doubled += len(doubled)
        if doubled:
            self.find(f"doubled: {doubled}")

    def _check_homes(self, broadcast: int) -> None:
        """One recording per broadcast, also over a full disk."""
        homes = sorted(self._homes.get(broadcast, {}).values())
        for one, behind in zip(homes, homes[1:], strict=False):
            self.figures.between += behind.first - one.last - 1
            self.find(f"broadcast {broadcast} is in several recordings: {homes}")

    def _blinds(self, broadcast: Broadcast) -> list[Blind]:
        """The troubles of a broadcast's time, each until segments were fetched again, and
        those that run into one another as one."""
        fetched = broadcast.fetched_s()
        begun_s = broadcast.offers[0].from_s
        spans: list[Blind] = []
        for trouble in sorted(self._troubles, key=lambda t: t.begin_s):
            if trouble.end_s < begun_s - RESUME_MAX_S or trouble.begin_s > broadcast.off_s:
                continue
            again_s = min((s for s in fetched if s > trouble.end_s), default=math.inf)
            self._note_resumed(trouble, again_s, broadcast)
            span = Blind(trouble.begin_s - FETCH_S, min(again_s, broadcast.off_s) + SLACK_S,
                         trouble.causes)
            if spans and span.begin_s <= spans[-1].end_s:
                last = spans.pop()
                span = Blind(last.begin_s, max(last.end_s, span.end_s),
                             last.causes | span.causes)
            spans.append(span)
        return spans

    def _note_resumed(self, trouble: Trouble, again_s: float, broadcast: Broadcast) -> None:
        """How long it took, where nothing else came between and there was something to get."""
        still_s = min(broadcast.off_s, broadcast.offers[-1].from_s)
        later = [t for t in self._troubles if t is not trouble and t.end_s > trouble.end_s]
        if later and min(t.begin_s for t in later) < min(again_s, trouble.end_s + RESUME_MAX_S):
            return
        if trouble.end_s < broadcast.offers[0].from_s or trouble.end_s > still_s - SEGMENT_S:
            return
        took_s = again_s - trouble.end_s
        most = self.figures.resumed_max_s
        most[trouble.kind] = max(most.get(trouble.kind, 0.0), took_s)
        if took_s > RESUME_MAX_S and still_s - trouble.end_s > RESUME_MAX_S:
            self.find(f"nothing was fetched for {took_s:.1f} s after {trouble.kind}")
