"""Tests of brlib.chapters: where chapters begin, what they are called, where they are in a file."""

from __future__ import annotations

import random

import pytest

from brlib import chapters
from brlib.chapters import CHAPTERS_MAX, LENGTH_MIN_S, TITLE_MAX_BYTES, Chapter, ChapterKind
from brlib.models import Change, Course, Gap, GapCause, utc_now


def title(at_s: float, value: str) -> Change:
    return Change(at_s, "title", value)


def category(at_s: float, value: str) -> Change:
    return Change(at_s, "category", value)


def gap(at_s: float, length_s: float, cause: GapCause = GapCause.NETWORK) -> Gap:
    return Gap(utc_now(), at_s, length_s, 1, cause)


FIRST = title(0, "A")


@pytest.mark.parametrize("gaps, changes, expected", [
    pytest.param([], [], ["0-100 begin Recording"], id="nothing is known"),
    pytest.param([], [FIRST], ["0-100 begin A"], id="a title"),
    pytest.param([], [FIRST, category(0, "Chess")], ["0-100 begin A · Chess"], id="both"),
    pytest.param([], [category(0, "Chess")], ["0-100 begin Chess"], id="a category alone"),
    pytest.param([], [FIRST, title(0, "B")], ["0-100 begin B"], id="the later at one place"),
    pytest.param([], [FIRST, title(40, "B")], ["0-40 begin A", "40-100 title B"], id="a change"),
    pytest.param([], [FIRST, category(40, "Chess"), category(70, "Go")],
                 ["0-40 begin A", "40-70 category A · Chess", "70-100 category A · Go"],
                 id="changes of category"),
    pytest.param([], [FIRST, title(40, "B"), title(45, "C")],
                 ["0-40 begin A", "40-100 title C"], id="soon again: the later name"),
    pytest.param([], [FIRST, title(40, "B"), title(45, "A")], ["0-100 begin A"],
                 id="soon back as it was: no chapter"),
    pytest.param([], [FIRST, title(40, "A")], ["0-100 begin A"], id="the same again"),
    pytest.param([], [FIRST, title(5, "B")], ["0-100 begin B"], id="soon after the beginning"),
    pytest.param([], [FIRST, title(95, "B")], ["0-100 begin A"], id="soon before the end"),
    pytest.param([], [FIRST, title(100, "B")], ["0-100 begin A"], id="behind the end"),
    pytest.param([gap(30, 75)], [FIRST],
                 ["0-30 begin A", "30-100 gap A (1:15 missing: the network failed)"], id="a gap"),
    pytest.param([gap(30, 3700, GapCause.OFFLINE)], [FIRST],
                 ["0-30 begin A", "30-100 gap A (1:01:40 missing: the broadcast was away)"],
                 id="a long one"),
    pytest.param([gap(5, 60), gap(95, 60)], [FIRST], ["0-100 begin A"], id="gaps at both ends"),
    pytest.param([gap(30, 4.9)], [FIRST], ["0-100 begin A"], id="a short gap"),
    pytest.param([gap(30, 60, GapCause.AD)], [FIRST],
                 ["0-30 begin A", "30-100 ad A (behind 1:00 of ads)"], id="ads"),
    pytest.param([gap(0, 60), gap(100, 60)], [FIRST], ["0-100 begin A"],
                 id="gaps before and behind all"),
    pytest.param([gap(30, 60, GapCause.AD), gap(30, 20)], [FIRST, title(31, "B")],
                 ["0-30 begin A", "30-100 title B (behind 1:20 of ads)"], id="all at once"),
    pytest.param([gap(30, 5, GapCause.PAUSED)], [], [
        "0-30 begin Recording", "30-100 gap Recording (0:05 missing: paused)"], id="no name"),
    pytest.param([], [title(0, "a\nb\x00\u202ec  d")], ["0-100 begin a b c d"], id="one line"),
    pytest.param([], [title(0, "\ud83d\udc00\x00")], ["0-100 begin Recording"], id="no text"),
])
def test_chapters(gaps: list[Gap], changes: list[Change], expected: list[str]) -> None:
    found = chapters.of(Course(tuple(gaps), tuple(changes)), 100.0)
    assert [f"{c.start_s:g}-{c.end_s:g} {c.kind} {c.title}" for c in found] == expected


def test_every_cause_has_words() -> None:
    for cause in GapCause:
        (_, second) = chapters.of(Course((gap(50, 60, cause),)), 100.0)
        assert second.title.startswith("Recording (") and cause.value != second.title


def test_no_media_no_chapters() -> None:
    assert chapters.of(Course(changes=(FIRST,)), 0.0) == []


@pytest.mark.parametrize("text", ["x" * 600, "é" * 300, "👩‍👧" * 90])
def test_titles_are_bounded(text: str) -> None:
    one, two = chapters.of(Course((gap(50, 60),), (title(0, text), category(0, text))), 100.0)
    for chapter in (one, two):
        assert TITLE_MAX_BYTES - 8 <= len(chapter.title.encode()) <= TITLE_MAX_BYTES
    assert two.title.endswith("… (1:00 missing: the network failed)")


def test_any_course_gives_chapters_that_a_file_can_hold() -> None:
    dice = random.Random(3)
    for _ in range(300):
        length_s = dice.choice([0.5, 15.0, 600.0, 36000.0])
        course = Course(
            tuple(gap(dice.uniform(0, length_s * 1.1), dice.choice([1, 8, 60]),
                      dice.choice(list(GapCause))) for _ in range(dice.choice([0, 3, 900]))),
            tuple(Change(dice.uniform(0, length_s * 1.1), dice.choice(["title", "category"]),
                         dice.choice("ABC")) for _ in range(dice.choice([0, 3, 900]))))
        found = chapters.of(course, length_s)
        assert 1 <= len(found) <= CHAPTERS_MAX
        assert found[0].start_s == 0.0 and found[-1].end_s == length_s
        assert all(a.end_s == b.start_s for a, b in zip(found, found[1:], strict=False))
        assert len(found) == 1 or all(c.end_s - c.start_s >= LENGTH_MIN_S for c in found)
        start_s = dice.uniform(0, length_s / 2)
        inside = chapters.in_file(found, course.gaps, start_s, length_s, length_s - start_s)
        assert inside[0].start_s == 0.0
        assert inside[-1].end_s == pytest.approx(length_s - start_s)
        assert all(a.end_s == b.start_s for a, b in zip(inside, inside[1:], strict=False))


THREE = [Chapter(0, 40, "A", ChapterKind.TITLE), Chapter(40, 70, "B", ChapterKind.GAP),
         Chapter(70, 100, "C", ChapterKind.TITLE)]
GAPS = [gap(40, 6), gap(70, 50)]


@pytest.mark.parametrize("gaps, start_s, end_s, length_s, expected", [
    pytest.param([], 0, 100, 100, [(0, 40), (40, 70), (70, 100)], id="as it is"),
    pytest.param(GAPS, 0, 100, 100, [(0, 40), (40, 70), (70, 100)], id="no gap is kept"),
    pytest.param(GAPS, 0, 100, 106.1, [(0, 46.04), (46.04, 76.07), (76.07, 106.1)],
                 id="the short one is kept"),
    pytest.param(GAPS, 0, 100, 156, [(0, 46), (46, 126), (126, 156)], id="both are"),
    pytest.param([], 0, 100, 102, [(0, 40.8), (40.8, 71.4), (71.4, 102)], id="rounded lengths"),
    pytest.param([], 0, 100, 50, [(0, 40), (40, 50)], id="too short by far"),
    pytest.param(GAPS, 50, 100, 50, [(0, 20), (20, 50)], id="a second file"),
    pytest.param(GAPS, 40, 70, 30, [(0, 30)], id="a gap where it begins is not in it"),
    pytest.param(GAPS, 0, 40, 40, [(0, 40)], id="the first"),
])
def test_places_in_a_file(
    gaps: list[Gap], start_s: float, end_s: float, length_s: float,
    expected: list[tuple[float, float]]
) -> None:
    found = chapters.in_file(THREE, gaps, start_s, end_s, length_s)
    assert [(round(c.start_s, 2), round(c.end_s, 2)) for c in found] == expected
