"""A live stream is recorded, end to end, in one process: the first thing that must work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .engine import Engine
from .media import ts_clips, video_frames
from .origin import Origin


def test_from_live_to_finished_file(engine: Callable[..., Engine]) -> None:
    clips = ts_clips(16)
    with Origin() as origin:
        origin.add(clips[0])
        one = engine()
        one.add(origin.url)
        playback = origin.play(clips[1:], every_s=0.3)
        recording = one.wait_complete()
        playback.wait(5)
    assert recording.sums.segments == 16
    assert recording.sums.completeness == 1.0
    assert video_frames(Path(recording.files[0])) == sum(clip.frames for clip in clips)
    assert not one.capture_directory(recording.id).exists()
