"""How fast the list of recordings is in a full store, and what memory that takes.

    python -m bench.list_recordings [--rows 100000] [--repeats 15]

Fills a new store in a temporary directory and prints medians in milliseconds: of the page,
for every combination of filters, offset and limit, of the count, and of the used bytes.
Ends with 1 when a median is above `--limit-ms`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from brlib.store import Store, open_store
from brlib.store.base import to_text
from brlib.store.recordings import Filter

BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
CHANNELS = 60
PLATFORMS = ("twitch",) * 6 + ("youtube",) * 2 + ("kick",) * 2
STATUSES = ("complete",) * 97 + ("failed",) * 3
PAGES = ((0, 50), (0, 500), (0.5, 50), (0.5, 500), (0.9995, 50), (0.9995, 500))


def rows(count: int, apart_s: float) -> Iterator[tuple[Any, ...]]:
    """Recordings of some channels, a few of which make most of them."""
    chance = random.Random(7)
    channels = range(CHANNELS)
    weights = [1 / (number + 1) for number in channels]
    for number in range(count):
        channel = chance.choices(channels, weights)[0]
        started = BEGIN + timedelta(seconds=apart_s * (number + chance.random()))
        title = f"Some forty characters of a title, {number}"
        yield (
            f"rec_{number * 7919 % 10 ** 12:012d}", f"ch_{channel:012d}", f"Channel {channel}",
            PLATFORMS[channel % len(PLATFORMS)], title, "Just Chatting", "1080p60",
            str(4 * 10 ** 10 + number), chance.choice(STATUSES), to_text(started),
            to_text(started + timedelta(hours=2)), "ended", 3600, 5 * 10 ** 9, 7200.0, 0, 0.0, 1,
            json.dumps([f"/srv/recordings/Channel {channel}/{started:%Y-%m-%d}_{title}.mp4"]),
            5 * 10 ** 9)


def fill(store: Store, count: int, apart_s: float) -> None:
    names = ("id, channel_id, channel_name, platform, title, category, quality, broadcast_id, "
             "status, started_at, ended_at, end_reason, segments, captured_bytes, captured_s, "
             "gaps, gap_s, parts, files, file_size_bytes")
    marks = ", ".join("?" * len(names.split(",")))
    with store.database.write() as db:
        db.executemany(
            f"INSERT INTO recordings ({names}) VALUES ({marks})", rows(count, apart_s))


def filters(span: timedelta) -> Iterator[tuple[str, Filter]]:
    """Every combination; the dates leave out the first and the last tenth."""
    choices: dict[str, dict[str, Any]] = {
        "channel": {"channel_id": f"ch_{0:012d}"}, "platform": {"platform": "twitch"},
        "status": {"status": "complete"}, "from": {"since": BEGIN + span / 10},
        "to": {"until": BEGIN + span * 9 / 10},
    }
    for size in range(len(choices) + 1):
        for names in itertools.combinations(choices, size):
            wanted = Filter()
            for name in names:
                wanted = replace(wanted, **choices[name])
            yield "+".join(names) or "none", wanted
    yield "failed", Filter(status="failed")
    yield "nothing", Filter(platform="kick", status="paused")


def median_ms(act: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        act()
        taken.append(1000 * (time.perf_counter() - begun_s))
    return statistics.median(taken)


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2 ** 20


def measure(store: Store, count: int, apart_s: float, repeats: int) -> float:
    """Prints the table; the worst median in it."""
    recordings, worst_ms = store.recordings, 0.0
    print(f"{'filter':34}{'count':>8}" + "".join(
        f"{f'{int(share * count)}/{limit}':>11}" for share, limit in PAGES))
    for name, wanted in filters(timedelta(seconds=apart_s * count)):
        taken = [median_ms(lambda: recordings.count(wanted), repeats)]
        for share, limit in PAGES:
            offset = int(share * count)
            taken.append(median_ms(
                lambda: recordings.find_page(wanted, limit, offset), repeats))
        worst_ms = max(worst_ms, *taken)
        print(f"{name:34}{taken[0]:8.2f}" + "".join(f"{ms:11.2f}" for ms in taken[1:]))
    used_ms = median_ms(recordings.used_bytes, repeats)
    print(f"used bytes: {used_ms:.2f}")
    return max(worst_ms, used_ms)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--apart-s", type=float, default=946.0,
                        help="seconds from one recording to the next; 946: 100000 in 3 years")
    parser.add_argument("--limit-ms", type=float, default=10.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.sqlite3"
        store = open_store(path)
        begun_s = time.perf_counter()
        fill(store, given.rows, given.apart_s)
        store.close()
        size_mib = path.stat().st_size / 2 ** 20
        print(f"{given.rows} rows, {size_mib:.0f} MiB, {time.perf_counter() - begun_s:.1f} s")
        store, before_mib = open_store(path), rss_mib()
        worst_ms = measure(store, given.rows, given.apart_s, given.repeats)
        print(f"worst {worst_ms:.2f} ms; memory {before_mib:.0f} MiB before, "
              f"{rss_mib():.0f} MiB after")
        store.close()
    return int(worst_ms > given.limit_ms)


if __name__ == "__main__":
    sys.exit(main())
