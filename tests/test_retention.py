"""Tests of brlib.retention: what goes by age and by number, and what a channel's own may say."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from brlib.retention import Retention, canonical, expired, parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Ended so many days ago, the latest first.
FINISHED = [(f"{days} d", NOW - timedelta(days=days)) for days in (1, 2, 10, 10.1, 20)]


@pytest.mark.parametrize("days, keep_latest, expected", [
    pytest.param(None, None, [], id="no rule"),
    pytest.param(10, None, ["20 d", "10.1 d"], id="older than ten days, oldest first"),
    pytest.param(30, None, [], id="nothing is that old"),
    pytest.param(None, 4, ["20 d"], id="all but the latest four"),
    pytest.param(None, 5, [], id="as many as there are"),
    pytest.param(None, 99, [], id="more than there are"),
    pytest.param(1, 2, ["20 d", "10.1 d", "10 d"], id="both: the latest are kept, though old"),
    pytest.param(10, 1, ["20 d", "10.1 d"], id="both: the young are kept, though many"),
    pytest.param(10, 4, ["20 d"], id="both say delete"),
    pytest.param(10, 5, [], id="both: old, but among the latest"),
    pytest.param(30, 1, [], id="both: many, but young"),
])
def test_retention(days: int | None, keep_latest: int | None, expected: list[str]) -> None:
    assert expired(FINISHED, Retention(days, keep_latest), NOW) == expected
    assert expired([], Retention(days, keep_latest), NOW) == []


def test_both_rules_never_delete_more_than_one_alone() -> None:
    chance = random.Random(1)
    for _ in range(500):
        ages = sorted(chance.choices(range(40), k=chance.randrange(12)))
        finished = [(str(n), NOW - timedelta(days=age)) for n, age in enumerate(ages)]
        days, latest = chance.randrange(1, 40), chance.randrange(1, 12)
        both, by_age, by_number = (set(expired(finished, rule, NOW)) for rule in (
            Retention(days, latest), Retention(days), Retention(None, latest)))
        assert both == by_age & by_number
        assert by_number == {recording_id for recording_id, _ in finished[latest:]}
        assert by_age == {str(n) for n, age in enumerate(ages) if age > days}


@pytest.mark.parametrize("days, latest, min_keep, expected", [
    pytest.param(5, None, 0, ["20 d", "10.1 d", "10 d"], id="none at least"),
    pytest.param(5, None, 4, ["20 d"], id="old, but there must be four"),
    pytest.param(5, 1, 4, ["20 d"], id="whichever keeps more"),
    pytest.param(5, 4, 1, ["20 d"], id="the other way round"),
    pytest.param(None, 1, 3, ["20 d", "10.1 d"], id="by number, and more at least"),
    pytest.param(None, None, 1, [], id="at least is no rule"),
])
def test_a_least_number(
    days: int | None, latest: int | None, min_keep: int, expected: list[str]
) -> None:
    assert expired(FINISHED, Retention(days, latest, min_keep), NOW) == expected


@pytest.mark.parametrize("retention, sentence", [
    (Retention(1), "older than 1 day"), (Retention(30), "older than 30 days"),
    (Retention(None, 5), "not among the latest 5"),
    (Retention(30, 5, 2), "older than 30 days and not among the latest 5"),
    (Retention(30, 5, 9), "older than 30 days and not among the latest 9"),
    (Retention(30, None, 9), "older than 30 days and not among the latest 9"),
])
def test_sentences(retention: Retention, sentence: str) -> None:
    assert retention.sentence() == sentence


@pytest.mark.parametrize("data, expected", [
    ({}, Retention()), ({"days": None}, Retention()), ({"days": 30}, Retention(30)),
    ({"days": 30.0, "keep_latest": 5, "min_keep": 2}, Retention(30, 5, 2)),
    ({"days": 1, "min_keep": 0}, Retention(1)), ({"days": 1, "min_keep": None}, Retention(1)),
])
def test_a_channel_s_own(data: dict[str, Any], expected: Retention) -> None:
    assert parse(canonical(data)) == expected
    assert expected.deletes is (expected.days is not None)


@pytest.mark.parametrize("data, says", [
    ([], "must be an object"), ({"day": 3}, "must be an object"), ({"days": 0}, "days must"),
    ({"days": -1}, "days must"), ({"days": True}, "days must"), ({"days": "30"}, "days must"),
    ({"days": 1.5}, "days must"), ({"days": 36501}, "days must"),
    ({"keep_latest": 0}, "keep_latest must"), ({"days": 3, "min_keep": -1}, "min_keep must"),
    ({"min_keep": 3}, "min_keep needs days or keep_latest"),
])
def test_what_is_refused(data: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        canonical(data)
