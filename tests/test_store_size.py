"""Tests of brlib.store's totals: right after whatever happens, and no work that grows with it."""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import Conflict, RecordingNotFound
from brlib.models import ACTIVE, STATUS_MOVES, Recording, RecordingStatus, Sums
from brlib.store import Store, open_store
from brlib.store.base import to_text
from brlib.store.migrations import MIGRATIONS
from brlib.store.recordings import Filter

from bench import full_store

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
COMPLETE, FAILED = RecordingStatus.COMPLETE, RecordingStatus.FAILED
RECORDING = Recording("rec_1", "ch_1", "x_1", "url", "A title", RecordingStatus.RECORDING, MOMENT)
BEFORE_TOTALS = 2
CHANNELS = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = open_store(tmp_path / "db.sqlite3")
    yield one
    one.close()


def some_recordings(count: int) -> list[Recording]:
    """Over a few days, channels, platforms and all states; newest first as the list has them."""
    chance = random.Random(3)
    made = [replace(
        RECORDING, id=f"rec_{n:03d}", channel_id=f"ch_{chance.randrange(3)}",
        platform=chance.choice(("twitch", "kick")), status=chance.choice(list(RecordingStatus)),
        started_at=MOMENT + timedelta(hours=chance.randrange(150)), file_size_bytes=n,
        sums=Sums(captured_bytes=1000 * n)) for n in range(count)]
    return sorted(made, key=lambda r: (r.started_at, r.id), reverse=True)


def some_filters(span: timedelta) -> Iterator[tuple[str, Filter]]:
    """Every combination; the dates leave out the first and the last tenth."""
    choices: dict[str, dict[str, Any]] = {
        "channel": {"channel_id": f"ch_{0:012d}"}, "platform": {"platform": "twitch"},
        "status": {"status": "complete"}, "from": {"since": MOMENT + span / 10},
        "to": {"until": MOMENT + span * 9 / 10},
    }
    for size in range(len(choices) + 1):
        for names in itertools.combinations(choices, size):
            wanted = Filter()
            for name in names:
                wanted = replace(wanted, **choices[name])
            yield "+".join(names) or "none", wanted
    yield "failed", Filter(status="failed")
    yield "nothing", Filter(platform="kick", status="paused")


def keeps(wanted: Filter, one: Recording) -> bool:
    return (wanted.channel_id in (None, one.channel_id)
            and wanted.platform in (None, one.platform)
            and wanted.status in (None, one.status)
            and (wanted.since is None or one.started_at >= wanted.since)
            and (wanted.until is None or one.started_at <= wanted.until))


def dates() -> Iterator[tuple[datetime | None, datetime | None]]:
    hours = (None, 0, 20, 21, 70, 149)
    moments = [None if h is None else MOMENT + timedelta(hours=h) for h in hours]
    yield from itertools.product(moments, moments)
    yield MOMENT - timedelta(days=900), MOMENT + timedelta(days=900)
    yield datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    yield datetime(2026, 1, 4, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize("channel", [None, "ch_1"])
@pytest.mark.parametrize("platform", [None, "kick"])
@pytest.mark.parametrize("status", [None, COMPLETE, FAILED])
def test_every_page_and_count(
    store: Store, channel: str | None, platform: str | None, status: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("brlib.store.listing.FAR", 1)
    made = some_recordings(120)
    for one in made:
        store.recordings.add(one)
    for since, until in dates():
        wanted = Filter(channel, platform, status, since, until)
        expected = [one for one in made if keeps(wanted, one)]
        assert store.recordings.count(wanted) == len(expected), wanted
        for offset in {0, 1, 5, len(expected) // 2, len(expected) - 1, len(expected), 10 ** 9}:
            if offset >= 0:
                assert store.recordings.find_page(wanted, 4, offset) == \
                    expected[offset:offset + 4], (wanted, offset)


def totals(store: Store) -> tuple[list[Any], list[Any]]:
    return ([tuple(row) for row in store.database.rows(
                "SELECT channel_id, platform, status, n, used_bytes FROM recording_totals")],
            [tuple(row) for row in store.database.rows(
                "SELECT day, platform, status, n FROM recording_days")])


def added_up(rows: dict[str, tuple[Recording, bool]]) -> tuple[list[Any], list[Any]]:
    """The same, from recordings and whether each has a capture."""
    number: Counter[Any] = Counter()
    used: Counter[Any] = Counter()
    days: Counter[Any] = Counter()
    for one, captured in rows.values():
        key = (one.channel_id, one.platform, one.status.value)
        number[key] += 1
        if not one.active:
            used[key] += one.file_size_bytes + captured * one.sums.captured_bytes
        days[(one.started_at.strftime("%Y-%m-%d"), one.platform, one.status.value)] += 1
    return ([(*key, number[key], used[key]) for key in sorted(number)],
            [(*key, days[key]) for key in sorted(days)])


def test_totals_hold_whatever_happens(store: Store) -> None:
    chance = random.Random(5)
    rows: dict[str, tuple[Recording, bool]] = {}
    for step in range(400):
        what = chance.randrange(5) if rows else 0
        recording_id = chance.choice(list(rows)) if rows else ""
        one, captured = rows.get(recording_id, (RECORDING, True))
        if what == 0:
            one = replace(chance.choice(some_recordings(9)), id=f"rec_{step}")
            store.recordings.add(one)
            rows[one.id] = one, True
        elif what == 1:
            status = chance.choice([one.status, *STATUS_MOVES[one.status]])
            rows[one.id] = store.recordings.change(
                one.id, durable=False, status=status, file_size_bytes=step), captured
        elif what == 2:
            rows[one.id] = store.recordings.change(
                one.id, durable=False, sums=Sums(captured_bytes=step)), captured
        elif what == 3:
            store.recordings.note_capture(one.id, on_disk=step % 2 == 0)
            rows[one.id] = one, step % 2 == 0
        elif chance.random() < 0.7:
            store.recordings.delete(one.id)
            del rows[one.id]
        if step % 10 == 0:
            assert totals(store) == added_up(rows)
    assert totals(store) == added_up(rows) and len(rows) > 5
    for recording_id in rows:
        store.recordings.delete(recording_id)
    assert totals(store) == ([], [])


@pytest.mark.parametrize("status, captured, expected", [
    pytest.param(RecordingStatus.RECORDING, True, 700, id="recording: as it says itself"),
    pytest.param(RecordingStatus.PAUSED, True, 700, id="paused"),
    pytest.param(RecordingStatus.PROCESSING, True, 35, id="over: by its row, and its file"),
    pytest.param(RecordingStatus.FAILED, True, 35, id="failed: the only copy"),
    pytest.param(RecordingStatus.FAILED, False, 5, id="failed, capture gone"),
    pytest.param(RecordingStatus.COMPLETE, True, 35, id="complete, capture kept"),
    pytest.param(RecordingStatus.COMPLETE, False, 5, id="complete"),
])
def test_used_bytes(
    store: Store, status: RecordingStatus, captured: bool, expected: int
) -> None:
    store.recordings.add(replace(RECORDING, status=status, file_size_bytes=5,
                                 sums=Sums(captured_bytes=30)))
    store.recordings.note_capture("rec_1", captured)
    committed = {"rec_1": 700, "rec_not_begun": 9}
    assert store.recordings.used_bytes(committed) == {"ch_1": expected}
    assert store.recordings.used_bytes() == {"ch_1": 30 if status in ACTIVE else expected}


def test_captures_as_found_at_a_start(store: Store) -> None:
    for n, status in enumerate((COMPLETE, COMPLETE, FAILED, FAILED)):
        store.recordings.add(replace(RECORDING, id=f"rec_{n}", status=status,
                                     sums=Sums(captured_bytes=10 ** n)))
    for _ in range(2):
        store.recordings.note_captures(iter(["rec_1", "rec_2", "rec_2", "rec_9", "lost+found"]))
        assert store.recordings.used_bytes() == {"ch_1": 110}
    store.recordings.note_captures([])
    assert store.recordings.used_bytes() == {"ch_1": 0}


def test_a_path_belongs_to_the_last_recording_that_took_it(store: Store) -> None:
    for n in range(4):
        store.recordings.add(replace(RECORDING, id=f"rec_{n}", status=COMPLETE,
                                     file_size_bytes=n + 1, files=("/a",) if n == 0 else ()))
    store.recordings.change("rec_1", files=("/b", "/c"))
    store.recordings.change("rec_1", files=("/b", "/c"), file_size_bytes=7)
    store.recordings.change("rec_2", files=("/a", "/c"))

    def files() -> list[tuple[tuple[str, ...], int]]:
        found = [store.recordings.get(f"rec_{n}") for n in range(4)]
        return [(one.files, one.file_size_bytes) for one in found]

    assert files() == [((), 0), (("/b",), 7), (("/a", "/c"), 3), ((), 4)]
    store.recordings.delete("rec_0")
    store.recordings.delete("rec_2")
    store.recordings.add(replace(RECORDING, id="rec_0", files=("/c",)))
    store.recordings.change("rec_3", files=("/b",))
    store.recordings.change("rec_3", files=())
    store.recordings.add(replace(RECORDING, id="rec_2", files=("/b",), file_size_bytes=9))
    assert files() == [(("/c",), 0), ((), 0), (("/b",), 9), ((), 4)]
    assert store.database.rows("SELECT count(*) FROM recording_files")[0][0] == 2


@pytest.mark.parametrize("status", RecordingStatus)
def test_a_claim(store: Store, status: RecordingStatus) -> None:
    store.recordings.add(replace(RECORDING, status=status))
    claim = store.recordings.claimed("rec_1", (COMPLETE, FAILED))
    if status not in (COMPLETE, FAILED):
        with pytest.raises(Conflict, match=status), claim:
            pass
        return
    with claim as claimed:
        assert claimed == store.recordings.get("rec_1")
        with pytest.raises(Conflict, match="deleted"):
            store.recordings.change("rec_1", status=RecordingStatus.PROCESSING)
        with pytest.raises(Conflict, match="deleted"), store.recordings.claimed(
                "rec_1", (status,)):
            pass
        assert store.recordings.change("rec_1", error="e").status is status
    store.recordings.change("rec_1", status=RecordingStatus.PROCESSING)
    store.recordings.delete("rec_1")
    with pytest.raises(RecordingNotFound), store.recordings.claimed("rec_1", (status,)):
        pass


def test_of_a_claim_and_a_move_one_wins(store: Store) -> None:
    for n in range(30):
        store.recordings.add(replace(RECORDING, id=f"rec_{n}", status=COMPLETE))
    won: Counter[str] = Counter()
    together = threading.Barrier(3)

    def claim() -> None:
        for n in range(30):
            together.wait(10)
            try:
                with store.recordings.claimed(f"rec_{n}", (COMPLETE,)):
                    together.wait(10)
                    won[f"rec_{n}"] += 1
            except Conflict:
                together.wait(10)

    def move() -> None:
        for n in range(30):
            together.wait(10)
            try:
                store.recordings.change(f"rec_{n}", status=RecordingStatus.PROCESSING)
                won[f"rec_{n}"] += 1
            except Conflict:
                pass
            together.wait(10)

    threads = [threading.Thread(target=act) for act in (claim, claim, move)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert set(won.values()) == {1} and len(won) == 30


def test_a_database_from_before_the_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brlib.store.base.MIGRATIONS", MIGRATIONS[:BEFORE_TOTALS])
    open_store(tmp_path / "db").close()
    monkeypatch.undo()
    made = [replace(one, files=(f"/é {n % 30}", f"/own {n}")) for n, one in
            enumerate(some_recordings(40)[::-1])]
    with sqlite3.connect(tmp_path / "db") as raw:
        for one in made:
            raw.execute(
                "INSERT INTO recordings VALUES (?,?,'',?,'',NULL,'',NULL,?,?,NULL,NULL,0,?,0,0,0,"
                "0,?,?,NULL,NULL,NULL)",
                (one.id, one.channel_id, one.platform, one.status, to_text(one.started_at),
                 one.sums.captured_bytes, json.dumps(one.files), one.file_size_bytes))
    raw.close()
    store = open_store(tmp_path / "db")
    assert totals(store) == added_up({
        one.id: (one, one.status is not COMPLETE) for one in made})
    # The first ten paths are those of the first ten and of the last ten recordings.
    for n, one in enumerate(made):
        assert store.recordings.get(one.id).files == (one.files[1:] if n < 10 else one.files)
    store.recordings.delete(made[0].id)
    assert store.recordings.count(Filter()) == 39
    store.close()


def test_no_answer_takes_a_walk_through_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in steps of SQLite's machine: a row of an index takes three or more, each time
    that it is walked through."""
    rows, steps, most = 20_000, 0, 0
    connect = sqlite3.connect

    def tick() -> int:
        nonlocal steps
        steps += 100
        return 0

    def counting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_progress_handler(tick, 100)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counting)
    store = open_store(tmp_path / "db")
    span = timedelta(seconds=600 * rows)
    full_store.insert(store, rows, CHANNELS, MOMENT, span)
    asked = list(some_filters(span))
    assert len(asked) > 32
    for name, wanted in asked:
        for offset in (0, rows // 2, rows - 50, 10 ** 15):
            steps = 0
            store.recordings.find_page(wanted, 50, offset)
            store.recordings.count(wanted)
            # The channel asked for has a fifth of them; its recordings may be walked through.
            assert steps < (4 if wanted.channel_id else 1) * rows, (name, offset)
            most = max(most, steps)
    steps = 0
    assert len(store.recordings.used_bytes()) == CHANNELS
    assert steps < rows < most
    store.close()
