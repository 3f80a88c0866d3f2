"""Tests of brlib.store: what goes in comes out, from many threads, and survives what fails."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import ChannelNotFound, Conflict, RecordingNotFound, Unavailable
from brlib.models import (
    STATUS_MOVES, Channel, EndReason, Gap, GapCause, Recording, RecordingStatus, Sums,
)
from brlib.store import Store, open_store
from brlib.store.api_keys import FULL, READ
from brlib.store.migrations import MIGRATIONS
from brlib.store.recordings import Filter

from .daemon import ROOT

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
CHANNEL = Channel("ch_1", "url", "http://x/1", "x_1", "http://x/1", "source", True, MOMENT)
FULL_CHANNEL = Channel(
    "ch_2", "url", "http://x/2 'é😀", 'x"2', "http://x/2", "720p", False, MOMENT, True, -3,
    "{title}", "/srv", "b1", MOMENT, "b0", "7:ab", MOMENT + timedelta(days=1), "it; DROP TABLE")
RECORDING = Recording("rec_1", "ch_1", "x_1", "url", "A title", RecordingStatus.RECORDING, MOMENT)
FULL_RECORDING = Recording(
    "rec_2", "ch_2", "x", "url", "é😀 'title", RecordingStatus.FAILED, MOMENT, "cat", "720p", "b1",
    MOMENT + timedelta(hours=1), EndReason.STALLED, Sums(5, 2 ** 40, 10.123456789, 2, 0.1, 3),
    ("/a/b.mp4", "/a/b (part 2).mp4"), 2 ** 41, "why", "{title}", "/srv")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = open_store(tmp_path / "db.sqlite3")
    yield one
    one.close()


def add_recordings(store: Store, count: int) -> list[Recording]:
    """Several a moment, over two channels and all states; newest first as the list has them."""
    states = itertools.cycle(RecordingStatus)
    made = [replace(RECORDING, id=f"rec_{n:03d}", channel_id=f"ch_{n % 2}", status=next(states),
                    started_at=MOMENT + timedelta(seconds=n // 4), file_size_bytes=n,
                    platform="kick" if n % 3 == 0 else "url") for n in range(count)]
    for one in made:
        store.recordings.add(one)
    return sorted(made, key=lambda r: (r.started_at, r.id), reverse=True)


@pytest.mark.parametrize("channel", [CHANNEL, FULL_CHANNEL], ids=["least", "full"])
def test_channels_and_back(store: Store, channel: Channel) -> None:
    store.channels.add(channel)
    assert store.channels.get(channel.id) == channel
    assert store.channels.find_all() == [channel]


@pytest.mark.parametrize("recording", [RECORDING, FULL_RECORDING], ids=["least", "full"])
def test_recordings_and_back(store: Store, recording: Recording) -> None:
    store.recordings.add(recording)
    assert store.recordings.get(recording.id) == recording
    assert store.recordings.find_page(Filter(), 10, 0) == [recording]


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    first = open_store(tmp_path / "db")
    first.channels.add(FULL_CHANNEL)
    key = first.api_keys.create("a", FULL)
    first.close()
    second = open_store(tmp_path / "db")
    assert second.channels.find_all() == [FULL_CHANNEL]
    assert second.api_keys.find_by_key(key) is not None
    second.close()


@pytest.mark.parametrize("changes", [
    {"name": "HTTP://X/1"}, {"name": CHANNEL.name}, {"id": "ch_1", "name": "other"},
], ids=["other case", "same name", "same id"])
def test_a_channel_is_watched_once(store: Store, changes: dict[str, Any]) -> None:
    store.channels.add(CHANNEL)
    with pytest.raises(Conflict):
        store.channels.add(replace(CHANNEL, **{"id": "ch_9", **changes}))
    store.channels.add(replace(CHANNEL, id="ch_8", platform="kick"))
    assert len(store.channels.find_all()) == 2


def test_changes_of_a_channel(store: Store) -> None:
    store.channels.add(CHANNEL)
    changes: dict[str, Any] = {"paused": True, "live_since": MOMENT, "last_error": "e"}
    assert store.channels.change("ch_1", **changes) == replace(CHANNEL, **changes)
    assert store.channels.change("ch_1", durable=False, live_since=None).live_since is None
    assert store.channels.change("ch_1") == store.channels.get("ch_1")
    assert store.channels.get("ch_1") == replace(CHANNEL, paused=True, last_error="e")
    store.channels.delete("ch_1")
    for act in (store.channels.get, store.channels.delete, store.channels.change):
        with pytest.raises(ChannelNotFound):
            act("ch_1")


@pytest.mark.parametrize("before", RecordingStatus)
@pytest.mark.parametrize("after", RecordingStatus)
def test_only_allowed_moves(store: Store, before: RecordingStatus, after: RecordingStatus) -> None:
    store.recordings.add(replace(RECORDING, status=before))
    if after == before or after in STATUS_MOVES[before]:
        assert store.recordings.change("rec_1", status=after, error="e").status is after
    else:
        with pytest.raises(Conflict, match=f"{before}.*{after}"):
            store.recordings.change("rec_1", status=after, error="e")
    moved = after == before or after in STATUS_MOVES[before]
    assert store.recordings.get("rec_1").error == ("e" if moved else None)


def test_changes_of_a_recording(store: Store) -> None:
    store.recordings.add(RECORDING)
    changes: dict[str, Any] = {
        "sums": FULL_RECORDING.sums, "files": ("/a", "/b"), "ended_at": MOMENT,
        "end_reason": EndReason.ENDED}
    assert store.recordings.change("rec_1", **changes) == replace(RECORDING, **changes)
    assert store.recordings.get("rec_1") == replace(RECORDING, **changes)
    assert store.recordings.change("rec_1") == store.recordings.get("rec_1")
    store.recordings.delete("rec_1")
    for act in (store.recordings.get, store.recordings.delete, store.recordings.change):
        with pytest.raises(RecordingNotFound):
            act("rec_1")


@pytest.mark.parametrize("wanted, keep", [
    pytest.param(Filter(), lambda r: True, id="all"),
    pytest.param(Filter(channel_id="ch_1"), lambda r: r.channel_id == "ch_1", id="channel"),
    pytest.param(Filter(platform="kick"), lambda r: r.platform == "kick", id="platform"),
    pytest.param(Filter(status="failed"), lambda r: r.status == "failed", id="status"),
    pytest.param(Filter(since=MOMENT + timedelta(seconds=3)),
                 lambda r: r.started_at >= MOMENT + timedelta(seconds=3), id="since"),
    pytest.param(Filter(until=MOMENT + timedelta(seconds=3)),
                 lambda r: r.started_at <= MOMENT + timedelta(seconds=3), id="until"),
    pytest.param(Filter("ch_1", "kick", "paused", MOMENT, MOMENT + timedelta(days=1)),
                 lambda r: (r.channel_id, r.platform, r.status) == ("ch_1", "kick", "paused"),
                 id="all at once"),
    pytest.param(Filter(channel_id="' OR 1=1 --"), lambda r: False, id="no SQL"),
])
def test_pages_are_stable_and_filtered(store: Store, wanted: Filter, keep: Any) -> None:
    expected = [one for one in add_recordings(store, 50) if keep(one)]
    assert store.recordings.count(wanted) == len(expected)
    paged: list[Recording] = []
    while page := store.recordings.find_page(wanted, 7, len(paged)):
        paged += page
    assert paged == expected


def test_oldest_first_by_status(store: Store) -> None:
    made = add_recordings(store, 20)
    active = store.recordings.find_with_status(
        (RecordingStatus.RECORDING, RecordingStatus.PAUSED))
    assert active == [r for r in reversed(made) if r.active]
    assert store.recordings.find_with_status(()) == []


def test_gaps(store: Store) -> None:
    store.recordings.add(RECORDING)
    gaps = [Gap(MOMENT, 9.0 - n, 1.5, n, cause) for n, cause in enumerate(GapCause)]
    store.recordings.set_gaps("rec_1", gaps[:3])
    store.recordings.set_gaps("rec_1", gaps)
    assert store.recordings.find_gaps("rec_1") == gaps
    store.recordings.delete("rec_1")
    assert store.recordings.find_gaps("rec_1") == []


def test_api_keys(store: Store, tmp_path: Path) -> None:
    full, read = store.api_keys.create("full", FULL), store.api_keys.create("read", READ)
    assert len(full) == 43 and full != read
    assert [(k.label, k.permission, k.last_used_at) for k in store.api_keys.find_all()] == [
        ("full", FULL, None), ("read", READ, None)]
    found = store.api_keys.find_by_key(read)
    assert found is not None and found.permission == READ
    used = store.api_keys.find_all()[1].last_used_at
    assert used is not None and datetime.now(UTC) - used < timedelta(minutes=1)
    store.api_keys.find_by_key(read)
    assert store.api_keys.find_all()[1].last_used_at == used
    for wrong in ("", read[:-1], read + "a", read.upper(), "br_" + "a" * 40):
        assert store.api_keys.find_by_key(wrong) is None
    assert store.api_keys.revoke(found.id) and not store.api_keys.revoke(found.id)
    assert store.api_keys.find_by_key(read) is None
    assert store.api_keys.find_by_key(full) is not None
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"full" in on_disk
    assert full.encode() not in on_disk and full[3:].encode() not in on_disk


def test_a_key_is_known_while_nothing_can_be_written(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk the API is needed most."""
    key = store.api_keys.create("a", FULL)
    store.database._writer.execute("PRAGMA query_only = 1")
    for _ in range(3):
        assert store.api_keys.find_by_key(key) is not None
    assert [r.levelname for r in caplog.records] == ["warning"]
    assert store.api_keys.find_all()[0].last_used_at is None
    store.database._writer.execute("PRAGMA query_only = 0")
    assert store.api_keys.find_by_key(key) is not None
    assert store.api_keys.find_all()[0].last_used_at is not None


def test_platform_ids_outlast_the_process(tmp_path: Path) -> None:
    for _ in range(2):
        store = open_store(tmp_path / "ids.sqlite3")
        try:
            store.kick_ids["somebody"] = 4711
            store.kick_ids["gone"] = 1
            del store.kick_ids["gone"]
            assert dict(store.kick_ids) == {"somebody": 4711}
        finally:
            store.close()
    store = open_store(tmp_path / "ids.sqlite3")
    try:
        assert dict(store.kick_ids) == {"somebody": 4711} and len(store.kick_ids) == 1
    finally:
        store.close()


def test_eight_threads_write(store: Store) -> None:
    store.recordings.add(RECORDING)
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for n in range(20):
                store.channels.add(replace(CHANNEL, id=f"c{number}-{n}", name=f"{number}-{n}"))
                store.recordings.change("rec_1", durable=n % 5 == 0, file_size_bytes=n)
                store.channels.change(f"c{number}-{n}", durable=False, priority=n)
                assert store.channels.get(f"c{number}-{n}").priority == n
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == [] and len(store.channels.find_all()) == 160


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.database.write() as db:
        db.execute("DELETE FROM channels")
        raise ZeroDivisionError
    with pytest.raises(sqlite3.OperationalError), store.database.write() as db:
        db.execute("no SQL")
    store.channels.add(CHANNEL)
    assert store.channels.find_all() == [CHANNEL]


def test_a_full_disk_is_told_and_got_over(store: Store) -> None:
    with store.database.write() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for n in range(1000):
            store.recordings.add(replace(RECORDING, id=f"rec_{n}", title="x" * 500))
    with store.database.write() as db:
        db.execute("PRAGMA max_page_count = 100000")
    store.channels.add(CHANNEL)
    assert store.channels.find_all() == [CHANNEL]


def test_a_commit_that_fails_is_rolled_back(store: Store) -> None:
    """A deferred constraint speaks up only there."""
    with pytest.raises(sqlite3.IntegrityError), store.database.write() as db:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("INSERT INTO gaps VALUES ('rec_none', '', 0, 0, 0, '')")
    store.channels.add(CHANNEL)
    assert store.channels.find_all() == [CHANNEL]


def test_migrations_are_remembered(tmp_path: Path) -> None:
    for _ in range(2):
        open_store(tmp_path / "db").close()
        with sqlite3.connect(tmp_path / "db") as raw:
            assert raw.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        raw.close()


def test_a_failed_migration_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tmp_path / "db").close()
    worse = (*MIGRATIONS, ("CREATE TABLE extra (id TEXT)", "no SQL"))
    monkeypatch.setattr("brlib.store.base.MIGRATIONS", worse)
    with pytest.raises(sqlite3.OperationalError):
        open_store(tmp_path / "db")
    monkeypatch.setattr(
        "brlib.store.base.MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE extra (id TEXT)",)))
    store = open_store(tmp_path / "db")
    assert store.database.rows("SELECT * FROM extra") == []
    store.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db") as raw:
        raw.execute("PRAGMA user_version = 999")
    raw.close()
    with pytest.raises(Unavailable, match="newer"):
        open_store(tmp_path / "db")


def test_two_processes_make_one_database(tmp_path: Path) -> None:
    """`api-key create` while the first `serve` starts."""
    code = ("import sys; from pathlib import Path; from brlib.store import open_store; "
            "sys.stdin.read(); s = open_store(Path(sys.argv[1])); s.api_keys.create('k', 'full');"
            "s.close()")
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "db")], cwd=ROOT,
                                 stdin=subprocess.PIPE, stderr=subprocess.PIPE)
                for _ in range(4)]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
    errors = [child.communicate(timeout=20)[1] for child in children]
    assert errors == [b""] * 4
    store = open_store(tmp_path / "db")
    assert len(store.api_keys.find_all()) == 4
    store.close()


def test_channels_are_made_anew_only_where_they_changed(tmp_path: Path) -> None:
    first, second = open_store(tmp_path / "s"), open_store(tmp_path / "s")
    other = replace(FULL_CHANNEL, id="ch_7", name="other", quota_bytes=None)
    for channel in (CHANNEL, other):
        first.channels.add(channel)
    before = {channel.id: channel for channel in first.channels.find_all()}
    assert all(one is before[one.id] for one in first.channels.find_all())
    second.channels.change("ch_1", durable=False, last_error="trouble", quota_bytes=7)
    after = {channel.id: channel for channel in first.channels.find_all()}
    assert after["ch_1"] == replace(CHANNEL, last_error="trouble", quota_bytes=7)
    assert after["ch_7"] is before["ch_7"]
    assert first.channels.find_with_quota() == [after["ch_1"]]
    assert first.channels.find_directories() == [other.output_directory]
    second.channels.delete("ch_7")
    assert first.channels.find_all() == [after["ch_1"]]
    first.close()
    second.close()
