"""Stretches of the wall clock, as people write them."""

from __future__ import annotations

from datetime import date

import pytest

from brlib.windows import (
    EVERY_DAY, Period, Window, read_blackout, read_blackouts, read_clock, read_days, window,
)


@pytest.mark.parametrize(("text", "days"), [
    ("mon", {0}), ("Mon-Fri", {0, 1, 2, 3, 4}), ("sat,sun", {5, 6}), ("fri-mon", {4, 5, 6, 0}),
    ("monday tuesday", {0, 1}), ("weekends", {5, 6}), ("weekdays, sun", {0, 1, 2, 3, 4, 6}),
    ("daily", set(range(7))), ("wed-wed", {2}),
])
def test_days(text: str, days: set[int]) -> None:
    assert read_days(text) == days


@pytest.mark.parametrize("text", ["", ",", "mo", "montag", "mon-", "-fri", "mon-fry", "8"])
def test_what_names_no_days(text: str) -> None:
    with pytest.raises(ValueError, match="must name days"):
        read_days(text)


@pytest.mark.parametrize(("text", "minute"), [
    ("00:00", 0), ("7:05", 425), ("23:59", 1439), ("24:00", 1440)])
def test_a_clock(text: str, minute: int) -> None:
    assert read_clock(text) == minute


@pytest.mark.parametrize("text", ["", "24:01", "7", "7.30", "18:60", "-1:00", "1800", "١٨:٠٠"])
def test_no_clock(text: str) -> None:
    with pytest.raises(ValueError, match="time of day"):
        read_clock(text)


@pytest.mark.parametrize(("start", "end", "reason"), [
    ("18:00", "18:00", "must not end when it starts"),
    ("24:00", "02:00", "must start before"),
])
def test_no_window(start: str, end: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        window("mon", start, end)


@pytest.mark.parametrize(("text", "found"), [
    ("sat-sun 12:00-14:00", Window(frozenset((5, 6)), 720, 840)),
    ("03:00-04:00", Window(EVERY_DAY, 180, 240)),
    ("fri 22:00-00:00", Window(frozenset((4,)), 1320, 1440)),
    ("2026-12-24", Period(date(2026, 12, 24), date(2026, 12, 24))),
    ("2026-12-24..2027-01-02", Period(date(2026, 12, 24), date(2027, 1, 2))),
])
def test_a_blackout(text: str, found: Window | Period) -> None:
    assert read_blackout(text) == found
    assert read_blackouts(f" {text} ;; {text}") == (found, found)


@pytest.mark.parametrize("text", [
    "noon", "2026-13-01", "2026-12-26..2026-12-24", "mon", "12:00", "1926-01-01..2026-01-01",
    "mon 12:00-12:00"])
def test_no_blackout(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        read_blackouts(text)
