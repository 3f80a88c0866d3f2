"""Schedules: edges, what is refused, and an oracle that looks at every minute of two years in
four zones."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brlib.schedule import (
    LOCAL, EndBehavior, Schedule, Zoned, canonical, of_options, parse, zone_of,
)
from brlib.windows import DAYS, Period, Span, Window, read_blackouts, window

BERLIN = ZoneInfo("Europe/Berlin")
# An hour, half an hour, across the date line, and none.
ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "America/Los_Angeles", "Asia/Kolkata")
Minute = tuple[datetime, date, int, int]


def made(windows: Sequence[Span], blackouts: Sequence[Span] = (),
         zone: ZoneInfo = BERLIN) -> Schedule:
    return Schedule(tuple(Zoned(one, zone) for one in windows),
                    tuple(Zoned(one, zone) for one in blackouts))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(("moment", "is_open"), [
    ("2026-11-20T21:59:59", False), ("2026-11-20T22:00", True),   # a Friday
    ("2026-11-21T01:59:59", True), ("2026-11-21T02:00", False),   # into Saturday
    ("2026-11-22T01:00", True), ("2026-11-23T01:00", False),      # from Saturday, not from Sunday
])
def test_over_midnight(moment: str, is_open: bool) -> None:
    subject = made([window("fri-sat", "22:00", "02:00")])
    assert subject.open_at(_at(moment)) is is_open


def test_a_blackout_wins() -> None:
    subject = made([], read_blackouts("2026-12-24..2026-12-26; mon 12:00-13:00"))
    assert [subject.open_at(_at(moment)) for moment in (
        "2026-12-23T23:59", "2026-12-24T00:00", "2026-12-26T23:59", "2026-12-27T00:00",
        "2026-12-28T11:59", "2026-12-28T12:00", "2026-12-28T13:00",
    )] == [True, False, False, True, True, False, True]


def test_the_hour_that_comes_twice_and_the_one_that_never_comes() -> None:
    subject = made([window("sun", "02:00", "02:30")])
    autumn = list(subject.windows_between(_at("2026-10-25T00:00"), _at("2026-10-26T00:00")))
    assert [(begin.hour, begin.minute, end - begin) for begin, end in autumn] == [
        (0, 0, timedelta(minutes=30)), (1, 0, timedelta(minutes=30))]
    assert not list(subject.windows_between(_at("2026-03-29T00:00"), _at("2026-03-30T00:00")))


def test_without_windows_every_time_is_one() -> None:
    begin, end = _at("2026-11-23T00:00"), _at("2026-11-30T00:00")
    assert list(Schedule().windows_between(begin, end)) == [(begin, end)]


def _some(chance: random.Random, zone: str) -> Schedule:
    def one() -> Window:
        start, end = chance.sample(range(0, 1440, 5), 2)
        days = chance.sample(DAYS, chance.randint(1, 7))
        return window(days, *(f"{m // 60:02d}:{m % 60:02d}" for m in (start, end)))
    day = date(2026, 1, 1) + timedelta(days=chance.randrange(700))
    blackouts = (one(), Period(day, day + timedelta(days=chance.randrange(5))))
    return made([one() for _ in range(chance.randint(1, 3))], blackouts[:chance.randint(0, 2)],
                ZoneInfo(zone))


def _inside(one: Span, day: date, weekday: int, minute: int) -> bool:
    if isinstance(one, Period):
        return one.first <= day <= one.last
    began_on = {weekday} if minute >= one.start_min else set()
    if one.end_min <= one.start_min:
        began_on |= {(weekday + 6) % 7} if minute < one.end_min else set()
        return bool(one.days & began_on)
    return bool(one.days & began_on) and minute < one.end_min


def _oracle(subject: Schedule, clock: list[Minute]) -> list[tuple[datetime, datetime]]:
    """Every minute by itself, from what a wall clock and a calendar show."""
    found: list[tuple[datetime, datetime]] = []
    for moment, day, weekday, minute in clock:
        def shows(one: Zoned, day: date = day, weekday: int = weekday,
                  minute: int = minute) -> bool:
            return _inside(one.span, day, weekday, minute)
        if any(map(shows, subject.windows)) and not any(map(shows, subject.blackouts)):
            after = moment + timedelta(minutes=1)
            if found and found[-1][1] == moment:
                found[-1] = found[-1][0], after
            else:
                found.append((moment, after))
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_two_years_minute_by_minute(zone: str) -> None:
    seed = f"schedule {zone}"
    print("seed:", seed)
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    clock: list[Minute] = []
    for number in range(int((end - begin) / timedelta(minutes=1))):
        moment = begin + timedelta(minutes=number)
        local = moment.astimezone(ZoneInfo(zone))
        clock.append((moment, local.date(), local.weekday(), local.hour * 60 + local.minute))
    subject = _some(random.Random(seed), zone)
    assert list(subject.windows_between(begin, end)) == _oracle(subject, clock)


def test_each_on_the_clock_of_its_own_zone() -> None:
    """A channel's windows in Tokyo's time, the house's blackout in Berlin's."""
    tokyo, night = ZoneInfo("Asia/Tokyo"), window("daily", "13:00", "14:00")
    subject = made([window("daily", "20:00", "23:00")], zone=tokyo).under((Zoned(night, BERLIN),))
    begin = datetime(2026, 11, 23, tzinfo=UTC)
    assert [(start.hour, end.hour) for start, end in subject.windows_between(
        begin, begin + timedelta(days=1))] == [(11, 12), (13, 14)]


WINDOW = {"days": ["mon", "tue"], "start": "18:00", "end": "02:00"}


@pytest.mark.parametrize(("data", "form"), [
    ({}, {"windows": [], "blackouts": [], "timezone": None, "end_behavior": None}),
    ({"windows": [{"days": "weekends", "start": "8:00", "end": "24:00"}],
      "blackouts": ["2026-12-24", "03:00-04:00"], "timezone": "UTC", "end_behavior": "stop"},
     {"windows": [{"days": ["sat", "sun"], "start": "08:00", "end": "24:00"}],
      "blackouts": ["2026-12-24", "mon,tue,wed,thu,fri,sat,sun 03:00-04:00"],
      "timezone": "UTC", "end_behavior": "stop"}),
])
def test_the_object_of_the_api(data: Any, form: Any) -> None:
    text = canonical(data)
    assert json.loads(text) == form
    assert canonical(form) == text
    schedule = parse(text, "Europe/Berlin", "complete")
    assert schedule.always == (not form["windows"] and not form["blackouts"])
    assert schedule.end_behavior == (form["end_behavior"] or "complete")
    assert {one.zone for one in (*schedule.windows, *schedule.blackouts)} <= {ZoneInfo("UTC")}


@pytest.mark.parametrize(("data", "reason"), [
    ([], "must be an object"),
    ({"window": []}, "must be an object with windows"),
    ({"windows": {}}, "windows must be a list"),
    ({"windows": [WINDOW] * 51}, "windows must be a list of at most 50"),
    ({"windows": [{}]}, r"windows\[0\] must be an object with days"),
    ({"windows": [WINDOW, {**WINDOW, "end": "18:00"}]}, r"windows\[1\] must not end when"),
    ({"windows": [{**WINDOW, "days": []}]}, r"windows\[0\] must name days"),
    ({"windows": [{**WINDOW, "days": [1]}]}, r"windows\[0\] must have texts"),
    ({"windows": [{**WINDOW, "start": 18}]}, r"windows\[0\] must have texts"),
    ({"blackouts": ["noon"]}, r"blackouts\[0\] must be such as"),
    ({"blackouts": [1]}, r"blackouts\[0\] must be a text"),
    ({"timezone": "Mars/Olympus"}, "timezone must be a time zone"),
    ({"timezone": "../../etc/passwd"}, "timezone must be a time zone"),
    ({"timezone": "Europe"}, "timezone must be a time zone"),
    ({"timezone": 1}, "timezone must be a time zone"),
    ({"end_behavior": "abort"}, "end_behavior must be one of"),
])
def test_what_is_no_schedule(data: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical(data)


def test_the_options() -> None:
    always = of_options("daily", "00:00", "24:00", "", "UTC", "stop")
    assert always == Schedule(end_behavior=EndBehavior.STOP)
    some = of_options("mon", "18:00", "20:00", "2026-12-24", "UTC", "complete")
    assert (len(some.windows), len(some.blackouts)) == (1, 1)
    with pytest.raises(ValueError, match="must not end when it starts"):
        of_options("mon", "18:00", "18:00", "", "UTC", "complete")


@pytest.mark.parametrize("named", ["America/New_York", ":America/New_York"])
def test_the_machine_s_zone(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", named)
    zone_of.cache_clear()
    try:
        summer = datetime(2026, 7, 1, tzinfo=UTC).astimezone(zone_of(LOCAL))
        assert summer.utcoffset() == timedelta(hours=-4)
    finally:
        zone_of.cache_clear()
