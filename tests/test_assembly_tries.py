"""A file that cannot be made is tried again, then says what to do; the capture is never lost."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from brlib import assembly, sidecar
from brlib.assembly.base import Suspended
from brlib.assembly.turns import Turns
from brlib.errors import Conflict, RecordingNotFound
from brlib.ledger import INDEX
from brlib.models import GapCause, RecordingStatus

from .compare import assert_all_frames
from .engine import Engine
from .finishing import Captured, Waits, capture_once, copy_of, failed, record, script
from .media import ts_clips, video_frames
from .origin import Origin
from .test_assembly import ffmpeg_pid
from .test_workers import until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly.assembly, "RETRY_S", (0.05,))


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    return capture_once(tmp_path_factory.mktemp("captured"))


@pytest.fixture
def again(
    captured: Captured, engine: Callable[..., Engine], tmp_path: Path
) -> Callable[..., Engine]:
    """An engine with a copy of the capture, whose FFmpeg is a script."""
    copy_of(captured, tmp_path)

    def make(body: str | None = None, **options: Any) -> Engine:
        if body is not None:
            options["ffmpeg_path"] = str(script(tmp_path / "bad", body))
        return engine(**options)

    return make


@pytest.mark.parametrize(("body", "says"), [
    ("echo x >> \"$0.tries\"; cat > /dev/null; kill -9 $$", "as the system does when memory runs"),
    ("echo x >> \"$0.tries\"; exec sleep 1000", "FFmpeg hung"),
    # The stand-in for a full disk that needs no mount: the kernel lets no file grow further.
    ("echo x >> \"$0.tries\"; trap '' XFSZ; ulimit -f 40; exec /usr/bin/ffmpeg \"$@\"",
     "The file is larger than the output disk takes"),
], ids=["killed", "hangs", "no room"])
def test_five_tries_and_then_what_to_do(
    body: str, says: str, again: Callable[..., Engine], captured: Captured, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assembly.process, "SILENT_MAX_S", 0.2)
    # What is fed is less than a pipe holds.
    monkeypatch.setattr(assembly.output, "CLOSING_MAX_S", 0.2 if "sleep" in body else 60.0)
    one = again(body)
    one.service.archive.reprocess(captured.recording_id)
    recording = failed(one)
    assert says in (recording.error or "")
    assert (recording.error or "").endswith(
        f", then POST /api/recordings/{captured.recording_id}/reprocess")
    assert (tmp_path / "bad" / "ffmpeg.tries").read_text().count("x") == 5
    assert (one.capture_directory(captured.recording_id) / INDEX).exists()
    one.close()
    two = again()
    two.service.archive.reprocess(captured.recording_id)
    assert_all_frames(two.wait_complete(), captured.offered)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly.job, "DISK_LOOK_S", 0.05)


def waits(one: Engine, recording_id: str, why: str) -> None:
    """Its file waits for its disk: it says so, and health does."""
    until(lambda: why in (one.recording(recording_id).error or ""))
    assert one.recording(recording_id).status is RecordingStatus.PROCESSING
    said = [problem for problem in one.service.problems()[0] if recording_id in problem]
    assert said and all("waits" in problem and why in problem for problem in said)


def test_an_output_directory_that_is_away_is_waited_for(
    again: Callable[..., Engine], captured: Captured, looking: None
) -> None:
    one = again()
    output = one.service.settings.output_directory
    output.rmdir()
    output.write_text("what is there while the share is not")
    one.service.archive.reprocess(captured.recording_id)
    waits(one, captured.recording_id, f"The output directory {output} is away")
    output.unlink()
    output.mkdir()
    done = one.wait_complete()
    assert_all_frames(done, captured.offered)
    assert done.error is None


@pytest.mark.parametrize("body", [
    pytest.param("echo av_interleaved_write_frame: No space left on device >&2; exit 1", id="1"),
    # FFmpeg 5.1.9 may end like that where only its trailer found no room.
    pytest.param("cat > /dev/null; echo No space left on device >&2; exit 0", id="0"),
])
def test_a_full_output_disk_costs_no_try(
    body: str, again: Callable[..., Engine], captured: Captured, looking: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = tmp_path / "tries"
    one = again(f"echo x >> {tries}\nfor last; do :; done; : > \"$last\"\n"
                f"[ -e {tmp_path}/room ] && exec /usr/bin/ffmpeg \"$@\"\n{body}\n")
    one.service.archive.reprocess(captured.recording_id)
    waits(one, captured.recording_id, "The output disk is full")
    # More of them than there are tries.
    until(lambda: len(tries.read_text()) > 2 * (assembly.assembly.TRIES + 1))
    (tmp_path / "room").touch()
    assert_all_frames(one.wait_complete(), captured.offered)


def test_a_disk_without_room_is_not_tried_again_and_again(
    again: Callable[..., Engine], captured: Captured, looking: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looked at instead: a try would fill what others need."""
    usage, looks = shutil.disk_usage(tmp_path), threading.Semaphore(0)

    def full(path: object) -> Any:
        looks.release()
        return usage._replace(free=0 if not (tmp_path / "room").exists() else usage.free)

    tries = tmp_path / "tries"
    one = again(f"echo x >> {tries}\n[ -e {tmp_path}/room ] && exec /usr/bin/ffmpeg \"$@\"\n"
                "echo No space left on device >&2; exit 1\n")
    monkeypatch.setattr("brlib.assembly.job.shutil.disk_usage", full)
    one.service.archive.reprocess(captured.recording_id)
    for _ in range(20):
        assert looks.acquire(timeout=10.0)
    assert tries.read_text() == "x\n"
    (tmp_path / "room").touch()
    assert_all_frames(one.wait_complete(), captured.offered)


def test_a_failure_while_recording_is_forgotten_at_its_end(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the next try would have waited."""
    monkeypatch.setattr(assembly.assembly, "RETRY_S", (1000.0,))
    one = engine()
    with Origin() as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        one.add(origin.url)
        one.wait_segments(6)
        os.kill(ffmpeg_pid(), signal.SIGKILL)
        for clip in ts_clips(24)[6:9]:
            origin.add(clip)
        one.wait_segments(9)
        origin.end()
        recording = one.wait_complete()
    assert_all_frames(recording, origin.offered)


def test_a_store_that_is_out_of_order_is_told_later(
    again: Callable[..., Engine], captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly.job, "STORE_RETRY_S", 0.05)
    really, left = assembly.Assembly._end, [3]

    def out_of_order(*args: Any, **changes: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise sqlite3.OperationalError("disk I/O error")
        return really(*args, **changes)

    monkeypatch.setattr(assembly.Assembly, "_end", out_of_order)
    one = again()
    one.service.archive.reprocess(captured.recording_id)
    assert_all_frames(one.wait_complete(), captured.offered)
    assert left[0] < 0


def test_killed_between_the_capture_and_the_row(
    again: Callable[..., Engine], captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The capture is on its way out and the row does not know of the file yet."""
    def gone(*_: Any, **__: Any) -> None:
        raise Suspended

    one = again()
    done = one.capture_directory(captured.recording_id + ".done")
    with monkeypatch.context() as patch:
        patch.setattr(assembly.Assembly, "_end", gone)
        one.service.archive.reprocess(captured.recording_id)
        assert until(done.exists)
        one.close()
    assert not one.capture_directory(captured.recording_id).exists()
    two = again()
    recording = two.wait_complete()
    assert_all_frames(recording, captured.offered)
    path = Path(recording.files[0])
    assert set(path.parent.iterdir()) == {path, path.with_suffix(".json")}
    assert until(lambda: not done.exists())
    assert not one.capture_directory(captured.recording_id).exists()


@pytest.mark.parametrize("row", ["complete", "gone"])
def test_what_is_left_of_a_capture_that_is_done_goes(
    row: str, again: Callable[..., Engine], captured: Captured
) -> None:
    one = again()
    one.service.archive.reprocess(captured.recording_id)
    one.wait_complete()
    if row == "gone":
        one.service.archive.delete(captured.recording_id, True)
    one.close()
    done = one.capture_directory(captured.recording_id + ".done")
    shutil.copytree(captured.data / "captures" / captured.recording_id, done)
    again()
    assert not done.exists()


def test_a_capture_that_is_the_only_copy_is_not_deleted_by_the_way(
    again: Callable[..., Engine], captured: Captured
) -> None:
    one = again()
    capture = one.capture_directory(captured.recording_id)
    with pytest.raises(Conflict, match="is the only copy of it: make its file with POST /api/rec"):
        one.service.archive.delete(captured.recording_id, False)
    assert one.recording(captured.recording_id).status is RecordingStatus.FAILED
    assert (capture / INDEX).exists()
    one.service.archive.reprocess(captured.recording_id)
    assert_all_frames(one.wait_complete(), captured.offered)
    one.service.archive.delete(captured.recording_id, False)


def test_all_of_a_failed_one_can_be_deleted(
    again: Callable[..., Engine], captured: Captured
) -> None:
    one = again()
    one.service.archive.delete(captured.recording_id, True)
    assert not one.capture_directory(captured.recording_id).exists()
    with pytest.raises(RecordingNotFound):
        one.recording(captured.recording_id)


def test_the_json_tells_what_the_api_tells(engine: Callable[..., Engine]) -> None:
    """With a gap; it goes with its file, and stays with it."""
    one = engine(filename_template="{channel}", capture_after="keep")
    with Origin(window=3) as origin:
        for clip in ts_clips(24)[:3]:
            origin.add(clip)
        one.add(origin.url, display_name="Channel")
        one.wait_segments(3)
        one.close()
        for clip in ts_clips(24)[3:9]:
            origin.add(clip)
        two = engine(filename_template="{channel}", capture_after="keep")
        two.wait_segments(6)
        origin.end()
        recording = two.wait_complete()
    path = two.service.settings.output_directory / "Channel.json"
    found = sidecar.read(path)
    gaps = two.service.archive.gaps(recording.id)
    assert [(gap.cause, gap.segments) for gap in gaps] == [(GapCause.DAEMON_DOWN, 3)]
    assert found is not None and len(found.course.gaps) == 1
    assert (found.recording.id, found.recording.files) == (recording.id, recording.files)
    assert found.recording.sums.segments == 6 and found.recording.sums.gaps == 1
    assert found.recording.file_size_bytes == recording.file_size_bytes
    # What a disk that was full at the end kept from the store is in the capture.
    two.service.store.recordings.set_gaps(recording.id, [])
    two.service.archive.reprocess(recording.id)
    two.wait_complete()
    assert two.service.archive.gaps(recording.id) == gaps
    two.service.archive.delete(recording.id, True)
    assert not path.exists() and not Path(recording.files[0]).exists()


def test_another_container_takes_the_json_along(engine: Callable[..., Engine]) -> None:
    """Reprocess without a capture; without its file the `.json` stays where the file does."""
    one = engine(filename_template="{channel}")
    with Origin() as origin:
        recording_id = record(one, origin)
        one.wait_complete()
    one.close()
    two = engine(filename_template="{channel}", container="mkv")
    two.service.archive.reprocess(recording_id)
    recording = two.wait_complete()
    output = two.service.settings.output_directory
    assert sorted(path.name for path in output.iterdir()) == ["Channel.json", "Channel.mkv"]
    assert video_frames(output / "Channel.mkv") == sum(o.frames for o in origin.offered)
    found = sidecar.read(output / "Channel.json")
    assert found is not None and found.recording.files == recording.files
    two.service.archive.delete(recording_id, False)
    assert sorted(path.name for path in output.iterdir()) == ["Channel.json", "Channel.mkv"]


def test_a_json_that_cannot_be_written_fails_nothing_and_shows(
    again: Callable[..., Engine], captured: Captured
) -> None:
    one = again()
    one.service.store.recordings.change(captured.recording_id, filename_template="{channel}")
    output = one.service.settings.output_directory
    for name in ("Channel.json", "Channel.mp4.json"):
        (output / name).mkdir()
    one.service.archive.reprocess(captured.recording_id)
    recording = one.wait_complete()
    assert recording.status is RecordingStatus.COMPLETE
    assert "The .json beside its file could not be written" in (recording.error or "")


def test_who_is_held_up_takes_no_turn() -> None:
    turns = Turns(lambda: 1)
    dead, same, other = Waits("dead"), Waits("dead"), Waits("other")
    got = threading.Event()

    def wait(one: Waits) -> None:
        with suppress(Suspended), turns.turn(one):
            got.set()

    with turns.turn(dead):
        thread = threading.Thread(target=wait, args=(other,))
        thread.start()
        assert other.asked.wait(10) and not got.is_set()
        dead.busy = False
        assert got.wait(10)
        thread.join(10)
        got.clear()
        thread = threading.Thread(target=wait, args=(same,))
        thread.start()
        assert same.asked.wait(10) and not got.is_set(), "it would be held up, too"
        same.stop.set()
        thread.join(10)
        dead.busy = True
        third = Waits()
        third.stop.set()
        with pytest.raises(Suspended), turns.turn(third):
            pass
    with turns.turn(third):
        pass


def test_health_hears_of_one_that_is_held_up(
    again: Callable[..., Engine], captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in for a dead share: a rename into it does not return."""
    monkeypatch.setattr(assembly.assembly, "HELD_UP_S", 0.2)
    answers, really = threading.Event(), os.link

    def link_at_last(source: Any, target: Any) -> None:
        if str(target).endswith(".mp4"):
            assert answers.wait(30)
        really(source, target)

    monkeypatch.setattr(os, "link", link_at_last)
    one = again()
    try:
        assert one.service.assembly.problems() == []
        one.service.archive.reprocess(captured.recording_id)
        assert until(lambda: any(
            captured.recording_id in problem and "may not answer" in problem
            for problem in one.service.assembly.problems()))
    finally:
        answers.set()
    assert_all_frames(one.wait_complete(), captured.offered)
    assert until(lambda: one.service.assembly.problems() == [])
