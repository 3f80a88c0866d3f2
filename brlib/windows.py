"""Stretches of the wall clock: weekly windows, whole days; and how people write them.

Pure. `schedule` puts them on the clock of a time zone; the readers serve `config.ini` and the
API alike and raise ValueError with what a text must be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

EVERY_DAY = frozenset(range(7))
SPANS_MAX = 50
PERIOD_DAYS_MAX = 3660
DAY_MINUTES = 24 * 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GROUPS = {"daily": EVERY_DAY, "all": EVERY_DAY, "weekdays": frozenset(range(5)),
           "weekends": frozenset((5, 6))}
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00")
_PERIOD = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\.\.([0-9]{4}-[0-9]{2}-[0-9]{2}))?")


@dataclass(frozen=True)
class Window:
    """On these days (0 is Monday) from one minute of the day until before another; when that
    is not later, until there on the day after."""

    days: frozenset[int]
    start_min: int
    end_min: int

    def shows(self, local: datetime) -> bool:
        """Whether a wall clock that shows this is inside."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start_min < self.end_min:
            return day in self.days and self.start_min <= minute < self.end_min
        return (day in self.days and minute >= self.start_min
                or (day - 1) % 7 in self.days and minute < self.end_min)

    def edges_min(self) -> tuple[int, ...]:
        """Minutes of the day at which it may begin or end."""
        return self.start_min, self.end_min % DAY_MINUTES


@dataclass(frozen=True)
class Period:
    """Whole days, from the first to the last."""

    first: date
    last: date

    def shows(self, local: datetime) -> bool:
        return self.first <= local.date() <= self.last

    def edges_min(self) -> tuple[int, ...]:
        return (0,)


Span = Window | Period


def read_days(text: str) -> frozenset[int]:
    """`mon-fri, sun`, `weekends`, `daily`. Raises ValueError."""
    found: set[int] = set()
    for item in filter(None, re.split(r"[\s,]+", text.strip().lower())):
        first, dash, last = item.partition("-")
        if item in _GROUPS:
            found |= _GROUPS[item]
        elif dash:
            start, end = _day(first), _day(last)
            found.update((start + n) % 7 for n in range((end - start) % 7 + 1))
        else:
            found.add(_day(item))
    if not found:
        raise ValueError("must name days, such as mon-fri, sun")
    return frozenset(found)


def _day(text: str) -> int:
    for number, name in enumerate(_NAMES):
        if len(text) >= 3 and name.startswith(text):
            return number
    raise ValueError("must name days as mon, tue, wed, thu, fri, sat, sun, or mon-fri")


def read_clock(text: str) -> int:
    """`18:30` as minutes of the day; `24:00` is its end. Raises ValueError."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a time of day such as 18:30")
    return DAY_MINUTES if found[1] is None else int(found[1]) * 60 + int(found[2])


def window(days: str | Sequence[str], start: str, end: str) -> Window:
    """Raises ValueError."""
    start_min, end_min = read_clock(start), read_clock(end)
    if start_min == DAY_MINUTES:
        raise ValueError("must start before 24:00")
    if start_min == end_min:
        raise ValueError("must not end when it starts; the whole day is 00:00 to 24:00")
    named = days if isinstance(days, str) else ",".join(days)
    # An end of 00:00 is the midnight after.
    return Window(read_days(named), start_min, end_min or DAY_MINUTES)


def read_blackouts(text: str) -> tuple[Span, ...]:
    """By semicolons: `sat-sun 12:00-14:00`, `03:00-04:00` (daily), `2026-12-24`,
    `2026-12-24..2026-12-26`. Raises ValueError."""
    found = tuple(read_blackout(item) for item in text.split(";") if item.strip())
    if len(found) > SPANS_MAX:
        raise ValueError(f"must be at most {SPANS_MAX}")
    return found


def read_blackout(text: str) -> Span:
    """One of them. Raises ValueError."""
    item = text.strip()
    if (period := _PERIOD.fullmatch(item)) is not None:
        return _period(period[1], period[2] or period[1])
    days, _, clock = item.rpartition(" ")
    start, dash, end = clock.partition("-")
    if not dash:
        raise ValueError(
            "must be such as sat-sun 12:00-14:00, 03:00-04:00, or 2026-12-24..2026-12-26")
    return window(days or "daily", start, end)


def _period(first: str, last: str) -> Period:
    try:
        period = Period(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError as error:
        raise ValueError("must name days that exist, such as 2026-12-24") from error
    if not 0 <= (period.last - period.first).days < PERIOD_DAYS_MAX:
        raise ValueError("must not end before it starts, nor last longer than ten years")
    return period
