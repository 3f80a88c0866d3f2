"""What feeds FFmpeg beside plain HLS, piece by piece: packed audio, a killed FFmpeg behind plain
HTTP, and sources that rest. Real FFmpeg, one session at a time."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlink.session.session import Streamlink
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream
from streamlink.stream.http import HTTPStream

from brlib.capture import Capture, Timeouts, inlet
from brlib.models import GapCause, SessionEnd
from brlib.platforms import Sessions

from .conftest import children
from .engine import FAST
from .faults import ALWAYS, Missing
from .media import Clip, stream_kinds, ts_clips, video_frames
from .origin import Origin
from .packed_audio import packed_clips
from .remux_origin import Site, Tap
from .scenario import publish

# What the transport stream muxer puts before everything.
START_S = 1.4


def until(fact: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        threading.Event().wait(0.02)


@pytest.fixture
def session() -> Iterator[Streamlink]:
    one = Sessions().new()
    yield one
    one.http.close()


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    one = Capture.create("c", tmp_path / "capture", on_news=lambda: None, timeouts=FAST)
    yield one
    one.suspend()


def packets(path: Path, kind: str) -> list[dict[str, Any]]:
    """The packets of a stream in the order of the file: `pts_time`, `data_hash`."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", f"{kind}:0", "-show_packets",
         "-show_data_hash", "md5", "-of", "json", str(path)],
        capture_output=True, text=True, timeout=60, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["packets"]
    return found


def part(capture_directory: Path) -> Path:
    (only,) = sorted(capture_directory.glob("0*.*"))
    return only


def hashes(path: Path) -> list[str]:
    """Of each picture, in order."""
    return [str(one["data_hash"]) for one in packets(path, "v")]


# Packed audio.


def test_packed_audio_keeps_its_time(
    session: Streamlink, capture: Capture, tmp_path: Path
) -> None:
    sounds = packed_clips(6.0, 0.5, START_S)
    with Origin(window=0) as picture, Origin(window=0) as sound:
        publish(picture, ts_clips(12, audio=False), every_s=0.0)
        publish(sound, sounds, every_s=0.0)
        picture.end()
        sound.end()
        reading = capture.open(MuxedStream(
            session, HLSStream(session, picture.url), HLSStream(session, sound.url)))
        until(lambda: reading.end is not None, "the end")
        reading.close()
    made = part(tmp_path / "capture")
    heard = packets(made, "a")
    assert reading.end is SessionEnd.ENDLIST
    assert stream_kinds(made) == ["h264 160x90", "aac"] and video_frames(made) == 120
    assert len(heard) == sum(clip.frames for clip in sounds)
    first_s = float(packets(made, "v")[0]["pts_time"]), float(heard[0]["pts_time"])
    assert first_s == pytest.approx((START_S, START_S), abs=0.03)
    assert float(heard[-1]["pts_time"]) == pytest.approx(
        START_S + (len(heard) - 1) * 1024 / 48000, abs=0.03)
    assert capture.gaps == [] and capture.sums.captured_s == pytest.approx(6.0, abs=0.1)


def test_packed_audio_behind_a_loss_is_told_its_time_anew(
    session: Streamlink, tmp_path: Path
) -> None:
    """Its frames have no times of their own, the tags have."""
    sounds = packed_clips(8.0, 0.5, START_S)
    capture = Capture.create(
        "c", tmp_path / "capture", on_news=lambda: None,
        timeouts=Timeouts(give_up_s=0.2, give_up_tries=1, retry_s=0.05))
    with Origin(window=0) as picture, Origin(window=0) as sound:
        sound.faults.append(Missing(lambda num: num == 8, tries=ALWAYS))
        clips = list(zip(ts_clips(16, audio=False), sounds, strict=True))
        both(picture, sound, clips[:4], every_s=0.0)
        reading = capture.open(MuxedStream(
            session, HLSStream(session, picture.url), HLSStream(session, sound.url)))
        both(picture, sound, clips[4:], every_s=0.25)
        picture.end()
        sound.end()
        until(lambda: reading.end is not None, "the end")
        reading.close()
    capture.suspend()
    made = part(tmp_path / "capture")
    pictures, heard = packets(made, "v"), packets(made, "a")
    assert reading.end is SessionEnd.ENDLIST
    assert len(pictures) == 160
    assert len(heard) == sum(clip.frames for clip in sounds) - sounds[8].frames
    times_s = [float(one["pts_time"]) for one in heard]
    (jump_s,) = [b - a for a, b in zip(times_s, times_s[1:]) if b - a > 0.03]
    assert jump_s == pytest.approx(sounds[8].duration_s + 1024 / 48000, abs=0.03)
    assert times_s[-1] == pytest.approx(float(pictures[-1]["pts_time"]), abs=0.1)


def both(one: Origin, two: Origin, clips: list[tuple[Clip, Clip]], every_s: float) -> None:
    for first, second in clips:
        publish(one, [first], every_s=0.0)
        publish(two, [second], every_s=every_s)


# FFmpeg is killed.


def remux_pid() -> int | None:
    for pid in children():
        try:
            if b"-thread_queue_size" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except (FileNotFoundError, ProcessLookupError):
            continue
    return None


def test_ffmpeg_killed_behind_plain_http(
    session: Streamlink, capture: Capture, tmp_path: Path
) -> None:
    """What the killed one had is gone and noted; the next goes on, and nothing is twice."""
    tap = Tap(ts_clips(40), every_s=0.1)
    with Site(tmp_path, tap) as site:
        reading = capture.open(HTTPStream(session, site.url("tap")))
        until(lambda: capture.sums.segments >= 1 and remux_pid() is not None, "a segment")
        pid = remux_pid()
        subprocess.run(["kill", "-9", str(pid)], check=True)
        until(lambda: reading.end is not None, "it is noticed")
        reading.close()
        assert (reading.end, reading.cause) == (SessionEnd.BROKEN, GapCause.DAEMON_DOWN)
        held, gone = capture.sums.segments, tap.now()
        until(lambda: tap.now() > gone, "something is missed")
        again = capture.open(HTTPStream(session, site.url("tap")), reading.cause)
        until(lambda: capture.sums.segments > held + 1, "it goes on")
        until(lambda: again.end is not None, "the tap is empty")
        again.close()
    assert {gap.cause for gap in capture.gaps} == {GapCause.DAEMON_DOWN}
    made = hashes(part(tmp_path / "capture"))
    (tmp_path / "sent.ts").write_bytes(b"".join(clip.body for clip in tap.clips))
    sent = hashes(tmp_path / "sent.ts")
    before = next(n for n, (ours, theirs) in enumerate(zip(made, sent)) if ours != theirs)
    behind = len(made) - before
    assert before > 0 and made[before:] == sent[-behind:] and before + behind < len(sent)
    assert capture.sums.captured_s == pytest.approx(len(made) / 20, abs=0.1)


# A source that rests.


def test_what_ffmpeg_keeps_back_is_committed_when_nothing_comes(
    session: Streamlink, capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes after the rest goes on without a seam."""
    monkeypatch.setattr(inlet, "QUIET_S", 0.5)
    monkeypatch.setattr(inlet, "QUIET_SEGMENTS", 0)
    pictures, sounds = ts_clips(11, audio=False), packed_clips(5.5, 0.5, START_S)
    with Origin(window=0) as one, Origin(window=0) as two:
        publish(one, pictures[:5], every_s=0.0)
        publish(two, sounds[:5], every_s=0.0)
        reading = capture.open(MuxedStream(
            session, HLSStream(session, one.url), HLSStream(session, two.url)))
        until(lambda: capture.sums.captured_s > 2.4, "all that came is committed")
        assert remux_pid() is None
        publish(one, pictures[5:], every_s=0.0)
        publish(two, sounds[5:], every_s=0.0)
        one.end()
        two.end()
        until(lambda: reading.end is not None, "the end")
        reading.close()
    assert reading.end is SessionEnd.ENDLIST
    assert capture.gaps == [] and capture.sums.parts == 1
    assert capture.sums.captured_s == pytest.approx(5.5, abs=0.1)
    index = (tmp_path / "capture" / "index.m3u8").read_text()
    assert "DISCONTINUITY" not in index
    (tmp_path / "sent.ts").write_bytes(b"".join(clip.body for clip in pictures))
    assert hashes(part(tmp_path / "capture")) == hashes(tmp_path / "sent.ts")
