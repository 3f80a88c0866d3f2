"""Chapters: where a recording's title or category changes, or something is missing.

Pure. Made of what the ledger says; `brlib.assembly` puts them into finished files, the API
shows them, also while it records. Times count the captured media, as those of gaps do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from .models import Change, Course, Gap, GapCause

# Shorter ones are part of the one before.
LENGTH_MIN_S = 10.0
# One segment, fetched too late, is no chapter.
GAP_MIN_S = 5.0
# What the chapters of an MP4 can hold, in number and in bytes of a title.
CHAPTERS_MAX = 255
TITLE_MAX_BYTES = 255
# FFmpeg closes longer gaps in the timestamps of a transport stream (`dts_delta_threshold`).
KEPT_GAP_MAX_S = 10.0
# A file differs from what its segments claim, as far as a packager's rounding goes.
STRETCH_MAX = 0.1


class ChapterKind(StrEnum):
    """What begins with it. Of several things the first of these."""

    BEGIN = "begin"
    TITLE = "title"
    CATEGORY = "category"
    AD = "ad"
    GAP = "gap"


@dataclass(frozen=True)
class Chapter:
    start_s: float
    end_s: float
    title: str
    kind: ChapterKind


@dataclass(frozen=True)
class _Mark:
    at_s: float
    kind: ChapterKind
    gap: Gap | None = None
    change: Change | None = None


_RANK = {kind: rank for rank, kind in enumerate(ChapterKind)}
_CAUSES = {
    GapCause.SOURCE: "the source failed", GapCause.NETWORK: "the network failed",
    GapCause.EXPIRED: "fetched too late", GapCause.DAEMON_DOWN: "the recorder was down",
    GapCause.PAUSED: "paused", GapCause.DISK: "the disk failed",
    GapCause.OFFLINE: "the broadcast was away",
}


def of(course: Course, length_s: float) -> list[Chapter]:
    """The chapters of a recording with so much captured media; none while there is none.

    The first begins at 0 and is called what is on soon after, each ends where the next begins,
    no two neighbours are alike.
    """
    if length_s <= 0:
        return []
    marks = _marks(course, length_s)
    shortest_s = LENGTH_MIN_S
    found = _chapters(marks, length_s, shortest_s)
    while len(found) > CHAPTERS_MAX:
        shortest_s *= 2
        found = _chapters(marks, length_s, shortest_s)
    return found


def _marks(course: Course, length_s: float) -> list[_Mark]:
    """In the order of the media. A gap at a place comes before a change there."""
    marks = [_Mark(gap.offset_s,
                   ChapterKind.AD if gap.cause is GapCause.AD else ChapterKind.GAP, gap=gap)
             for gap in course.gaps
             if gap.duration_s >= GAP_MIN_S and 0 < gap.offset_s < length_s]
    marks += [_Mark(change.offset_s, ChapterKind(change.key), change=change)
              for change in course.changes if change.offset_s < length_s]
    return sorted(marks, key=lambda mark: mark.at_s)


def _chapters(marks: Iterable[_Mark], length_s: float, shortest_s: float) -> list[Chapter]:
    called: dict[str, str] = {}
    found: list[Chapter] = []
    start_s, here = 0.0, [_Mark(0.0, ChapterKind.BEGIN)]
    for mark in marks:
        if mark.at_s - start_s >= shortest_s:
            if length_s - mark.at_s < shortest_s:
                break
            _end(found, start_s, mark.at_s, here, called)
            start_s, here = mark.at_s, []
        here.append(mark)
    _end(found, start_s, length_s, here, called)
    return found


def _end(
    found: list[Chapter], start_s: float, end_s: float, marks: Sequence[_Mark],
    called: dict[str, str],
) -> None:
    """Add a chapter that begins with these marks, unless it would tell nothing new."""
    before = dict(called)
    called.update({mark.change.key: mark.change.value for mark in marks if mark.change})
    telling = [mark for mark in marks if mark.change is None
               or before.get(mark.change.key) != called[mark.change.key]]
    if not telling:
        found[-1] = replace(found[-1], end_s=end_s)
        return
    kind = min((mark.kind for mark in telling), key=_RANK.__getitem__)
    if not found:
        # What is missing soon behind the beginning is not before it.
        telling = [mark for mark in telling if mark.gap is None]
    name = " · ".join(filter(None, (
        _plain(called.get("title", "")), _plain(called.get("category", "")))))
    gaps = [mark.gap for mark in telling if mark.gap is not None]
    missing = f" ({_missing(gaps)})" if gaps else ""
    limit = TITLE_MAX_BYTES - len(missing.encode())
    found.append(Chapter(start_s, end_s, _cut(name or "Recording", limit) + missing, kind))


def _missing(gaps: Sequence[Gap]) -> str:
    """Of what stands behind several gaps the longest is told."""
    longest = max(gaps, key=lambda gap: gap.duration_s)
    length = _clock(sum(gap.duration_s for gap in gaps))
    if longest.cause is GapCause.AD:
        return f"behind {length} of ads"
    return f"{length} missing: {_CAUSES[longest.cause]}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _plain(text: str) -> str:
    """On one line, without what no player shows."""
    return " ".join("".join(c if c.isprintable() or c == "\u200d" else " " for c in text).split())


def _cut(text: str, limit: int) -> str:
    if len(text.encode("utf-8", "ignore")) <= limit:
        return text
    return text.encode("utf-8", "ignore")[:limit - 3].decode("utf-8", "ignore").rstrip() + "…"


# In a file.


def in_file(
    chapters: Sequence[Chapter], gaps: Sequence[Gap], start_s: float, end_s: float,
    length_s: float,
) -> list[Chapter]:
    """Those of the media from `start_s` to `end_s`, at their places in a file that holds it
    and is `length_s` long.

    A file may be longer than its media by gaps that FFmpeg keeps as time: all, the short ones
    or none, which its length tells.
    """
    inner = [gap for gap in gaps if start_s < gap.offset_s < end_s]
    short = [gap for gap in inner if gap.duration_s <= KEPT_GAP_MAX_S]
    kept = min(([], short, inner), key=lambda some: abs(
        length_s - (end_s - start_s) - sum(gap.duration_s for gap in some)))
    kept_s = sum(gap.duration_s for gap in kept)
    scale = (length_s - kept_s) / (end_s - start_s) if end_s > start_s else 1.0
    if abs(scale - 1) > STRETCH_MAX:
        scale = 1.0

    def place(at_s: float) -> float:
        before_s = sum(gap.duration_s for gap in kept if gap.offset_s <= at_s)
        return min(length_s, (at_s - start_s) * scale + before_s)

    found = [
        replace(one, start_s=place(max(one.start_s, start_s)),
                end_s=place(one.end_s) if one.end_s < end_s else length_s)
        for one in chapters if one.start_s < end_s and one.end_s > start_s]
    return [one for one in found if one.end_s > one.start_s]
