"""When broadcasts are recorded: weekly windows on the clocks of their time zones, and blackouts.

Pure, but for the system's list of time zones. Asked by the supervisor for each live broadcast
and by the API for its preview. A window is what the wall clock shows: an hour that the clock
repeats in autumn is open twice, one that it leaves out in spring is not there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .windows import (
    DAY_MINUTES, DAYS, EVERY_DAY, SPANS_MAX, Period, Span, Window, read_blackout, read_blackouts,
    window,
)

LOCAL = "local"
_KEYS = ("windows", "blackouts", "timezone", "end_behavior")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


class EndBehavior(StrEnum):
    """What becomes of a recording when its window closes."""

    COMPLETE = "complete"
    STOP = "stop"


@dataclass(frozen=True)
class Zoned:
    """A stretch on the clock of a time zone."""

    span: Span
    zone: tzinfo

    def shows(self, moment: datetime) -> bool:
        return self.span.shows(moment.astimezone(self.zone))


@dataclass(frozen=True)
class Schedule:
    """Without windows every time is one; a blackout wins over all of them."""

    windows: tuple[Zoned, ...] = ()
    blackouts: tuple[Zoned, ...] = ()
    end_behavior: EndBehavior = EndBehavior.COMPLETE

    @property
    def always(self) -> bool:
        return not self.windows and not self.blackouts

    def under(self, blackouts: tuple[Zoned, ...]) -> Schedule:
        """The same with further blackouts."""
        return replace(self, blackouts=self.blackouts + blackouts)

    def open_at(self, moment: datetime) -> bool:
        if any(blackout.shows(moment) for blackout in self.blackouts):
            return False
        return not self.windows or any(window.shows(moment) for window in self.windows)

    def windows_between(
        self, begin: datetime, end: datetime
    ) -> Iterator[tuple[datetime, datetime]]:
        """The stretches that are open, cut to begin and end, in UTC and in order."""
        opened: datetime | None = None
        edges = {edge for zone in {zoned.zone for zoned in (*self.windows, *self.blackouts)}
                 for edge in self._edges(zone, begin, end) if begin <= edge < end}
        for moment in sorted({begin.astimezone(UTC), *edges}):
            is_open = self.open_at(moment)
            if is_open and opened is None:
                opened = moment
            elif not is_open and opened is not None:
                yield opened, moment
                opened = None
        if opened is not None and opened < end:
            yield opened, end.astimezone(UTC)

    def _edges(self, zone: tzinfo, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Every moment at which something in this zone may open or close: where the wall clock
        reaches an edge, or jumps."""
        minutes = {0} | {minute for one in (*self.windows, *self.blackouts) if one.zone == zone
                         for minute in one.span.edges_min()}
        day = begin.astimezone(zone).date() - timedelta(days=1)
        last = end.astimezone(zone).date()
        while day <= last:
            for minute in minutes:
                for fold in (0, 1):
                    local = datetime.combine(day, time(*divmod(minute, 60), fold=fold), zone)
                    yield local.astimezone(UTC)
            day += timedelta(days=1)
        yield from _jumps(zone, begin, end)


def _jumps(zone: tzinfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """When the zone's offset changes, to the minute."""
    step, minute = timedelta(hours=12), timedelta(minutes=1)
    here = begin.astimezone(UTC).replace(second=0, microsecond=0)
    while here < end:
        low, high = here, here + step
        offset = low.astimezone(zone).utcoffset()
        if high.astimezone(zone).utcoffset() != offset:
            while high - low > minute:
                middle = low + (high - low) // minute // 2 * minute
                if middle.astimezone(zone).utcoffset() == offset:
                    low = middle
                else:
                    high = middle
            yield high
        here += step


@lru_cache(64)
def zone_of(name: str) -> tzinfo:
    """A time zone by its name, `local` for the machine's. Raises ValueError."""
    if name == LOCAL:
        return _local_zone()
    try:
        # ZoneInfo takes a path for a name, and some of its directories for zones.
        if not _ZONE.fullmatch(name):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            "must be a time zone such as Europe/Berlin, UTC, or local") from error


def _local_zone() -> tzinfo:
    """The machine's, with its rules for summer time: an offset alone would be wrong half the
    year."""
    named = os.environ.get("TZ", "").lstrip(":")
    try:
        if named:
            return ZoneInfo(named)
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file, key=LOCAL)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Without either the machine's clock is UTC, as the C library has it.
        return UTC


@lru_cache(2048)
def parse(text: str, default_zone: str, default_end: str) -> Schedule:
    """A channel's own schedule from the JSON that `canonical` made of it. Raises ValueError."""
    data = json.loads(text)
    zone = zone_of(data.get("timezone") or default_zone)
    return Schedule(
        tuple(Zoned(window(w["days"], w["start"], w["end"]), zone) for w in data["windows"]),
        tuple(Zoned(read_blackout(one), zone) for one in data["blackouts"]),
        EndBehavior(data.get("end_behavior") or default_end))


def canonical(data: Any) -> str:
    """The object of the API, checked, as JSON of one form. Raises ValueError that begins with
    the key's name where one is wrong."""
    if not isinstance(data, dict) or set(data) - set(_KEYS):
        raise ValueError("must be an object with " + ", ".join(_KEYS))
    zone, end = data.get("timezone"), data.get("end_behavior")
    if zone is not None:
        _within("timezone", lambda: zone_of(zone if isinstance(zone, str) else ""))
    if end is not None and end not in tuple(EndBehavior):
        raise ValueError("end_behavior must be one of " + ", ".join(EndBehavior))
    return json.dumps({
        "windows": [_within(f"windows[{number}]", lambda one=one: _window(one))
                    for number, one in enumerate(_some(data, "windows"))],
        "blackouts": [_within(f"blackouts[{number}]", lambda one=one: _blackout(one))
                      for number, one in enumerate(_some(data, "blackouts"))],
        "timezone": zone, "end_behavior": end,
    })


def _some(data: dict[str, Any], key: str) -> list[Any]:
    found = data.get(key)
    if found is not None and (not isinstance(found, list) or len(found) > SPANS_MAX):
        raise ValueError(f"{key} must be a list of at most {SPANS_MAX}")
    return found or []


def _within(place: str, read: Any) -> Any:
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{place} {error}") from error


def _window(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or set(data) != {"days", "start", "end"}:
        raise ValueError("must be an object with days, start and end")
    days, start, end = data["days"], data["start"], data["end"]
    texts = days if isinstance(days, list) else [days]
    if not all(isinstance(text, str) for text in (*texts, start, end)):
        raise ValueError("must have texts for days, start and end")
    made = window(texts, start, end)
    return {"days": [DAYS[day] for day in sorted(made.days)],
            "start": _clock(made.start_min), "end": _clock(made.end_min)}


def _blackout(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError("must be a text")
    made = read_blackout(text)
    if isinstance(made, Period):
        last = f"..{made.last}" if made.last != made.first else ""
        return f"{made.first}{last}"
    return " ".join((",".join(DAYS[day] for day in sorted(made.days)),
                     f"{_clock(made.start_min)}-{_clock(made.end_min)}"))


def _clock(minute: int) -> str:
    return "{:02d}:{:02d}".format(*divmod(minute, 60))


@lru_cache(8)
def of_options(days: str, start: str, end: str, blackouts: str, zone: str,
               end_behavior: str) -> Schedule:
    """The one of the configuration, whose options were read already. Raises ValueError where
    they do not go together."""
    made, here = window(days, start, end), zone_of(zone)
    whole = made == Window(EVERY_DAY, 0, DAY_MINUTES)
    return Schedule(
        () if whole else (Zoned(made, here),),
        tuple(Zoned(span, here) for span in read_blackouts(blackouts)),
        EndBehavior(end_behavior))
