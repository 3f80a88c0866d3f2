"""How long after the end of a broadcast its file is there. Run by hand (`-m long -s`): it
prints figures and asserts only that all is in the file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from brlib.capture import Timeouts

from .compare import assert_same
from .engine import Engine
from .media import Clip, ts_clips
from .origin import Origin

pytestmark = pytest.mark.long


@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("length", ["one minute", "two hours"])
def test_seconds_from_the_end_to_the_file(
    length: str, rounds: int, tmp_path: Path
) -> None:
    clips = ts_clips(30, segment_s=2.0, size="640x360")
    engine = Engine(tmp_path, Timeouts())
    try:
        with Origin(window=10 if length == "one minute" else 0, target_s=2) as origin:
            if length == "one minute":
                ended_s = record_live(origin, engine, clips)
            else:
                for position in range(3600):
                    origin.add(clips[position % len(clips)])
                engine.add(origin.url)
                engine.wait_segments(3600, 120)
                origin.end()
                ended_s = time.monotonic()
            recording = engine.wait_complete(60)
            took_s = time.monotonic() - ended_s
        assert recording.sums.segments == len(origin.offered)
    finally:
        engine.close()
    print(f"\n{length}: {recording.sums.captured_bytes / 1e6:.0f} MB, finished {took_s:.2f} s "
          "after the origin offered its EXT-X-ENDLIST")


def record_live(origin: Origin, engine: Engine, clips: list[Clip]) -> float:
    """One minute in real time, the end right behind the last segment."""
    origin.add(clips[0])
    engine.add(origin.url)
    playback = origin.play(clips[1:], every_s=2.0)
    playback.wait(90)
    assert playback.ended_at is not None
    return playback.ended_at


@pytest.mark.parametrize("count", [20])
def test_twenty_at_once(count: int, tmp_path: Path) -> None:
    """One engine, every recording complete; prints what this process (origins included) used."""
    clips = ts_clips(60, segment_s=1.0, size="640x360")
    engine = Engine(tmp_path, Timeouts(), capture_after="keep", max_concurrent_recordings=count)
    origins = [Origin().start() for _ in range(count)]
    cpu_s, begun_s = time.process_time(), time.monotonic()
    try:
        for origin in origins:
            origin.add(clips[0])
            engine.add(origin.url)
        plays = [origin.play(clips[1:], every_s=1.0) for origin in origins]
        recordings = [engine.wait_complete(120) for _ in origins]
        for play in plays:
            play.wait(5)
        by_channel = {r.channel_id: r for r in recordings}
        channels = engine.service.store.channels.find_all()
        for channel, origin in zip(channels, origins, strict=True):
            recording = by_channel[channel.id]
            assert_same(engine.capture_directory(recording.id), origin.offered)
    finally:
        engine.close()
        for origin in origins:
            origin.stop()
    print(f"\n{count} recordings of 60 s: {time.process_time() - cpu_s:.1f} CPU-s of this "
          f"process in {time.monotonic() - begun_s:.0f} s")
