"""How long finished recordings are kept: by age, by number, for all and for a channel. Pure.

Asked by the storage's cleanup; the web takes a channel's own from here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

DAYS_MAX, LATEST_MAX = 36_500, 1_000_000
_LIMITS = {"days": (1, DAYS_MAX), "keep_latest": (1, LATEST_MAX), "min_keep": (0, LATEST_MAX)}


@dataclass(frozen=True)
class Retention:
    """What is kept of a channel's finished recordings: those that ended within so many days,
    the latest so many. With both, whichever keeps more; with neither, everything. Of these
    `min_keep` are kept whatever else says."""

    days: int | None = None
    keep_latest: int | None = None
    min_keep: int = 0

    @property
    def deletes(self) -> bool:
        return self.days is not None or self.keep_latest is not None

    @property
    def latest(self) -> int:
        """So many are kept at least."""
        return max(self.keep_latest or 0, self.min_keep)

    def sentence(self) -> str:
        """Why something goes by it."""
        age = f"older than {self.days} day{'s' if self.days != 1 else ''}" if self.days else ""
        number = f"not among the latest {self.latest}" if self.latest else ""
        return " and ".join(filter(None, (age, number)))


def expired(
    finished: Sequence[tuple[str, datetime]], retention: Retention, now: datetime
) -> list[str]:
    """Which of a channel's finished recordings are to be deleted, oldest first.

    `finished` are their ids and ends, the latest first.
    """
    if not retention.deletes:
        return []
    found = [
        recording_id for recording_id, ended_at in finished[retention.latest:]
        if retention.days is None or now - ended_at > timedelta(days=retention.days)
    ]
    return found[::-1]


@lru_cache(2048)
def parse(text: str) -> Retention:
    """Of a channel, from the JSON that `canonical` made of it."""
    return Retention(**json.loads(text))


def canonical(data: Any) -> str:
    """The object of the API, checked, as JSON of one form. Raises ValueError that begins with
    the key's name where one is wrong."""
    if not isinstance(data, dict) or set(data) - set(_LIMITS):
        raise ValueError("must be an object with " + ", ".join(_LIMITS))
    found = Retention(_number("days", data), _number("keep_latest", data),
                      _number("min_keep", data) or 0)
    if found.min_keep and not found.deletes:
        raise ValueError("min_keep needs days or keep_latest: without them all are kept")
    return json.dumps(asdict(found))


def _number(key: str, data: dict[str, Any]) -> int | None:
    value, (low, high) = data.get(key), _LIMITS[key]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{key} must be a whole number from {low} to {high}")
    return value
