"""A data directory as it is after years: many recordings, a full log. Used by table `api`."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from brlib.log_ring import RING_MAX_BYTES, Ring
from brlib.models import Channel
from brlib.store import Store, open_store
from brlib.store.api_keys import FULL
from brlib.store.base import to_text

PLATFORMS = ("twitch",) * 6 + ("youtube",) * 2 + ("kick",) * 2
STATUSES = ("complete",) * 97 + ("failed",) * 3
SPAN = timedelta(days=3 * 365)
# When it is turned over it is half empty again.
LOG_SHARE = 0.97
GAPS_EACH = 3
WITH_GAPS_EVERY = 50
LOG_LINE = "rec_%012d: the playlist did not come (network), attempt %d of a reload"
_COLUMNS = (
    "id, channel_id, channel_name, platform, title, category, quality, broadcast_id, status, "
    "started_at, ended_at, end_reason, segments, captured_bytes, captured_s, gaps, gap_s, parts, "
    "files, file_size_bytes")


@dataclass(frozen=True)
class Filled:
    """What is in it, for whoever asks for it; `keys` may do everything."""

    channels: list[str]
    recording: str
    since: str
    until: str
    keys: list[str]


def channel_id(number: int) -> str:
    return f"ch_{number:012d}"


def recording_id(number: int) -> str:
    """Not in the order of time, as ids are not."""
    return f"rec_{number * 7919 % 10 ** 12:012d}"


def fill(database: Path, channels: int, recordings: int, keys: int, now: datetime) -> Filled:
    """Into the database of a data directory in which a daemon was before."""
    store = open_store(database)
    try:
        for number in range(channels):
            store.channels.add(_channel(number, now), durable=False)
        begin = now - SPAN - timedelta(days=1)
        insert(store, recordings, channels, begin, SPAN)
        made = [store.api_keys.create(f"reader {number}", FULL) for number in range(keys)]
    finally:
        store.close()
    return Filled(
        [channel_id(number) for number in range(channels)], recording_id(WITH_GAPS_EVERY),
        (begin + SPAN / 10).strftime("%Y-%m-%d"), (begin + SPAN * 9 / 10).strftime("%Y-%m-%d"),
        made)


def fill_log(directory: Path) -> None:
    """The ring as it is on every machine after a while: full. One line in 500 is an error."""
    directory.mkdir(exist_ok=True)
    ring = Ring(directory)
    while sum(file.stat().st_size for file in directory.iterdir()) < LOG_SHARE * RING_MAX_BYTES:
        for number in range(500):
            ring.emit(logging.LogRecord(
                "brlib.capture.session", logging.INFO if number else logging.ERROR, __file__, 0,
                LOG_LINE, (number, number % 9), None))
    ring.close()


def _channel(number: int, now: datetime) -> Channel:
    platform = PLATFORMS[number % len(PLATFORMS)]
    name = f"channel_{number}"
    return Channel(
        id=channel_id(number), platform=platform, name=name, display_name=f"Channel {number}",
        url=f"https://{platform}.example/{name}", quality="source", enabled=False,
        created_at=now - SPAN)


def insert(
    store: Store, count: int, channels: int, begin: datetime, span: timedelta
) -> None:
    """Recordings, a few channels with most of them. One by one they would take half an hour."""
    rows = list(_rows(count, channels, begin, span))
    marks = ", ".join("?" * len(_COLUMNS.split(",")))
    with store.database.write() as db:
        db.executemany(f"INSERT INTO recordings ({_COLUMNS}) VALUES ({marks})", rows)
        db.executemany(
            "INSERT INTO recording_files (path, recording_id) VALUES (?, ?)",
            [(path, row[0]) for row in rows for path in json.loads(row[18])])
        db.executemany(
            "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)",
            [(row[0], row[9], 60.0 * gap, 4.0, 2, "network")
             for row in rows for gap in range(row[15])])


def _rows(
    count: int, channels: int, begin: datetime, span: timedelta
) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(7)
    weights = [1 / (number + 1) for number in range(channels)]
    for number in range(count):
        channel = chance.choices(range(channels), weights)[0]
        started = begin + span * ((number + chance.random()) / count)
        title = f"Some forty characters of a title, {number}"
        gaps = GAPS_EACH if number % WITH_GAPS_EVERY == 0 else 0
        yield (
            recording_id(number), channel_id(channel), f"Channel {channel}",
            PLATFORMS[channel % len(PLATFORMS)], title, "Just Chatting", "1080p60",
            str(4 * 10 ** 10 + number), chance.choice(STATUSES), to_text(started),
            to_text(started + timedelta(hours=2)), "ended", 3600, 5 * 10 ** 9, 7200.0, gaps,
            4.0 * gaps, 1,
            json.dumps([f"/srv/recordings/Channel {channel}/{started:%Y-%m-%d}_{title}.mp4"]),
            5 * 10 ** 9)
