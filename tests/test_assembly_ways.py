"""Encoding a finished file anew: which way is gone, in whose turn, and what comes of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib import assembly, encoding
from brlib.assembly.base import Plan, Suspended
from brlib.assembly.process import why_not
from brlib.assembly.turns import Turns
from brlib.assembly.ways import with_way
from brlib.encoding import Encoding, Way
from brlib.models import Recording, RecordingStatus, utc_now
from brlib.processing import canonical
from brlib.workers import Child

from .engine import Engine
from .finishing import Captured, Waits, capture_once, copy_of, record, script
from .media import stream_kinds, ts_clips, video_frames
from .origin import Origin
from .test_assembly_process import Task

PLAN = Plan("reencode", "mp4", Path("/o"), Path("/o/a"), "number", "ffmpeg", "ffprobe")


class Job(Task):
    recording = Recording(
        id="rec_1", channel_id="ch_1", channel_name="x", platform="url", title="x",
        status=RecordingStatus.PROCESSING, started_at=utc_now())


class Knows:
    """A machine whose FFmpeg has these encoders."""

    def __init__(self, *encoders: str) -> None:
        self.encoders = encoders
        self.asked: list[str] = []

    def __call__(self, plan: Plan, way: Way, task: object) -> str | None:
        self.asked.append(way.encoder)
        return None if way.encoder in self.encoders else "no such device"


@pytest.mark.parametrize("wanted, knows, passed_over, expected", [
    (Encoding("h264"), ["libx264"], [], "libx264"),
    (Encoding("h264", hardware="nvenc"), ["h264_nvenc", "libx264"], [], "h264_nvenc"),
    (Encoding("h264", hardware="nvenc"), ["libx264"], [], "libx264"),
    (Encoding("h264", hardware="nvenc"), ["h264_nvenc", "libx264"], ["h264_nvenc"], "libx264"),
    (Encoding("vp9"), ["libvpx-vp9"], ["libvpx-vp9"], None),
    (Encoding("h265", hardware="auto"), ["hevc_vaapi", "libx265"], [], "hevc_vaapi"),
    (Encoding("av1"), ["libaom-av1"], [], "libaom-av1"),
    (Encoding("copy", "opus"), ["copy"], [], "copy"),
    (Encoding("vp9"), [], [], None),
])
def test_the_first_way_that_can_be_gone(
    wanted: Encoding, knows: list[str], passed_over: list[str], expected: str | None
) -> None:
    plan, trouble = with_way(
        PLAN, wanted, Job(), dict.fromkeys(passed_over, "no such device"), Knows(*knows))
    assert (plan.way.encoder if plan.way else None) == expected
    assert (trouble is None) == (expected is not None)
    if trouble:
        assert "libvpx-vp9: no such device" in trouble and "reprocess" in trouble


def test_nothing_is_tried_in_vain() -> None:
    knows = Knows("libx264")
    for mode in ("copy", "concatenate"):
        assert with_way(replace(PLAN, mode=mode), Encoding(), Job(), {}, knows) == (
            replace(PLAN, mode=mode), None)
    plan, trouble = with_way(replace(PLAN, container="ts"), Encoding("vp9"), Job(), {}, knows)
    assert plan.way is None and "container ts" in (trouble or "") and not knows.asked


def test_a_software_fallback_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with_way(PLAN, Encoding("h264", hardware="qsv"), Job(), {}, Knows("libx264"))
    assert "encoded by libx264: h264_qsv: no such device" in caplog.text


def test_what_ffmpeg_says_against_a_way() -> None:
    ways = encoding.ways(Encoding("h264", hardware="nvenc"))
    problem = why_not(PLAN, ways[0], Job())
    # There is no such card where tests run, or there is one.
    assert problem is None or "\n" not in problem
    assert why_not(PLAN, ways[-1], Job()) is None
    wrong = replace(ways[-1], output=(*ways[-1].output, "-preset", "bogus"))
    assert "preset" in (why_not(PLAN, wrong, Job()) or "")


def test_a_trial_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly.process, "TRIAL_MAX_S", 0.2)
    hangs = replace(PLAN, ffmpeg=str(script(tmp_path / "bin", "exec cat /dev/zero > /dev/null")))
    (way,) = encoding.ways(Encoding("h264"))
    assert "did not answer" in (why_not(hangs, way, Job()) or "")


class Ranked(Waits):
    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = (rank, 0.0, "")


def test_the_highest_priority_is_next() -> None:
    turns, order = Turns(lambda: 1), list[int]()
    first, waiting = Ranked(0), [Ranked(3), Ranked(-5), Ranked(1)]

    def wait(one: Ranked) -> None:
        with turns.turn(one):
            order.append(one.rank[0])

    threads = [threading.Thread(target=wait, args=(one,)) for one in waiting]
    with turns.turn(first):
        for thread, one in zip(threads, waiting, strict=True):
            thread.start()
            assert one.asked.wait(10)
        gone = Ranked(-9)
        gone.stop.set()
        with pytest.raises(Suspended), turns.turn(gone):
            pass
    for thread in threads:
        thread.join(10)
    assert order == [-5, 1, 3]


def test_many_who_wait_ask_once_for_each_place(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, really = list[str | None](), Turns._wait

    def wait(turns: Turns, place: str | None) -> bool:
        asked.append(place)
        return really(turns, place)

    turns = Turns(lambda: 1)
    turns._waiting = [Ranked(rank) for rank in range(500)]
    monkeypatch.setattr(Turns, "_wait", wait)
    assert turns._first() is turns._waiting[0] and asked == [""]


def test_a_child_stands_back() -> None:
    child = Child("nice", ["cat"], feed=True, nice=7)
    try:
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == (
            os.getpriority(os.PRIO_PROCESS, 0) + 7)
    finally:
        child.stop()


@pytest.mark.parametrize("options, suffix, kinds", [
    ({"video_codec": "h265", "audio_codec": "opus", "container": "mkv"}, ".mkv",
     ["hevc 160x90", "opus"]),
    ({"ffmpeg_arguments": "-preset ultrafast -vf scale=80:-2"}, ".mp4", ["h264 80x46", "aac"]),
    ({"hardware_acceleration": "v4l2", "audio_codec": "aac", "container": "ts"}, ".ts",
     ["h264 160x90", "aac"]),
    ({"video_codec": "copy", "audio_codec": "opus"}, ".mp4", ["h264 160x90", "opus"]),
], ids=["h265", "arguments", "hardware", "sound alone"])
def test_a_file_is_encoded(
    options: dict[str, Any], suffix: str, kinds: Sequence[str],
    engine: Callable[..., Engine],
) -> None:
    one = engine(processing_mode="reencode", **options)
    with Origin(window=0) as origin:
        record(one, origin, 8)
        recording = one.wait_complete()
    (path,) = (Path(name) for name in recording.files)
    assert path.suffix == suffix and stream_kinds(path) == list(kinds)
    assert video_frames(path) == sum(o.frames for o in origin.offered)
    assert recording.error is None
    assert not one.capture_directory(recording.id).exists()


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    return capture_once(tmp_path_factory.mktemp("captured"))


@pytest.fixture
def again(
    engine: Callable[..., Engine], captured: Captured, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Recording]:
    """The captured recording, made with these options."""
    monkeypatch.setattr(assembly.assembly, "RETRY_S", (0.1,))

    def make(**options: Any) -> Recording:
        copy_of(captured, tmp_path)
        one = engine(processing_mode="reencode", **options)
        one.service.archive.reprocess(captured.recording_id)
        return one.wait_complete()

    return make


def frames(captured: Captured) -> int:
    return sum(offered.frames for offered in captured.offered)


def test_what_cannot_be_encoded_is_copied_and_says_so(
    again: Callable[..., Recording], captured: Captured
) -> None:
    recording = again(ffmpeg_arguments="-preset bogus")
    assert "It could not be encoded and is a copy (libx264:" in (recording.error or "")
    (path,) = (Path(name) for name in recording.files)
    assert stream_kinds(path) == ["h264 160x90", "aac"]
    assert video_frames(path) == frames(captured)


def test_hardware_that_fails_in_the_middle_is_passed_over(
    again: Callable[..., Recording], captured: Captured, tmp_path: Path
) -> None:
    """A trial that goes well, and an encoder that dies later."""
    ffmpeg = script(tmp_path / "bin", '''case "$*" in
*lavfi*nvenc*|*nvenc*lavfi*) exit 0;;
*h264_nvenc*) head -c 100000 > /dev/null; echo "OpenEncodeSessionEx failed: out of memory (10)"
  exit 1;;
esac
exec /usr/bin/ffmpeg "$@"
''')
    recording = again(hardware_acceleration="nvenc", ffmpeg_path=str(ffmpeg))
    (path,) = (Path(name) for name in recording.files)
    assert recording.error is None and video_frames(path) == frames(captured)


def test_a_copy_does_not_wait_behind_an_encoding(engine: Callable[..., Engine]) -> None:
    one = engine(processing_timing="after", max_concurrent_processing=1)
    with one.service.assembly._encodings.turn(Waits()), Origin(window=0) as origin:
        record(one, origin, 6)
        assert stream_kinds(Path(one.wait_complete().files[0])) == ["h264 160x90", "aac"]


def test_a_filter_that_does_not_fit_the_picture_leaves_a_copy(
    again: Callable[..., Recording], captured: Captured
) -> None:
    recording = again(ffmpeg_arguments="-vf crop=1280:720")
    assert "It could not be encoded and is a copy (libx264: FFmpeg failed" in (
        recording.error or "")
    assert video_frames(Path(recording.files[0])) == frames(captured)


def test_a_channel_has_its_own(engine: Callable[..., Engine]) -> None:
    one = engine(processing_mode="reencode", container="mkv")
    with Origin(window=0) as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        channel = one.add(origin.url, processing=canonical({
            "processing_mode": "concatenate", "capture_after": "keep"}))
        one.wait_segments(6)
        origin.end()
        plain = one.wait_complete()
        assert one.capture_directory(plain.id).exists()
        one.service.watchlist.change(channel.id, {"processing": canonical({
            "video_codec": "vp9", "ffmpeg_arguments": "-deadline realtime"})})
        one.service.archive.reprocess(plain.id)
        made = one.wait_complete()
    (path,) = (Path(name) for name in made.files)
    assert Path(plain.files[0]).suffix == ".ts" and not Path(plain.files[0]).exists()
    assert path.suffix == ".mkv" and stream_kinds(path) == ["vp9 160x90", "aac"]


def test_what_an_earlier_version_let_through_is_passed_over(
    engine: Callable[..., Engine], caplog: pytest.LogCaptureFixture
) -> None:
    one = engine()
    channel = one.add("http://127.0.0.1:9/x.m3u8", enabled=False)
    one.service.store.channels.change(channel.id, processing='{"ffmpeg_arguments": "-f null"}')
    recording = replace(Job.recording, channel_id=channel.id)
    for _ in range(2):
        assert one.service.assembly.plans.processing_of(recording) == (
            one.service.settings.processing)
    assert caplog.text.count("-f is set by container") == 1
