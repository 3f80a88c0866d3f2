"""An encoder that is slow, is ended, fills the disk, or makes what does not agree: hours of work
are not begun again in vain, and are not given up for what passes."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib import assembly
from brlib.assembly import process, sentences
from brlib.assembly.base import AssemblyFailed, FFmpegFailed, Plan
from brlib.assembly.job import Job
from brlib.assembly.plans import Plans
from brlib.assembly.process import FFmpeg
from brlib.assembly.ways import is_to_blame
from brlib.encoding import Way
from brlib.models import Recording

from .engine import Engine
from .finishing import Captured, capture_once, copy_of, script
from .media import stream_kinds, ts_clips, video_frames
from .origin import Origin
from .test_assembly_process import MUCH, Task
from .test_assembly_races import ROW
from .test_workers import until

OUT = Path("/mnt/nas")
SOFTWARE, HARDWARE = Way("libx264", ()), Way("h264_nvenc", (), hardware="nvenc")
ENCODES = Plan("reencode", "mp4", OUT, OUT / "a", "number", "ffmpeg", "ffprobe", way=SOFTWARE)
FULL = "No space left on device"


@pytest.mark.parametrize(("way", "error", "verdicts"), [
    (SOFTWARE, sentences.of_exit(1, ["no such filter"], OUT), [True]),
    (SOFTWARE, sentences.of_exit(-signal.SIGSEGV, [], OUT), [True]),
    (SOFTWARE, FFmpegFailed("does not agree"), [True]),
    # What passes gets another try, and one alone.
    (SOFTWARE, sentences.hangs(60, OUT), [False, True]),
    (SOFTWARE, sentences.of_exit(-signal.SIGKILL, [], OUT), [False, True]),
    (SOFTWARE, sentences.of_exit(-signal.SIGTERM, [], OUT), [False, True]),
    (SOFTWARE, sentences.of_exit(255, [], OUT), [False, True]),
    (SOFTWARE, sentences.of_exit(1, ["Cannot allocate memory"], OUT), [False, True]),
    # There is another encoder to try.
    (HARDWARE, sentences.hangs(60, OUT), [True]),
    (SOFTWARE, AssemblyFailed("The capture cannot be read"), [False, False]),
    (SOFTWARE, sentences.of_exit(1, [FULL], OUT, made_bytes=1000), [False, False]),
    (SOFTWARE, sentences.of_exit(1, [FULL], OUT, made_bytes=1001), [True]),
    (SOFTWARE, sentences.of_exit(1, ["Read-only file system"], OUT, made_bytes=1001), [False]),
    (SOFTWARE, sentences.disagrees("short", [FULL], OUT, 0, made_bytes=1001), [True]),
])
def test_what_a_way_is_to_blame_for(
    way: Way, error: AssemblyFailed, verdicts: list[bool]
) -> None:
    doubted = set[str]()
    assert [is_to_blame(way, error, 1000, doubted) for _ in verdicts] == verdicts


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FFmpeg]]:
    monkeypatch.setattr(process, "SILENT_MAX_S", 0.3)
    monkeypatch.setattr(process, "LOOK_EVERY_S", 0.05)
    made: list[FFmpeg] = []

    def start(body: str, plan: Plan = ENCODES) -> FFmpeg:
        made.append(FFmpeg("x", ["sh", "-c", body], plan, Task(), True))
        return made[-1]

    yield start
    for one in made:
        one.abandon()


# Works, and neither reads nor writes nor says anything: as libaom does between two pictures.
WORKS = "i=0; while [ $i -lt %s ]; do i=$((i+1)); done; "


@pytest.mark.parametrize("at", ["write", "end"])
def test_an_encoder_that_works_is_not_hung(at: str, started: Callable[..., FFmpeg]) -> None:
    slow = WORKS % 700_000
    one = started(f"{slow} cat > /dev/null" if at == "write" else f"cat > /dev/null; {slow}")
    one.write(MUCH)
    one.end(0.3)


@pytest.mark.parametrize(("body", "plan"), [
    ("exec sleep 1000", ENCODES), (WORKS % "1000000000", replace(ENCODES, way=None)),
    (WORKS % "1000000000", ENCODES),
], ids=["waits", "copies", "for ever"])
def test_one_that_hangs_is_ended(
    body: str, plan: Plan, started: Callable[..., FFmpeg], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ENCODING_MAX_S", 0.6)
    with pytest.raises(FFmpegFailed, match="FFmpeg hung"):
        started(body, plan).write(MUCH)


def test_a_disk_that_an_encoder_filled_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it made is gone and its room free again: as much is no reason to begin anew."""
    nobody: Any = None
    job = Job(replace(ROW, output_directory=str(tmp_path)), nobody, nobody, closed=True,
              live=False)
    error = sentences.of_exit(1, [FULL], tmp_path, made_bytes=1000)
    job.trouble = str(error)
    usage, looks = shutil.disk_usage(tmp_path), list[int]()

    def free(path: object) -> Any:
        looks.append(1)
        return usage._replace(free=1000 if len(looks) < 20 else 1100)

    monkeypatch.setattr("brlib.assembly.job.shutil.disk_usage", free)
    monkeypatch.setattr(assembly.job, "DISK_LOOK_S", 0.001)
    monkeypatch.setattr(assembly.job, "DISK_WAIT_MAX_S", 0.0)
    job._wait_for_disk(error)
    assert len(looks) == 20


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    return capture_once(tmp_path_factory.mktemp("captured"))


@pytest.fixture
def again(
    captured: Captured, engine: Callable[..., Engine], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Engine]:
    """An engine with a copy of the capture, that has begun to make its file."""
    monkeypatch.setattr(assembly.assembly, "RETRY_S", (0.05,))
    monkeypatch.setattr(assembly.job, "DISK_LOOK_S", 0.05)

    def make(body: str = "", **options: Any) -> Engine:
        copy_of(captured, tmp_path)
        program = script(tmp_path / "bin", f'{body}\nexec /usr/bin/ffmpeg "$@"\n')
        one = engine(ffmpeg_path=str(program), **{"processing_mode": "reencode", **options})
        one.service.archive.reprocess(captured.recording_id)
        return one

    return make


def frames(captured: Captured) -> int:
    return sum(offered.frames for offered in captured.offered)


def encodes(tries: Path, what: str) -> str:
    """A script that does something in the place of encoding, and counts."""
    return f'''case "$*" in
*lavfi*) ;;
*libx264*) echo x >> {tries}; for last; do :; done; {what};;
esac'''


# All of the sound, and two seconds of the picture.
STOPS = '''n=$#; while [ $n -gt 1 ]; do set -- "$@" "$1"; shift; n=$((n-1)); done; shift
exec /usr/bin/ffmpeg "$@" -frames:v 60 "$last"'''


@pytest.mark.parametrize(("what", "count", "copied"), [
    (STOPS, 1, True),
    ("[ -e {0}2 ] || {{ touch {0}2; kill -TERM $$; }}", 2, False),
    ("kill -9 $$", 2, True),
    # Larger than its capture.
    ("head -c 9000000 /dev/zero > $last; echo No space left on device; exit 1", 1, True),
], ids=["stops", "ended once", "killed always", "too large"])
def test_what_becomes_of_an_encoder_in_trouble(
    what: str, count: int, copied: bool, again: Callable[..., Engine], captured: Captured,
    tmp_path: Path,
) -> None:
    tries = tmp_path / "tries"
    done = again(encodes(tries, what if what is STOPS else what.format(tries))).wait_complete()
    assert ("is a copy" in (done.error or "")) is copied
    assert tries.read_text().count("x") == count
    assert video_frames(Path(done.files[0])) == frames(captured)


@pytest.mark.parametrize("what", ['exec /usr/bin/ffmpeg -t 3 "$@"', STOPS])
def test_a_file_that_is_encoded_again_tells_how_far_it_is(
    what: str, again: Callable[..., Engine], captured: Captured, tmp_path: Path
) -> None:
    """And an encoder that makes less than there is does so once."""
    one = again(processing_mode="copy")
    plain = one.wait_complete()
    one.close()
    tries = tmp_path / "tries"
    settings = one.service.settings
    (tmp_path / "bin" / "ffmpeg").write_text("#!/bin/sh\n" + encodes(
        tries, what) + '\nexec /usr/bin/ffmpeg "$@"\n')
    two = Engine(tmp_path, ffmpeg_path=settings.ffmpeg_path, processing_mode="reencode")
    try:
        assert not two.capture_directory(plain.id).exists()
        two.service.archive.reprocess(plain.id)
        done = two.wait_complete()
    finally:
        two.close()
    assert "is a copy" in (done.error or "") and "does not agree" in (done.error or "")
    assert tries.read_text() == "x\n"
    assert video_frames(Path(done.files[0])) == frames(captured)
    told = [event.data["percent"] for event in two.events
            if event.type == "processing_progress"]
    assert told and told[-1] == 100.0


def test_a_store_that_is_out_of_order_when_the_file_is_there(
    again: Callable[..., Engine], captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays in `processing` for ever, if nobody asks again."""
    monkeypatch.setattr(assembly.job, "STORE_RETRY_S", 0.05)
    really, left = Plans.processing_of, [2]

    def processing_of(plans: Any, recording: Recording) -> Any:
        if recording.files and threading.current_thread().name.startswith("feed-"):
            left[0] -= 1
            if left[0] >= 0:
                raise sqlite3.OperationalError("disk I/O error")
        return really(plans, recording)

    monkeypatch.setattr(Plans, "processing_of", processing_of)
    assert again(processing_mode="copy").wait_complete().files
    assert left[0] < 0


def test_one_that_is_to_be_encoded_meanwhile_waits_for_its_end(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its file grew with it, until FFmpeg was gone: the next is encoded, afterwards, in turn."""
    monkeypatch.setattr(assembly.assembly, "RETRY_S", (0.05,))
    program = script(tmp_path / "bin", f'''[ -e {tmp_path}/gone ] || {{
  touch {tmp_path}/begun
  while [ ! -e {tmp_path}/gone ]; do sleep 0.05; done; touch {tmp_path}/dies; kill -9 $$; }}
exec /usr/bin/ffmpeg "$@"
''')
    one = engine(ffmpeg_path=str(program))
    with Origin(window=0) as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        one.add(origin.url)
        recording_id = one.wait_segments(6).data["id"]
        (job,) = one.service.assembly._jobs.values()
        assert job.live
        configuration = one.service.configuration
        changed = replace(configuration.settings, processing_mode="reencode", container="mkv")
        assert until((tmp_path / "begun").exists)
        monkeypatch.setattr(configuration, "_present", changed)
        (tmp_path / "gone").touch()
        assert until((tmp_path / "dies").exists)
        for clip in ts_clips(24)[6:9]:
            origin.add(clip)
        one.wait_segments(9)
        assert until(lambda: not job.live)
        assert one.recording(recording_id).active
        assert not list((tmp_path / "recordings").rglob("*.part"))
        origin.end()
        done = one.wait_complete()
    assert Path(done.files[0]).suffix == ".mkv" and done.error is None
    assert stream_kinds(Path(done.files[0])) == ["h264 160x90", "aac"]


def test_settings_that_change_while_a_live_try_begins(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would encode live, beside the captures."""
    one = engine()
    configuration = one.service.configuration
    changed = replace(configuration.settings, processing_mode="reencode")
    really, modes = Plans.plan, []

    def plan(plans: Plans, recording: Recording, *wanted: Any, live: bool) -> Plan:
        monkeypatch.setattr(configuration, "_present", changed)
        made = really(plans, recording, *wanted, live=live)
        if live:
            modes.append(made.mode)
        return made

    monkeypatch.setattr(Plans, "plan", plan)
    with Origin(window=0) as origin:
        for clip in ts_clips(24)[:6]:
            origin.add(clip)
        one.add(origin.url)
        one.wait_segments(6)
        assert until(lambda: bool(modes))
        origin.end()
        assert one.wait_complete().error is None
    assert modes == ["copy"]
