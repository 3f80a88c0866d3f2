"""What a freshly loaded playlist means behind what was already taken. Pure.

Called by `brlib.capture.segments` at each reload. Media sequence numbers say where to
go on (RFC 8216 6.2.2); encoders that restart, caches that answer with an older
playlist, and windows that moved on while nobody looked all break that promise, and each
is told apart here: by number, then by program date-time, and where both are silent by
the content of one segment, which the caller fetches and compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

SAME_MOMENT = timedelta(seconds=1)
# How long a playlist may run behind, unproven, before it counts as a new numbering:
# longer than caches keep a live playlist, shorter than most windows.
UNPROVEN_STALE_S = 10.0
# No cache answers for so long with what is older by date: the encoder's clock was set back.
DATED_STALE_S = 30.0
# A jump ahead is believable when it spans at most this much more than the time passed.
JUMP_SLACK_S = 30.0


@dataclass(frozen=True)
class Listed:
    """A segment as a playlist lists it. `path` is a short hash of its address."""

    num: int
    duration_s: float
    path: str
    date: datetime | None = None


def path_hash(uri: str, offset: int | None = None) -> str:
    """A short name for a segment's address, without host and query (tokens live there);
    `offset` tells the byte ranges of one resource apart."""
    path = urlsplit(uri).path + ("" if offset is None else f"@{offset}")
    return blake2b(path.encode(), digest_size=4).hexdigest()


def set_offsets(segments: list[Any]) -> None:
    """Give every byte range its offset: one without begins where the segment before it in
    the same resource ends (RFC 8216 4.3.2.2). Parallel downloads cannot count along."""
    uri, end = None, 0
    for segment in segments:
        if segment.byterange is None:
            uri = None
            continue
        offset = segment.byterange.offset
        if offset is None:
            offset = end if segment.uri == uri else 0
            segment.byterange = segment.byterange._replace(offset=offset)
        uri, end = segment.uri, offset + segment.byterange.range


@dataclass(frozen=True)
class Position:
    """How far a capture is in the current numbering.

    `recent` has the newest segments taken, by number; `end_date` is the program
    date-time at which the newest one ends; `idle_s` is the wall time since it was
    taken; `fresh` until the first playlist after opening has been judged; `committed` is
    the newest number whose content is known.
    """

    expected: int
    recent: Mapping[int, Listed]
    end_date: datetime | None
    idle_s: float
    mean_s: float
    fresh: bool = False
    committed: int = -1


class Proof(Enum):
    """The caller's answer to a DOUBT: whether the segment in question is the one we have."""

    NOT_ASKED = "not asked"
    SAME = "same"
    OTHER = "other"
    NONE = "none"


class Meaning(Enum):
    CONTINUE = "continue"
    STALE = "stale"
    RENUMBERED = "renumbered"
    DOUBT = "doubt"


@dataclass(frozen=True)
class Judgement:
    """CONTINUE or RENUMBERED: go on at `start`, `missed` segments (0: nobody can count
    them) of `missed_s` are gone. STALE: take nothing. DOUBT: compare segment `start`."""

    meaning: Meaning
    start: int = -1
    missed: int = 0
    missed_s: float = 0.0


STALE = Judgement(Meaning.STALE)


def judge(
    position: Position | None, listed: Sequence[Listed], proof: Proof = Proof.NOT_ASKED
) -> Judgement:
    """What to take of a playlist with at least one segment."""
    if position is None:
        return Judgement(Meaning.CONTINUE, listed[0].num)
    behind = listed[-1].num < position.expected - 1
    common = [segment for segment in listed if segment.num in position.recent]
    if common:
        new = listed[-1].num >= position.expected
        same = _same(position, common[-1], behind, new, proof)
        if same is None:
            committed = [segment for segment in common if segment.num <= position.committed]
            return Judgement(Meaning.DOUBT, (committed or common)[-1].num)
        if not same:
            return _renumbered(position, listed)
        return STALE if behind else _go_on(position, listed)
    # Numbers between the newest segment held and the expected one were given up.
    newest = max(position.recent, default=position.expected - 1)
    if listed[0].num > newest and _believable(position, listed[0]):
        return _go_on(position, listed)
    return _renumbered(position, listed)


def _same(
    position: Position, theirs: Listed, behind: bool, new: bool, proof: Proof
) -> bool | None:
    """Whether a segment under a number that we have is ours; None: ask for its content.

    An equal path proves it only while the playlist moves on under our eyes: restarted
    encoders use the same names again, and may have come as far as we were. Another date
    under an equal path may be a clock that drifts.
    """
    ours = position.recent[theirs.num]
    redated = False
    if ours.date is not None and theirs.date is not None:
        redated = abs(ours.date - theirs.date) >= SAME_MOMENT
        if not redated or ours.path != theirs.path:
            return not redated
    if proof is Proof.SAME or proof is Proof.OTHER:
        return proof is Proof.SAME
    if redated:
        return None if proof is Proof.NOT_ASKED else False
    watched = not position.fresh and (position.idle_s < UNPROVEN_STALE_S or not new)
    if ours.path == theirs.path and not behind and watched:
        return True
    if proof is Proof.NOT_ASKED:
        return None
    return not behind or position.idle_s < UNPROVEN_STALE_S


def _go_on(position: Position, listed: Sequence[Listed]) -> Judgement:
    first = listed[0]
    missed = max(0, first.num - position.expected)
    if not missed:
        return Judgement(Meaning.CONTINUE, position.expected)
    missed_s = missed * position.mean_s
    if first.date is not None and position.end_date is not None:
        by_date_s = (first.date - position.end_date).total_seconds()
        missed_s = by_date_s if by_date_s > 0 else missed_s
    return Judgement(Meaning.CONTINUE, first.num, missed, missed_s)


def _believable(position: Position, first: Listed) -> bool:
    """Whether a jump ahead is the window having moved on, not a new numbering."""
    span_s = (first.num - position.expected) * position.mean_s
    passed_s = position.idle_s
    if first.date is not None and position.end_date is not None:
        passed_s = (first.date - position.end_date).total_seconds()
        if passed_s < -SAME_MOMENT.total_seconds():
            return False
    return span_s <= passed_s + JUMP_SLACK_S


def _renumbered(position: Position, listed: Sequence[Listed]) -> Judgement:
    """Where to start in a new numbering: by date behind the last segment, else at the
    first (what we have already is then dropped by its content)."""
    if position.end_date is None or listed[0].date is None:
        return _renumbered_undated(position, listed)
    for segment in listed:
        if segment.date is None:
            return Judgement(Meaning.RENUMBERED, segment.num)
        middle = segment.date + timedelta(seconds=segment.duration_s / 2)
        if middle > position.end_date:
            away_s = (segment.date - position.end_date).total_seconds()
            missed_s = away_s if away_s > segment.duration_s / 2 else 0.0
            return Judgement(Meaning.RENUMBERED, segment.num, 0, missed_s)
    if position.idle_s < DATED_STALE_S:
        return STALE
    return Judgement(Meaning.RENUMBERED, listed[0].num)


def _renumbered_undated(position: Position, listed: Sequence[Listed]) -> Judgement:
    """From the first: what is here already is told by its content. What was missed in an
    absence only the clock can tell."""
    missed_s = position.idle_s - sum(segment.duration_s for segment in listed)
    if not position.fresh or missed_s < position.mean_s:
        missed_s = 0.0
    return Judgement(Meaning.RENUMBERED, listed[0].num, 0, missed_s)
