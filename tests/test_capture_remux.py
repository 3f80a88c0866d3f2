"""Streams that are no plain HLS, through FFmpeg into the same layout: separate audio, DASH, and
plain HTTP, with drops, a killed FFmpeg, and nothing left behind."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from streamlink.session.session import Streamlink
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream, MuxedHLSStream
from streamlink.stream.http import HTTPStream

from brlib.capture import Capture
from brlib.errors import PlatformError
from brlib.models import Channel, GapCause, Recording, SessionEnd, utc_now
from brlib.platforms import Sessions, UrlPlatform

from .conftest import children
from .engine import FAST, Engine
from .media import Clip, stream_kinds, ts_clips, video_frames
from .origin import Origin
from .remux_origin import DASH, FPS, SEPARATE_AUDIO, Site, Tap, encoder
from .scenario import publish

LENGTH_S = 14
SECRET = "s3cret"


def audio_packets(path: Path) -> int:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "a:0", "-show_entries",
         "stream=nb_read_packets", "-of", "csv=p=0", str(path)],
        capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout.split()[0].strip(","))


def until(fact: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        threading.Event().wait(0.02)


# Whole recordings, side by side in one engine.


@dataclass(frozen=True)
class Broadcasts:
    recordings: dict[str, Recording]
    gaps: dict[str, list[GapCause]]
    tap: Tap
    commands: list[str]
    asked: list[str]


def remuxes() -> dict[int, str]:
    """The FFmpegs that feed a capture, with their command lines."""
    found = {}
    for pid in children():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "-thread_queue_size" in command:
            found[pid] = command
    return found


@pytest.fixture(scope="module")
def broadcasts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broadcasts]:
    directory = tmp_path_factory.mktemp("remux")
    hls, mpd = directory / "hls", directory / "dash"
    hls.mkdir()
    mpd.mkdir()
    tap = Tap(ts_clips(40), every_s=0.15)
    engine = Engine(directory, capture_after="keep")
    with ExitStack() as stack:
        stack.callback(engine.close)
        sites = {"hls": stack.enter_context(Site(hls)), "dash": stack.enter_context(Site(mpd)),
                 "tap": stack.enter_context(Site(directory, tap))}
        stack.enter_context(encoder(hls, LENGTH_S, 2, SEPARATE_AUDIO, "1.m3u8"))
        stack.enter_context(encoder(mpd, LENGTH_S, 2, DASH, "live.mpd"))
        paths = {"hls": "master.m3u8", "dash": "live.mpd", "tap": "tap"}
        names = {engine.add(sites[name].url(f"{path}?token={SECRET}")).id: name
                 for name, path in paths.items()}
        commands = play(engine, names, tap)
        recordings, ids = {}, set(names)
        while ids:
            recording = engine.wait_complete(30)
            recordings[names[recording.channel_id]] = recording
            ids.remove(recording.channel_id)
        gaps = {name: [gap.cause for gap in engine.service.archive.gaps(one.id)]
                for name, one in recordings.items()}
        asked = [path for site in sites.values() for path, _ in site.asked]
        yield Broadcasts(recordings, gaps, tap, commands, asked)


def play(engine: Engine, names: dict[str, str], tap: Tap) -> list[str]:
    """A killed FFmpeg for those with segments, a broken line for the one without."""
    commands: list[str] = []

    def held() -> list[int]:
        return [one.sums.segments for one in engine.service.recorder.find_active()]

    until(lambda: len(held()) == 3 and min(held()) > 0, "all three are recorded")
    for pid, command in remuxes().items():
        commands.append(command)
        if "-copyts" in command:
            subprocess.run(["kill", "-9", str(pid)], check=True)
    tap.away.set()
    until(lambda: all(one.sums.gaps or names[one.channel.id] != "tap" or one.activity == (
        "reconnecting") for one in engine.service.recorder.find_active()), "it was noticed")
    tap.away.clear()
    until(lambda: tap.now() > len(tap.clips), "the tap is empty")
    wanted = sum(clip.duration_s for clip in tap.heard())
    tap.over.set()
    active = next(one for one in engine.service.recorder.find_active()
                  if names[one.channel.id] == "tap")
    until(lambda: active.sums.captured_s > wanted - 0.1, f"{wanted} s of {active.sums}")
    engine.service.archive.stop(active.recording.id)
    return commands


@pytest.mark.parametrize("name", ["hls", "dash"])
def test_nothing_is_lost_that_is_still_offered(name: str, broadcasts: Broadcasts) -> None:
    """Although FFmpeg was killed in the middle."""
    recording = broadcasts.recordings[name]
    path = Path(recording.files[0])
    assert (len(recording.files), recording.sums.gaps, recording.sums.parts) == (1, 0, 1)
    assert stream_kinds(path) == ["h264 160x90", "aac"]
    assert video_frames(path) == LENGTH_S * FPS
    assert abs(audio_packets(path) - LENGTH_S * 48000 / 1024) <= 3
    assert recording.sums.captured_s == pytest.approx(LENGTH_S, abs=0.1)


def test_a_line_that_breaks_leaves_a_gap_of_honest_length(broadcasts: Broadcasts) -> None:
    recording, sent = broadcasts.recordings["tap"], broadcasts.tap.heard()
    path = Path(recording.files[0])
    assert video_frames(path) == sum(clip.frames for clip in sent)
    assert stream_kinds(path) == ["h264 160x90", "aac"]
    assert recording.sums.captured_s == pytest.approx(
        sum(clip.duration_s for clip in sent), abs=0.1)
    assert broadcasts.gaps["tap"] == [GapCause.NETWORK]
    assert recording.sums.gap_s > 0 and recording.sums.parts == 1


def test_addresses_stand_in_no_command_line(broadcasts: Broadcasts) -> None:
    assert len(broadcasts.commands) == 3
    assert not any(SECRET in one or "http" in one for one in broadcasts.commands)
    assert any(SECRET in path for path in broadcasts.asked)


# One session.


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    with ExitStack() as stack:
        def make(clips: list[Clip], **options: Any) -> Site:
            tap = Tap(clips, options.pop("every_s", 0.01), **options)
            return stack.enter_context(Site(tmp_path, tap))
        yield make


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


def read_to_end(capture: Capture, stream: Any) -> SessionEnd:
    reading = capture.open(stream)
    try:
        until(lambda: reading.end is not None, "the session ends")
        assert reading.end is not None
        return reading.end
    finally:
        reading.close()


def frames(directory: Path) -> int:
    return sum(video_frames(part) for part in sorted(directory.glob("0*.*")))


@pytest.mark.parametrize("length, end, cause", [
    (True, SessionEnd.ENDLIST, GapCause.SOURCE), (False, SessionEnd.BROKEN, GapCause.SOURCE)])
def test_an_end_is_the_streams_where_it_was_announced(
    length: bool, end: SessionEnd, cause: GapCause, site: Callable[..., Site],
    session: Streamlink, capture: Capture, tmp_path: Path,
) -> None:
    clips = ts_clips(12)
    assert read_to_end(capture, HTTPStream(
        session, site(clips, length=length).url("tap"))) is end
    assert frames(tmp_path / "capture") == sum(clip.frames for clip in clips)
    assert capture.sums.captured_s == pytest.approx(6.0, abs=0.1)
    assert capture.sums.segments == 3 and capture.gaps == []


@pytest.mark.parametrize("body", [b"<html><body>Log in</body></html>" * 300, b"x" * 9000])
def test_what_is_no_media_is_not_taken(
    body: bytes, site: Callable[..., Site], session: Streamlink, capture: Capture
) -> None:
    page = site([Clip(body, 1.0, 0)], length=True)
    assert read_to_end(capture, HTTPStream(session, page.url("tap"))) is SessionEnd.BROKEN
    assert read_to_end(capture, HTTPStream(session, page.url("nothing"))) is SessionEnd.BROKEN
    assert capture.sums.segments == 0


def test_closed_at_once(site: Callable[..., Site], session: Streamlink, capture: Capture) -> None:
    """No thread, no child and no descriptor is left, which `no_leaks` sees."""
    clips = ts_clips(12) + [Clip(b"", 0.0, 0)] * 10_000
    reading = capture.open(HTTPStream(session, site(clips, every_s=0.05, length=True).url("tap")))
    until(lambda: capture.sums.segments > 0, "a segment")
    reading.close()
    held = capture.sums
    until(lambda: not remuxes(), "FFmpeg is gone")
    assert capture.sums == held and reading.busy is False
    reading.write_off()
    assert capture.sums.gap_s > 0


def test_a_slow_disk_holds_up_the_source(
    site: Callable[..., Site], session: Streamlink, capture: Capture,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    clips = ts_clips(40, size="320x180")
    free, asked = threading.Event(), threading.Event()
    append = capture._ledger.append_segment

    def slow(body: bytes, facts: Any) -> Any:
        asked.set()
        assert free.wait(20)
        return append(body, facts)

    monkeypatch.setattr(capture._ledger, "append_segment", slow)
    reading = capture.open(HTTPStream(session, site(clips, length=True).url("tap")))
    inlet = reading._inlets.all[0]  # type: ignore[union-attr]
    seen: deque[bool] = deque(maxlen=10)

    def waits() -> bool:
        seen.append(asked.is_set() and inlet.blocked)
        return len(seen) == 10 and all(seen)

    until(waits, "the feeding waits")
    assert reading.busy and reading.end is None
    free.set()
    until(lambda: reading.end is SessionEnd.ENDLIST, "the end")
    reading.close()
    assert frames(tmp_path / "capture") == sum(clip.frames for clip in clips)


def test_a_full_disk_ends_the_session(
    site: Callable[..., Site], session: Streamlink, capture: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(capture._ledger, "append_segment", full)
    stream = HTTPStream(session, site(ts_clips(12)).url("tap"))
    assert read_to_end(capture, stream) is SessionEnd.DISK


def test_without_ffmpeg_the_session_breaks_and_says_so(
    site: Callable[..., Site], session: Streamlink, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    capture = Capture.create("c", tmp_path / "capture", on_news=lambda: None, timeouts=FAST,
                             ffmpeg=lambda: "/nowhere/ffmpeg")
    stream = HTTPStream(session, site(ts_clips(12)).url("tap"))
    assert read_to_end(capture, stream) is SessionEnd.BROKEN
    assert "/nowhere/ffmpeg" in caplog.text
    capture.suspend()


def test_what_does_not_fit_a_transport_stream(
    site: Callable[..., Site], session: Streamlink, capture: Capture, tmp_path: Path
) -> None:
    path = tmp_path / "made.webm"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=160x90:rate={FPS}", "-f",
         "lavfi", "-i", "sine=sample_rate=48000", "-t", "5", "-c:v", "libvpx-vp9", "-deadline",
         "realtime", "-cpu-used", "8", "-g", str(FPS), "-c:a", "libopus", str(path)],
        check=True, timeout=60)
    data = path.read_bytes()
    pieces = [Clip(data[at:at + 9000], 0.0, 0) for at in range(0, len(data), 9000)]
    stream = HTTPStream(session, site(pieces, length=True).url("tap"))
    assert read_to_end(capture, stream) is SessionEnd.ENDLIST
    part = tmp_path / "capture" / "0001.mp4"
    assert stream_kinds(part) == ["vp9 160x90", "opus"]
    assert video_frames(part) == 5 * FPS
    assert audio_packets(part) == audio_packets(path)
    assert capture.sums.captured_s == pytest.approx(5.0, abs=0.1)
    assert capture.sums.segments == 3


def test_where_renditions_begin_anew_another_ffmpeg_goes_on(
    session: Streamlink, capture: Capture, tmp_path: Path
) -> None:
    """The timestamps begin again behind the discontinuity."""
    with Origin(window=0) as one, Origin(window=0) as two:
        for seed in "ab":
            for origin, audio in ((one, False), (two, True)):
                publish(origin, ts_clips(6, audio=audio, seed=seed), every_s=0.0,
                        discontinuity=seed == "b")
        for origin in (one, two):
            origin.end()
        stream = MuxedStream(session, HLSStream(session, one.url), HLSStream(session, two.url))
        assert read_to_end(capture, stream) is SessionEnd.ENDLIST
    assert capture.sums.captured_s == pytest.approx(6.0, abs=0.1)
    assert capture.gaps == [] and capture.sums.parts == 1
    assert frames(tmp_path / "capture") == 12 * 10


# The address that a person gives.


def test_what_stands_at_an_address(site: Callable[..., Site], tmp_path: Path) -> None:
    origin = site(ts_clips(40), every_s=0.1)
    platform = UrlPlatform(Sessions())

    def channel(path: str) -> Channel:
        url = origin.url(path)
        return Channel(f"ch_{path}", "url", url, "x", url, "source", True, utc_now())

    try:
        with encoder(tmp_path, 2, 4, SEPARATE_AUDIO, "1.m3u8"):
            until((tmp_path / "master.m3u8").exists, "a master playlist")
            muxed = platform.open(channel("master.m3u8"))
        with encoder(tmp_path, 30, 4, DASH, "live.mpd"):
            live = platform.check(channel("live.mpd"))
            adaptive = platform.open(channel("live.mpd"))
        tapped = platform.check(channel("tap")), platform.open(channel("tap"))
        (tmp_path / "ended.mpd").write_text(
            (tmp_path / "live.mpd").read_text().replace('"dynamic"', '"static"'))
        (tmp_path / "file.ts").write_bytes(ts_clips(1)[0].body)
        assert muxed is not None and isinstance(muxed.stream, MuxedHLSStream)
        assert live is not None and adaptive is not None
        assert isinstance(adaptive.stream, DASHStream) and adaptive.quality == "90p"
        assert tapped[0] is not None and tapped[1] is not None
        assert type(tapped[1].stream) is HTTPStream and tapped[1].quality == "source"
        assert platform.check(channel("ended.mpd")) is None
        assert platform.open(channel("ended.mpd")) is None
        with pytest.raises(PlatformError, match="it is a file of"):
            platform.check(channel("file.ts"))
    finally:
        platform.close()
