"""Words that are wanted and words that are not, however they are written."""

from __future__ import annotations

from typing import Any

import pytest

from brlib.filters import Filters, Words, canonical, folded, parse


@pytest.mark.parametrize(("text", "words"), [
    ("speedrun", Words(("speedrun",))),
    ("Speedrun, 100% RUN", Words(("speedrun", "100% run"))),
    ("!rerun", Words((), ("rerun",))),
    (" a ,, !b , ! c", Words(("a",), ("b", "c"))),
])
def test_words(text: str, words: Words) -> None:
    assert Words.read(text) == words


@pytest.mark.parametrize("text", ["", " ", ",", ", ,", "!", "a, !", ",".join(["a"] * 101)])
def test_no_words(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Words.read(text)


@pytest.mark.parametrize(("filter_", "text", "reason"), [
    ("run", "A RUN today", None),
    ("run", "Speedrun", None),
    ("run", "walk", "holds none of 'run'"),
    ("run, walk", "a walk", None),
    ("run", None, "holds none of 'run'"),
    ("!rerun", None, None),
    ("!rerun", "fresh", None),
    ("!rerun", "RERUN: yesterday", "holds 'rerun'"),
    ("run, !rerun", "rerun of a run", "holds 'rerun'"),
    ("straße", "STRASSE", None),
    ("pokémon", "POKE\u0301MON", None),
    ("ﬁnal", "FINAL", None),
    ("ΣΊΣΥΦΟΣ", "σίσυφος", None),
    ("配信", "今日の配信です", None),
    ("１００", "100 players", None),
])
def test_against_a_text(filter_: str, text: str | None, reason: str | None) -> None:
    assert Words.read(filter_).against(text) == reason


@pytest.mark.parametrize(("filters", "reason"), [
    (Filters(), None),
    (Filters(title=Words(("chess",))), None),
    (Filters(title=Words(("go",))), "the title holds none of 'go'"),
    (Filters(category=Words((), ("board",))), "the category holds 'board'"),
    (Filters(min_viewers=50), None),
    (Filters(min_viewers=51), "50 viewers are fewer than 51"),
    (Filters(title=Words(("go",)), min_viewers=51), "the title holds none of 'go'"),
])
def test_against_a_broadcast(filters: Filters, reason: str | None) -> None:
    assert filters.against("Chess all night", "Board games", 50) == reason


def test_unknown_viewers_turn_nobody_away() -> None:
    assert Filters(min_viewers=1000).against("x", None, None) is None


def test_folding_twice_changes_nothing() -> None:
    for number in range(0x30000):
        if not 0xD800 <= number < 0xE000:
            once = folded(chr(number))
            assert folded(once) == once, hex(number)


@pytest.mark.parametrize(("data", "filters"), [
    ({}, Filters()),
    ({"title": " Run, !rerun", "category": None, "min_viewers": 5, "strict": True},
     Filters(Words(("run",), ("rerun",)), Words(), 5, True)),
])
def test_the_object_of_the_api(data: Any, filters: Filters) -> None:
    assert parse(canonical(data)) == filters


@pytest.mark.parametrize(("data", "reason"), [
    ([], "must be an object"), ({"titles": "x"}, "must be an object with title"),
    ({"title": ","}, "title must hold a word"), ({"title": ""}, "title must hold a word"),
    ({"category": 1}, "category must be a text"), ({"title": "x" * 2001}, "title must be a text"),
    ({"min_viewers": -1}, "min_viewers must be"), ({"min_viewers": True}, "min_viewers must be"),
    ({"min_viewers": 1.5}, "min_viewers must be"), ({"strict": "yes"}, "strict must be"),
])
def test_what_are_no_filters(data: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical(data)
