"""The daemon on a store that was torn: it starts, captures go on, finished files are listed."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from brlib.ledger import INDEX
from brlib.models import EndReason, GapCause, Recording, RecordingStatus
from brlib.store import open_store
from brlib.store.api_keys import FULL
from brlib.store.recordings import Filter

from .compare import assert_same
from .daemon import Daemon
from .engine import Engine
from .faults import ALWAYS, Missing
from .media import ts_clips
from .origin import Origin
from .torn_store import pages_of, tear, zero

CLIPS = 44
STORE = "data/battles-record.sqlite3"


def until(fact: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline_s, pause = time.monotonic() + timeout_s, threading.Event()
    while not fact():
        assert time.monotonic() < deadline_s
        pause.wait(0.02)


@dataclass
class World:
    """A finished recording with a gap, and one whose broadcast goes on; the directory as a
    stopped daemon left it, which each test gets anew in the same place."""

    directory: Path
    kept: Path
    live: Origin
    finished: Recording
    active: Recording
    key: str

    def restore(self) -> Path:
        shutil.rmtree(self.directory)
        shutil.copytree(self.kept, self.directory)
        return self.directory / STORE

    def offer_more(self) -> int:
        self.live.add(ts_clips(CLIPS)[len(self.live.offered)])
        return len(self.live.offered)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world") / "home"
    with Origin(window=0) as over, Origin(window=0) as live:
        over.faults.append(Missing(lambda num: num == 2, tries=ALWAYS))
        one = Engine(directory, capture_after="delete")
        for clip in ts_clips(6):
            over.add(clip)
        one.add(over.url, display_name="over")
        one.wait_segments(2)
        over.end()
        finished = one.wait_complete()
        for clip in ts_clips(CLIPS)[:6]:
            live.add(clip)
        one.add(live.url, display_name="live")
        active = one.recording(one.wait_segments(6).data["id"])
        key = one.service.store.api_keys.create("a", FULL)
        assert [gap.cause for gap in one.service.archive.gaps(finished.id)] == [GapCause.SOURCE]
        # As a kill leaves it: the log is not written back.
        shutil.copytree(directory, directory.with_name("killed"))
        one.close()
        shutil.copytree(directory, directory.with_name("kept"))
        yield World(directory, directory.with_name("kept"), live, finished, active, key)


@dataclass
class Seen:
    """What becomes of it; `readable`: keys and users are as before."""

    rebuilt: bool
    readable: bool


def untouched(path: Path) -> Seen:
    return Seen(rebuilt=False, readable=True)


def no_first_page(path: Path) -> Seen:
    zero(path, 1)
    return Seen(rebuilt=True, readable=False)


def lost_page(path: Path) -> Seen:
    zero(path, pages_of(path, "gaps")[-1])
    return Seen(rebuilt=True, readable=True)


def lost_recordings(path: Path) -> Seen:
    zero(path, pages_of(path, "recordings")[-1])
    return Seen(rebuilt=True, readable=True)


def cut_in_the_middle(path: Path) -> Seen:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    return Seen(rebuilt=True, readable=False)


def cut_to_a_stump(path: Path) -> Seen:
    os.truncate(path, 700)
    return Seen(rebuilt=True, readable=False)


def empty_file(path: Path) -> Seen:
    path.write_bytes(b"")
    return Seen(rebuilt=True, readable=False)


def no_file(path: Path) -> Seen:
    path.unlink()
    return Seen(rebuilt=True, readable=False)


def garbage_log(path: Path) -> Seen:
    """As after a kill, all that is not in the file yet is lost with it."""
    killed = path.parent.parent.with_name("killed") / STORE
    for ending in ("", "-wal"):
        shutil.copy(f"{killed}{ending}", f"{path}{ending}")
    tear(path.with_name(path.name + "-wal"), 0, os.urandom(64))
    return Seen(rebuilt=True, readable=False)


@pytest.mark.parametrize("damage", [
    untouched, no_first_page, lost_page, lost_recordings, cut_in_the_middle, cut_to_a_stump,
    empty_file, no_file, garbage_log])
def test_it_starts_and_everything_is_there(
    world: World, damage: Callable[[Path], Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brlib.store.damage.BEGINNING_MAX_S", 0.0)
    seen = damage(world.restore())
    offered = world.offer_more()
    one = Engine(world.directory, capture_after="delete")
    try:
        until(lambda: one.recording(world.active.id).sums.segments == offered)
        check_active(one, world)
        until(lambda: "it is being rebuilt" not in str(one.service.problems()))
        check_finished(one, world)
        check_what_is_said(one, world, seen)
        assert one.service.store.recordings.count(Filter()) == 2, "nothing twice"
    finally:
        one.close()
    assert_same(one.capture_directory(world.active.id), world.live.offered)


def check_active(one: Engine, world: World) -> None:
    now = one.recording(world.active.id)
    assert now.status is RecordingStatus.RECORDING
    assert (now.started_at, now.title) == (world.active.started_at, world.active.title)
    assert now.sums.gaps == 0, "nothing had left the origin"
    channel = one.service.store.channels.get(now.channel_id)
    assert (channel.id, channel.url) == (world.active.channel_id, world.live.url)


def check_finished(one: Engine, world: World) -> None:
    until(lambda: one.service.store.recordings.count(
        Filter(status=RecordingStatus.COMPLETE)) == 1)
    found = one.recording(world.finished.id)
    assert (found.files, found.title) == (world.finished.files, world.finished.title)
    assert found.sums.completeness == pytest.approx(world.finished.sums.completeness, abs=1e-3)
    assert found.file_size_bytes == world.finished.file_size_bytes
    assert found.end_reason is EndReason.ENDED
    assert one.service.storage.info([])["by_channel"][found.channel_id] == found.file_size_bytes


def check_what_is_said(one: Engine, world: World, seen: Seen) -> None:
    told = [p for p in one.service.problems()[0] if p.startswith("the store was damaged")]
    assert len(told) == seen.rebuilt
    assert all("and rebuilt: " in p and ", 2 recordings; what was" in p for p in told)
    assert len(list(world.directory.glob(f"{STORE}.damaged-*Z"))) <= seen.rebuilt
    key = one.service.store.api_keys.find_by_key(world.key)
    admin = one.service.first_admin
    assert (key is not None, admin is None) == (seen.readable, seen.readable)
    gaps = one.service.archive.gaps(world.finished.id)
    assert [gap.cause for gap in gaps] == [GapCause.SOURCE]


def test_the_next_start_says_nothing_more(world: World) -> None:
    no_first_page(world.restore())
    for rebuilt in (True, False):
        one = Engine(world.directory)
        try:
            until(lambda: "it is being rebuilt" not in str(one.service.problems()))
            assert ("and rebuilt:" in str(one.service.problems())) is rebuilt
        finally:
            one.close()


def strip_notes(index: Path) -> None:
    """As captures were before they said whose they are."""
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join(one for one in lines if not one.startswith(b"#BR-NOTE")))


@pytest.mark.parametrize("notes, channel", [(True, True), (True, False), (False, True)],
                         ids=["it goes on", "its channel was deleted", "nobody knows whose"])
def test_a_row_that_is_lost_alone(
    engine: Callable[..., Engine], notes: bool, channel: bool
) -> None:
    """As when the daemon was killed between the first segment and the row."""
    one = engine(capture_after="keep")
    with Origin(window=0) as origin:
        for clip in ts_clips(6):
            origin.add(clip)
        one.add(origin.url, display_name="its name")
        recording_id = one.wait_segments(6).data["id"]
        store, directory = one.service.settings.database_path, one.capture_directory(recording_id)
        one.close()
        with closing(open_store(store)) as rows:
            rows.recordings.delete(recording_id)
            for known in [] if channel else rows.channels.find_all():
                rows.channels.delete(known.id)
        if not notes:
            strip_notes(directory / INDEX)
        again = engine(capture_after="keep")
        if notes and channel:
            origin.add(ts_clips(7)[6])
            until(lambda: again.recording(recording_id).sums.segments == 7)
            origin.end()
        until(lambda: again.recording(recording_id).status is RecordingStatus.COMPLETE)
        recording = again.recording(recording_id)
        assert recording.channel_name == ("its name" if notes else "Unknown channel")
        assert_same(directory, origin.offered[:7 if notes and channel else 6])
        assert Path(recording.files[0]).is_file()
        assert again.service.problems() == ([], False)


def test_it_is_damaged_while_the_daemon_runs(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captures go on, health says it, and the next start puts it right."""
    one = engine(capture_after="keep")
    with Origin(window=0) as origin:
        for clip in ts_clips(6):
            origin.add(clip)
        one.add(origin.url)
        recording_id = one.wait_segments(6).data["id"]
        store = one.service.settings.database_path
        for page in range(1, store.stat().st_size // 4096 + 1):
            zero(store, page)
        tear_log(store)
        until(lambda: "the store is damaged" in str(one.service.problems()))
        for clip in ts_clips(12)[6:]:
            origin.add(clip)
        one.wait_segments(12)
        assert one.service.recorder.find(recording_id) is not None
        one.close()
        again = engine(capture_after="keep")
        until(lambda: again.recording(recording_id).sums.segments == 12)
        origin.end()
        recording = again.wait_complete()
        assert recording.id == recording_id
        assert_same(again.capture_directory(recording_id), origin.offered)
        assert "and rebuilt: " in str(again.service.problems())


def tear_log(store: Path) -> None:
    log = store.with_name(store.name + "-wal")
    tear(log, 0, os.urandom(log.stat().st_size))


def test_killed_and_torn_the_daemon_starts(daemon: Callable[..., Daemon]) -> None:
    """The real process, with a login that is gone: it makes its first admin anew."""
    one = daemon(capture_after="keep")
    with Origin(window=0) as origin:
        for clip in ts_clips(6):
            origin.add(clip)
        one.call("POST", "/api/channels", {"platform": "url", "name": origin.url})
        body = one.wait("/api/recordings/active", lambda b: any(
            a["segments"] == 6 for a in b["active"]))
        before = body["active"][0]["id"]
        one.kill()
        zero(one.directory / STORE, 1)
        log = one.directory / (STORE + "-wal")
        log.write_bytes(os.urandom(5000))
        one.log.clear()
        one.start()
        one.renew_key()
        origin.add(ts_clips(CLIPS)[6])
        one.wait("/api/recordings/active", lambda b: any(
            a["id"] == before and a["segments"] == 7 for a in b["active"]))
        status, body, _ = one.call("GET", "/api/health")
        assert (status, body["status"]) == (200, "degraded")
        assert any("was damaged" in problem for problem in body["problems"])
        assert any("The first user is" in line for line in one.log)
        origin.end()
        one.wait("/api/recordings?status=complete", lambda b: b["total"] == 1)
        assert_same(one.directory / "data" / "captures" / before, origin.offered)
