"""FFmpeg dies, lies, is missing; files exist already: the capture is safe, the file is right."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from brlib import assembly
from brlib.ledger import INDEX, Ledger
from brlib.models import RecordingStatus

from .compare import assert_all_frames
from .conftest import children
from .engine import Engine
from .finishing import LAST, Captured, capture_once, copy_of, failed, record, script
from .media import ts_clips, video_frames
from .origin import Origin


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly.assembly, "RETRY_S", (0.1,))


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    return capture_once(tmp_path_factory.mktemp("captured"))


def ffmpeg_pid() -> int:
    """The one FFmpeg that runs, once it does."""
    deadline_s, pause = time.monotonic() + 10, threading.Event()
    while True:
        found = [pid for pid in children()
                 if b"ffmpeg" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]]
        if found or time.monotonic() > deadline_s:
            (pid,) = found
            return pid
        pause.wait(0.02)


def test_ffmpeg_killed_while_recording_costs_nothing(engine: Callable[..., Engine]) -> None:
    one = engine()
    with Origin() as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        one.add(origin.url)
        one.wait_segments(6)
        os.kill(ffmpeg_pid(), signal.SIGKILL)
        for clip in ts_clips(24)[6:12]:
            origin.add(clip)
        one.wait_segments(12)
        origin.end()
        recording = one.wait_complete()
    assert_all_frames(recording, origin.offered)


@pytest.mark.parametrize(("body", "says"), [
    ("cat > /dev/null; exit 1", "FFmpeg failed (1: it said nothing)"),
    (LAST + "echo garbage > \"$o\"", "ffprobe cannot read the file"),
    (LAST + "/usr/bin/ffmpeg -v error -f lavfi -i testsrc2=d=1:s=640x360 "
     "-f lavfi -i sine=d=1 -c:v mpeg2video -q:v 2 -f mp4 -y \"$o\"",
     "the file is 1.0 s long, the capture 12.0 s"),
    (LAST + "/usr/bin/ffmpeg -v error -f lavfi -i sine=d=9 -f mp4 -y \"$o\"",
     "no video stream"),
    ("exit 0", "FFmpeg ended early"),
], ids=["fails", "garbage", "too short", "no picture", "reads nothing"])
def test_a_file_that_is_not_right_never_gets_its_name(
    body: str, says: str, captured: Captured, engine: Callable[..., Engine], tmp_path: Path
) -> None:
    copy_of(captured, tmp_path)
    one = engine(ffmpeg_path=str(script(tmp_path / "bad", body)))
    one.service.archive.reprocess(captured.recording_id)
    recording = failed(one)
    assert says in (recording.error or "")
    assert recording.files == ()
    assert (one.capture_directory(captured.recording_id) / INDEX).exists()
    output = one.service.settings.output_directory
    assert [p for p in output.rglob("*") if p.is_file()] == []
    one.close()
    two = engine()
    two.service.archive.reprocess(captured.recording_id)
    assert_all_frames(two.wait_complete(), captured.offered)
    assert not two.capture_directory(captured.recording_id).exists()


def test_ffmpeg_missing_says_what_to_do(engine: Callable[..., Engine]) -> None:
    one = engine(ffmpeg_path="/nowhere/ffmpeg")
    with Origin() as origin:
        record(one, origin)
        recording = failed(one)
    assert "install it or set ffmpeg_path" in (recording.error or "")
    assert any("FFmpeg is missing" in problem for problem in one.service.problems()[0])


def test_files_of_one_name_are_numbered(engine: Callable[..., Engine]) -> None:
    one = engine(filename_template="{channel}")
    names = []
    for _ in range(2):
        with Origin() as origin:
            record(one, origin)
            names.append(Path(one.wait_complete().files[0]).name)
    assert names == ["Channel.mp4", "Channel (2).mp4"]


def test_skip_leaves_the_other_file_and_the_capture(engine: Callable[..., Engine]) -> None:
    one = engine(filename_template="{channel}", when_file_exists="skip")
    other = one.service.settings.output_directory / "Channel.mp4"
    other.write_text("somebody else's")
    with Origin() as origin:
        recording_id = record(one, origin)
        recording = failed(one)
    assert "exists already" in (recording.error or "")
    assert other.read_text() == "somebody else's"
    assert one.capture_directory(recording_id).exists()


def test_reprocess_replaces_its_own_file_only_by_a_proven_one(
    engine: Callable[..., Engine], tmp_path: Path
) -> None:
    one = engine(capture_after="keep")
    with Origin() as origin:
        recording_id = record(one, origin)
        (path,) = one.wait_complete().files
    one.close()
    two = engine(capture_after="keep", ffmpeg_path=str(
        script(tmp_path / "bad", "cat > /dev/null; exit 1")))
    two.service.archive.reprocess(recording_id)
    failed(two)
    assert video_frames(Path(path)) == sum(o.frames for o in origin.offered)
    two.close()
    three = engine()
    three.service.archive.reprocess(recording_id)
    assert three.wait_complete().files == (path,)


def test_a_damaged_capture_at_start_fails_its_recording_and_nothing_else(
    engine: Callable[..., Engine]
) -> None:
    one = engine()
    with Origin() as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        one.add(origin.url)
        recording_id = one.wait_segments(6).data["id"]
        one.close()
        index = one.capture_directory(recording_id) / INDEX
        index.write_bytes(b"\0" * 100)
        two = engine()
        until(lambda: two.recording(recording_id).status is RecordingStatus.FAILED)
        assert "begin like a playlist" in (two.recording(recording_id).error or "")
        assert index.exists()
        assert two.service.problems()[1] is False


def test_a_recording_whose_channel_is_gone_is_finished(engine: Callable[..., Engine]) -> None:
    one = engine()
    with Origin() as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        channel = one.add(origin.url)
        one.wait_segments(6)
        one.service.recorder.stop()
        one.service.store.channels.delete(channel.id)
        one.close()
        two = engine()
        assert_all_frames(two.wait_complete(), origin.offered)


def test_segments_that_claim_more_than_they_hold_are_counted(
    engine: Callable[..., Engine]
) -> None:
    """Packagers that round EXTINF up: the lengths differ, the frames do not."""
    one = engine()
    with Origin() as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(replace(clip, duration_s=1.0))
        one.add(origin.url)
        one.wait_segments(6)
        origin.end()
        recording = one.wait_complete()
    assert recording.sums.captured_s == 6.0
    assert_all_frames(recording, origin.offered)


def test_a_damaged_index_replaces_no_good_file(engine: Callable[..., Engine]) -> None:
    """What can still be read of it agrees with itself, and is not the recording."""
    one = engine(capture_after="keep")
    with Origin() as origin:
        recording_id = record(one, origin, 8)
        (path,) = one.wait_complete().files
    index = one.capture_directory(recording_id) / INDEX
    lines = index.read_bytes().split(b"\n")
    extinf = [n for n, line in enumerate(lines) if line.startswith(b"#EXTINF")][3]
    lines[extinf] = lines[extinf].replace(b"#", b"$")
    index.write_bytes(b"\n".join(lines))
    one.service.archive.reprocess(recording_id)
    assert "cannot be read" in (failed(one).error or "")
    assert video_frames(Path(path)) == sum(o.frames for o in origin.offered)
    assert index.exists()


def test_a_crash_between_naming_and_noting_leaves_one_file(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = engine()
    monkeypatch.setattr(assembly.assembly.Assembly, "_complete", lambda self, job, done: None)
    with Origin() as origin:
        recording_id = record(one, origin)
        one.wait("processing_started")
        until(lambda: bool(one.recording(recording_id).files)
              and Path(one.recording(recording_id).files[0]).exists())
    one.close()
    monkeypatch.undo()
    two = engine()
    recording = two.wait_complete()
    assert_all_frames(recording, origin.offered)
    output = two.service.settings.output_directory
    path = Path(recording.files[0])
    assert sorted(p for p in output.rglob("*") if p.is_file()) == [path.with_suffix(".json"), path]


def until(fact: Callable[[], bool]) -> None:
    deadline_s, pause = time.monotonic() + 20, threading.Event()
    while not fact():
        assert time.monotonic() < deadline_s
        pause.wait(0.02)


def test_a_part_without_segments_is_no_file(engine: Callable[..., Engine]) -> None:
    """A crash right behind the line that begins a part."""
    one = engine()
    with Origin(window=0) as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        one.add(origin.url)
        recording_id = one.wait_segments(6).data["id"]
        one.close()
        ledger = Ledger.recover(one.capture_directory(recording_id))
        ledger.begin_part("ts hevc 160x90", ".ts", b"")
        ledger.close()
        two = engine()
        for clip in ts_clips(24)[6:9]:
            origin.add(clip)
        two.wait_segments(9)
        origin.end()
        recording = two.wait_complete()
    assert_all_frames(recording, origin.offered)
