"""Tests of brlib.continuity: nothing twice, nothing left out that the origin still offers."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from brlib.continuity import (
    DATED_STALE_S, JUMP_SLACK_S, UNPROVEN_STALE_S, Judgement, Listed, Meaning, Position, Proof,
    judge, path_hash,
)

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH_S = 2.0
LONG_S = 3600.0


def at(num: int, *, offset: int = 0, name: str = "a", dates: bool = False, drift_s: float = 0.0,
       length_s: float = LENGTH_S) -> Listed:
    """Segment `num`; it is number `num + offset` of the broadcast, which its date tells."""
    date = ZERO + timedelta(seconds=(num + offset) * LENGTH_S + drift_s) if dates else None
    return Listed(num, length_s, f"{name}{num}", date)


def window(first: int, last: int, **options: object) -> list[Listed]:
    return [at(num, **options) for num in range(first, last + 1)]  # type: ignore[arg-type]


def position(first: int, last: int, *, idle_s: float = 1.0, fresh: bool = False,
             dates: bool = False, expected: int | None = None) -> Position:
    held = {num: at(num, dates=dates) for num in range(first, last + 1)}
    end = ZERO + timedelta(seconds=(last + 1) * LENGTH_S) if dates else None
    return Position(last + 1 if expected is None else expected, held, end, idle_s, LENGTH_S, fresh)


STALE = Judgement(Meaning.STALE)


def go_on(start: int, missed: int = 0, missed_s: float = 0.0) -> Judgement:
    return Judgement(Meaning.CONTINUE, start, missed, missed_s)


def anew(start: int, missed_s: float = 0.0) -> Judgement:
    return Judgement(Meaning.RENUMBERED, start, 0, missed_s)


def doubt(num: int) -> Judgement:
    return Judgement(Meaning.DOUBT, num)


@pytest.mark.parametrize("where, listed, expected", [
    pytest.param(None, window(7, 9), go_on(7), id="fresh start"),
    pytest.param(None, window(0, 0, dates=True), go_on(0), id="fresh start, one segment"),
    pytest.param(position(0, 9), window(5, 9), go_on(10), id="nothing new"),
    pytest.param(position(0, 9), window(5, 12), go_on(10), id="three new"),
    pytest.param(position(0, 9, dates=True), window(5, 12, dates=True), go_on(10),
                 id="three new, dated"),
    pytest.param(position(0, 9), window(10, 14), go_on(10), id="adjacent"),
    pytest.param(position(0, 9, idle_s=LONG_S), window(10, 14), go_on(10),
                 id="adjacent after an hour"),
    pytest.param(position(0, 9, dates=True), window(10, 14, dates=True, drift_s=LONG_S), go_on(10),
                 id="adjacent, an hour later by date"),
    pytest.param(position(0, 9, idle_s=20), window(15, 20), go_on(15, 5, 10.0),
                 id="window moved on"),
    pytest.param(position(0, 9, dates=True, idle_s=20),
                 window(15, 20, dates=True, drift_s=1.5), go_on(15, 5, 11.5),
                 id="window moved on: the date knows the length"),
    pytest.param(position(0, 9, dates=True, idle_s=20), window(15, 20), go_on(15, 5, 10.0),
                 id="window moved on, dates gone"),
    pytest.param(position(0, 9, idle_s=0), window(25, 30), go_on(25, 15, 30.0),
                 id="just believable"),
    pytest.param(position(0, 9, idle_s=0), window(26, 30), anew(26), id="just not believable"),
    pytest.param(position(0, 9, idle_s=LONG_S), window(1800, 1810), go_on(1800, 1790, 3580.0),
                 id="an hour missed"),
    pytest.param(position(0, 9), window(1_700_000_000, 1_700_000_005), anew(1_700_000_000),
                 id="numbers that are times"),
    pytest.param(position(0, 9, dates=True), window(5000, 5005, dates=True, offset=-4990),
                 anew(5000), id="numbers that are times, dated: adjacent"),
    pytest.param(position(0, 9, dates=True), window(5000, 5005, dates=True, offset=-4993),
                 anew(5003), id="numbers that are times, dated: overlap"),
    pytest.param(position(0, 9, dates=True), window(5000, 5005, dates=True, offset=-4980),
                 anew(5000, 20.0), id="numbers that are times, dated: gap"),
    pytest.param(position(50, 59), window(0, 5), anew(0), id="numbers start again"),
    pytest.param(position(50, 59, dates=True), window(0, 5, dates=True, offset=60), anew(0),
                 id="start again, dated: adjacent"),
    pytest.param(position(50, 59, dates=True), window(0, 5, dates=True, offset=57), anew(3),
                 id="start again, dated: overlap"),
    pytest.param(position(50, 59, dates=True), window(0, 5, dates=True, offset=70), anew(0, 20.0),
                 id="start again, dated: gap"),
    pytest.param(position(50, 59, dates=True), window(0, 5, dates=True, offset=60, drift_s=-0.9),
                 anew(0), id="start again, dated: less than half is here"),
    pytest.param(position(50, 59, dates=True), window(0, 5, dates=True, offset=60, drift_s=-1.1),
                 anew(1), id="start again, dated: more than half is here"),
    pytest.param(position(50, 59, dates=True), window(0, 5), anew(0),
                 id="start again, dates gone"),
    pytest.param(position(50, 59, dates=True, idle_s=LONG_S),
                 window(0, 5, dates=True, offset=-9999), anew(0),
                 id="start again with a clock set back: taken in the end"),
    pytest.param(position(50, 59, dates=True, idle_s=DATED_STALE_S - 1),
                 window(0, 5, dates=True, offset=-9999), STALE,
                 id="older than anything here, dated"),
    pytest.param(position(0, 9, dates=True), window(0, 6, dates=True), STALE,
                 id="older playlist, dated"),
    pytest.param(position(0, 9, dates=True, idle_s=LONG_S), window(0, 6, dates=True), STALE,
                 id="older playlist, dated, for an hour"),
    pytest.param(position(0, 9, dates=True, fresh=True), window(5, 12, dates=True), go_on(10),
                 id="resumed, dated: no proof needed"),
    pytest.param(position(0, 9, dates=True), window(0, 9, dates=True, offset=30, name="b"),
                 anew(0, 40.0), id="same numbers, other dates and names"),
    pytest.param(position(0, 9, expected=15), window(12, 18), go_on(15),
                 id="given up 10 to 14: not asked again"),
    pytest.param(position(0, 9, expected=15, dates=True), window(12, 18, dates=True), go_on(15),
                 id="given up 10 to 14, dated"),
    pytest.param(position(0, 9, expected=15), window(11, 13), go_on(15),
                 id="given up 10 to 14, nothing new"),
    pytest.param(position(0, 9, expected=15, dates=True), window(12, 18, dates=True, offset=-7),
                 anew(17), id="given up 10 to 14, renumbered by date"),
    pytest.param(Position(20, {}, None, 1.0, LENGTH_S, True), window(20, 25), go_on(20),
                 id="nothing held in this numbering"),
    pytest.param(Position(20, {}, None, 1.0, LENGTH_S, True), window(15, 25), anew(15),
                 id="nothing held in this numbering, lower"),
])
def test_without_doubt(where: Position | None, listed: list[Listed], expected: Judgement) -> None:
    assert judge(where, listed) == expected


UNDATED = [
    # position, listed, the segment in doubt; then the judgement for SAME, OTHER and NONE
    pytest.param(position(0, 9, fresh=True), window(5, 12), 9, go_on(10), anew(5), go_on(10),
                 id="resumed"),
    pytest.param(position(0, 9, fresh=True), window(5, 12, name="b"), 9, go_on(10), anew(5),
                 go_on(10), id="resumed, other names"),
    pytest.param(position(0, 9, fresh=True, idle_s=LONG_S), window(3, 9), 9, go_on(10),
                 replace(anew(3), missed_s=LONG_S - 7 * LENGTH_S), go_on(10),
                 id="resumed, nothing new"),
    pytest.param(position(0, 9), window(5, 12, name="b"), 9, go_on(10), anew(5), go_on(10),
                 id="other names"),
    pytest.param(position(0, 9), window(0, 6), 6, STALE, anew(0), STALE, id="older playlist"),
    pytest.param(position(0, 9, idle_s=UNPROVEN_STALE_S - 1), window(0, 6, name="b"), 6, STALE,
                 anew(0), STALE, id="older playlist, other names"),
    pytest.param(position(0, 9, idle_s=UNPROVEN_STALE_S), window(0, 6), 6, STALE, anew(0), anew(0),
                 id="older playlist for too long"),
    pytest.param(position(0, 9, fresh=True), window(0, 6), 6, STALE, anew(0), STALE,
                 id="resumed, older playlist"),
    pytest.param(position(0, 9), window(8, 8), 8, STALE, anew(8), STALE,
                 id="the last but one alone"),
    pytest.param(position(0, 9, fresh=True), window(8, 12), 9, go_on(10), anew(8), go_on(10),
                 id="resumed at the overlap"),
    pytest.param(position(0, 9, dates=True), window(5, 12, dates=True, drift_s=1.2), 9, go_on(10),
                 anew(9), anew(9), id="dates drift ahead under the same names"),
    pytest.param(position(0, 9, dates=True), window(5, 12, dates=True, drift_s=-1.2), 9, go_on(10),
                 anew(11), anew(11), id="dates drift back under the same names"),
    pytest.param(position(0, 9, dates=True), window(0, 9, dates=True, offset=30), 9, go_on(10),
                 anew(0, 40.0), anew(0, 40.0), id="encoder restarted with the same names"),
]


@pytest.mark.parametrize("where, listed, asked, same, other, none", UNDATED)
def test_doubt_is_settled_by_content(
    where: Position, listed: list[Listed], asked: int, same: Judgement, other: Judgement,
    none: Judgement,
) -> None:
    assert judge(where, listed) == doubt(asked)
    assert judge(where, listed, Proof.SAME) == same
    assert judge(where, listed, Proof.OTHER) == other
    assert judge(where, listed, Proof.NONE) == none


def test_slack_of_a_jump_is_in_seconds() -> None:
    spans = int(JUMP_SLACK_S / LENGTH_S)
    assert judge(position(0, 9, idle_s=0), window(10 + spans, 40)).meaning is Meaning.CONTINUE
    assert judge(position(0, 9, idle_s=0), window(11 + spans, 40)).meaning is Meaning.RENUMBERED


class Broadcast:
    """Segments by number in the broadcast, listed under numberings that change."""

    def __init__(self, dice: random.Random, dates: bool) -> None:
        self.dice, self.dates = dice, dates
        self.newest, self.offset, self.begun, self.epoch = 20, 0, 0, 0

    def restart(self) -> None:
        self.begun, self.epoch = self.newest + 1, self.epoch + 1
        first = self.dice.choice((0, 0, 1_000_000 * self.epoch))
        self.offset = self.begun - first
        self.newest += 1

    def listed(self, lag: int = 0) -> list[Listed]:
        last = max(self.begun, self.newest - lag)
        return [at(n - self.offset, offset=self.offset, name=f"e{self.epoch}-", dates=self.dates)
                for n in range(max(self.begun, last - 9), last + 1)]


@pytest.mark.parametrize("dates", [True, False], ids=["dated", "undated"])
@pytest.mark.parametrize("seed", range(40))
def test_any_broadcast_is_taken_once_and_whole(seed: int, dates: bool) -> None:
    """Restarts, stale caches and resumed captures, as a session would act on each judgement."""
    dice = random.Random(seed)
    origin = Broadcast(dice, dates)
    taken: list[int] = []
    where: Position | None = None
    ours: dict[int, int] = {}
    for _ in range(200):
        choice = dice.random()
        lag = 0
        if choice < 0.05:
            origin.restart()
        elif choice < 0.2 and len(taken) > 12:
            lag = dice.randint(1, 6)
        else:
            origin.newest += dice.randint(0, 3)
        if where is not None and dice.random() < 0.1:
            where = Position(where.expected, where.recent, where.end_date, 1.0, LENGTH_S, True)
        listed = origin.listed(lag)
        judged = judge(where, listed)
        if judged.meaning is Meaning.DOUBT:
            theirs = judged.start + origin.offset
            proof = Proof.SAME if ours[judged.start] == theirs else Proof.OTHER
            judged = judge(where, listed, proof)
        if judged.meaning is Meaning.STALE:
            assert lag
            continue
        assert judged.missed == 0 and judged.missed_s < LENGTH_S / 2
        if judged.meaning is Meaning.RENUMBERED:
            ours = {}
        recent = dict(where.recent) if where and ours else {}
        for one in listed:
            if one.num >= judged.start:
                number = one.num + origin.offset
                ours[one.num], recent[one.num] = number, one
                # Undated, content tells what is here already: the session's part.
                if dates or number not in taken:
                    taken.append(number)
        last = max(recent.values(), key=lambda s: s.num)
        end = last.date + timedelta(seconds=LENGTH_S) if last.date else None
        expected = max(judged.start, last.num + 1)
        where = Position(expected, recent, end, 1.0, LENGTH_S)
    assert taken == list(range(taken[0], taken[-1] + 1))
    assert len(taken) > 150


@pytest.mark.parametrize("uri, offset, same_as", [
    ("https://a/x/1.ts?token=1", None, ("https://b/x/1.ts?token=2", None)),
    ("http://a/x/all.ts", 188, ("https://a/x/all.ts", 188)),
])
def test_path_hash_leaves_host_and_query_out(
    uri: str, offset: int | None, same_as: tuple[str, int | None]
) -> None:
    assert path_hash(uri, offset) == path_hash(*same_as)
    assert path_hash(uri, offset) != path_hash(uri, 376)
    assert path_hash(uri, offset) != path_hash(uri.replace("x/", "y/"), offset)
