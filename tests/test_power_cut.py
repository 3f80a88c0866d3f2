"""The power goes while a capture is written: every state in which the disk may be left.

What must be left after recovery is computed from the surviving bytes alone, not by the code
under test. The directories are tiny and, where there is one, on a memory file system:
thousands of cases.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brlib import ledger
from brlib.ledger import INDEX, Follower, Ledger
from brlib.models import EndReason, RecordingStatus, Sums, utc_now
from brlib.playlist import End, Entry, Hole, Note, Part, Segment, Synced, parse
from brlib.store import Store, open_store
from brlib.tally import digest_of

from .chaos.torn import (
    WRITINGS, Files, Writing, as_kept, files_of, in_a_part, lay, most, never_synced, states,
    surviving, two_new_parts, written,
)
from .compare import assert_all_frames, assert_same
from .engine import Engine
from .media import ts_clips
from .origin import Origin

Script = Callable[[Writing], None]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory where the machine has such a file system."""
    memory = Path("/dev/shm")
    root = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=root) as directory:
        yield Path(directory)


@pytest.mark.parametrize("writing", WRITINGS)
def test_recovery_at_every_byte(place: Path, writing: Script) -> None:
    """It always succeeds, keeps what survived up to the first hole, and nothing else."""
    was = written(place, writing)
    assert len(was.tail) == (2 if writing is two_new_parts else 1)
    kept_at_least = surviving(was, {
        name: data[:was.floors[name]] for name, data in was.files.items()})
    wanted = [as_kept(was, kept) for kept in range(len(was.found) + 1)]
    directory, count, seen = place / "rec_1", 0, set[int]()
    for state in states(was):
        lay(directory, state)
        one = Ledger.recover(directory)
        kept = surviving(was, state)
        files, tally = wanted[kept]
        assert kept >= kept_at_least
        assert one.tally == tally
        assert files_of(directory) == files
        one.abandon()
        count, seen = count + 1, seen | {kept}
    # What may be lost is really lost somewhere, entry by entry, and nothing beyond it.
    assert seen == set(range(kept_at_least, most(was) + 1))
    assert count > 1500


@pytest.mark.parametrize("writing", WRITINGS)
def test_every_recovered_state_goes_on(place: Path, writing: Script) -> None:
    """Every directory that recovery can leave is captured into and followed to its end."""
    was = written(place, writing)
    for kept in range(most(was) + 1):
        directory = place / f"rec_{kept}"
        files, tally = as_kept(was, kept)
        lay(directory, files)
        one = Writing(directory, again=True)
        follower, before = Follower(directory), [item.entry for item in was.found[:kept]]
        assert follower.news() == before
        one.mp4()
        one.hole()
        one.mp4()
        one.note("on")
        one.ts()
        one.sync()
        one.capture.finish()
        check_played(directory, before, follower)
        assert one.capture.sums.segments == tally.sums.segments + 3
        assert one.capture.sums.gaps == tally.sums.gaps + 1
        assert ledger.read(directory).sums == one.capture.sums


def check_played(directory: Path, before: list[Entry], follower: Follower) -> None:
    """What the follower gets is what is on the disk: every byte once, in order, as digested."""
    entries = before + follower.news()
    assert follower.rest_bytes() == 0
    assert isinstance(entries[-1], Synced) and isinstance(entries[-2], End)
    kinds = [type(entry) for entry in entries[len(before):] if not isinstance(entry, Synced)]
    assert kinds.count(Segment) == 3 and kinds.count(Hole) == 1 and kinds.count(Note) == 1
    held: Files = {}
    for entry in entries:
        match entry:
            case Part() as part:
                assert part.file not in held
                held[part.file] = (directory / part.file).read_bytes()[:part.init_bytes]
            case Segment() as segment:
                assert segment.offset == len(held[segment.file])
                body = (directory / segment.file).read_bytes()[segment.offset:][
                    :segment.size_bytes]
                assert digest_of(body) == segment.digest
                held[segment.file] += body
    assert held == {name: data for name, data in files_of(directory).items() if name != INDEX}


@pytest.mark.parametrize("writing", [in_a_part, two_new_parts, never_synced])
def test_the_power_goes_again_during_recovery(
    place: Path, monkeypatch: pytest.MonkeyPatch, writing: Script
) -> None:
    """Recovery broken off before each of its steps: the next one ends the same."""
    was = written(place, writing)
    torn = {name: data[:was.floors[name] + (len(data) - was.floors[name]) * 2 // 3]
            for name, data in was.files.items()}
    torn["0007.ts"] = b"begun, never named"
    files, tally = as_kept(was, surviving(was, torn))
    directory, steps = place / "rec_1", 0
    while True:
        lay(directory, torn)
        broken = broken_off(directory, monkeypatch, steps)
        one = Ledger.recover(directory)
        assert one.tally == tally and files_of(directory) == files
        one.abandon()
        if not broken:
            break
        steps += 1
    assert steps >= 3


def broken_off(directory: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> bool:
    """Recover, but the power goes before the step `after`; whether there was such a step."""
    class PowerCut(BaseException):
        pass

    done = [0]

    def step(real: Callable[..., None]) -> Callable[..., None]:
        def act(*args: object) -> None:
            done[0] += 1
            if done[0] > after:
                raise PowerCut
            real(*args)
        return act

    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", step(os.truncate))
        patch.setattr(Path, "unlink", step(Path.unlink))
        try:
            one = Ledger.recover(directory)
        except PowerCut:
            return True
    one.abandon()
    return False


def test_what_a_dead_process_wrote_is_synced_before_it_is_vouched_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 the last entries are in the cache of the system, perhaps nowhere else: a
    recovered capture that is only closed again brings them to the disk."""
    was = written(place, in_a_part)
    directory = place / "rec_1"
    lay(directory, was.files)
    real, synced = os.fdatasync, set[str]()

    def noting(fd: int) -> None:
        synced.add(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", noting)
    Ledger.recover(directory).close()
    assert synced == {INDEX, "0002.mp4"}
    assert files_of(directory)[INDEX] == was.files[INDEX] + b"#BR-SYNCED\n"
    synced.clear()
    Ledger.recover(directory).close()
    assert synced == set() and files_of(directory)[INDEX].count(b"SYNCED\n#BR-SYNCED") == 0


# The row and the capture, which the same power cut leaves apart.

CLIPS = 14


def lose_the_tail(directory: Path, segments: int) -> None:
    """The last segments never got to the disk, the media of one more only half."""
    found = list(parse((directory / INDEX).read_bytes()))
    held = [item for item in found if isinstance(item.entry, Segment)]
    os.truncate(directory / INDEX, held[-segments - 1].end)
    torn = held[-segments - 1].entry
    assert isinstance(torn, Segment)
    os.truncate(directory / torn.file, torn.offset + torn.size_bytes // 2)
    # Nothing was ever said to be synced: otherwise this is no power cut, but damage.
    data = (directory / INDEX).read_bytes().replace(b"#BR-SYNCED\n", b"")
    (directory / INDEX).write_bytes(data)


def rows_after(store: Store, directory: Path, ids: dict[str, str]) -> None:
    """The row is older than the capture, newer, or has moved on already."""
    store.recordings.change(ids["less"], sums=Sums(segments=1, captured_bytes=7, captured_s=0.5))
    for name in ("more", "over"):
        lose_the_tail(directory / ids[name], 2)
    store.recordings.change(
        ids["over"], status=RecordingStatus.PROCESSING, ended_at=utc_now(),
        end_reason=EndReason.ENDED)


def test_the_row_and_the_capture_differ(tmp_path: Path) -> None:
    """The capture is what counts: it goes on behind what it holds, and what was lost of it is
    fetched again as long as it is offered. A recording that was over is what is left of it."""
    one = Engine(tmp_path, capture_after="keep", max_concurrent_recordings=3)
    clips = ts_clips(CLIPS)
    with Origin(window=CLIPS) as less, Origin(window=CLIPS) as more, Origin(window=CLIPS) as over:
        origins = {"less": less, "more": more, "over": over}
        try:
            for name, origin in origins.items():
                for clip in clips[:8]:
                    origin.add(clip)
                one.add(origin.url, display_name=name)
            while any(a.sums.segments < 8 for a in one.service.recorder.find_active()) or len(
                    one.service.recorder.find_active()) < 3:
                one.wait("segment_downloaded")
            ids = {a.channel.display_name: a.recording.id
                   for a in one.service.recorder.find_active()}
            captures = one.service.settings.captures_directory
        finally:
            one.close()
        store = open_store(one.service.settings.database_path)
        rows_after(store, captures, ids)
        store.close()
        over.end()  # before anybody looks: otherwise it is a live channel, and a recording more
        one = Engine(tmp_path, capture_after="keep", max_concurrent_recordings=3)
        try:
            for origin in (less, more):
                for clip in clips[8:]:
                    origin.add(clip)
                origin.end()
            done = {r.id: r for r in (one.wait_complete() for _ in ids)}
        finally:
            one.close()
        for name, count in (("less", CLIPS), ("more", CLIPS), ("over", 5)):
            recording, offered = done[ids[name]], origins[name].offered[:count]
            assert_same(captures / ids[name], offered)
            assert_all_frames(recording, offered)
            assert recording.sums.segments == count and recording.sums.completeness == 1.0
