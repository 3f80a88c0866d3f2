"""Recordings that are longer or larger than a file may be: several files, and not a frame less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from brlib.assembly.base import Plan
from brlib.config import Settings
from brlib.config.settings import value_of
from brlib.fmp4 import begins_with_sync
from brlib.models import Recording, Sums
from brlib.shape import begins_alone, shape_of

from .compare import assert_all_frames
from .engine import Engine
from .media import Clip, fmp4_clips, ts_clips, video_frames
from .origin import Origin

PLAN = Plan("copy", "mp4", Path("/o"), Path("/o/a"), "number", "ffmpeg", "ffprobe")


@pytest.mark.parametrize("duration_s, size_bytes, held, expected", [
    (None, None, Sums(1000, 10 ** 12, 1e6), False),
    (60, None, Sums(10, 1000, 58), False),
    (60, None, Sums(10, 1000, 58.1), True),
    (None, 1100, Sums(10, 1000, 1e6), False),
    (None, 1099, Sums(10, 1000, 0), True),
    (60, 1100, Sums(10, 1000, 59), True),
    (1, 1, Sums(), False),
])
def test_when_a_file_is_full(
    duration_s: float | None, size_bytes: int | None, held: Sums, expected: bool
) -> None:
    plan = replace(PLAN, max_duration_s=duration_s, max_size_bytes=size_bytes)
    assert plan.full(held, 2.0, 100) is expected


@pytest.mark.parametrize("name, text, expected", [
    ("max_duration", "0", None), ("max_duration", "none", None), ("max_duration", "2h", 7200.0),
    ("max_duration", "60", 60.0), ("max_file_size", "0", None), ("max_file_size", "4G", 2 ** 32),
    ("max_file_size", "16M", 2 ** 24),
])
def test_limits_are_read(name: str, text: str, expected: float | None) -> None:
    assert value_of(name, text) == expected


@pytest.mark.parametrize("name, text", [
    ("max_duration", "59s"), ("max_duration", "-1"), ("max_duration", "40d"),
    ("max_file_size", "15M"), ("max_file_size", "-1"), ("max_file_size", "x"),
])
def test_silly_limits_are_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        value_of(name, text)


def test_without_limits_nothing_is_split() -> None:
    assert (Settings().max_duration, Settings().max_file_size) == (None, None)


def test_which_segments_a_file_may_begin_with() -> None:
    body = ts_clips(24)[1].body
    shape = shape_of(body, None)
    assert shape is not None and begins_alone(shape, body, b"")
    # Behind its tables and its first picture.
    later = body[:376] + body[len(body) // 376 * 188:]
    assert not begins_alone(shape, later, b"")
    init, clips = fmp4_clips(4)
    shape = shape_of(clips[1].body, init)
    assert shape is not None and begins_alone(shape, clips[1].body, init)
    assert begins_with_sync(b"") and begins_with_sync(clips[1].body)
    assert all(begins_with_sync(clips[1].body[:n]) in (True, False) for n in range(0, 500, 3))


def record(one: Engine, clips: list[Clip], init: bytes | None = None) -> tuple[Origin, Recording]:
    with Origin(window=0) as origin:
        for clip in clips:
            origin.add(clip, init=init)
        one.add(origin.url)
        one.wait_segments(len(clips))
        origin.end()
        return origin, one.wait_complete()


@pytest.mark.parametrize("options", [
    {"max_duration": 5.0}, {"max_duration": 5.0, "container": "mkv"},
    {"max_duration": 5.0, "processing_mode": "concatenate"},
    {"max_duration": 5.0, "processing_timing": "after", "container": "ts"},
])
def test_a_long_recording_becomes_several_files(
    options: dict[str, object], engine: Callable[..., Engine]
) -> None:
    one = engine(filename_template="{channel}", **options)
    origin, recording = record(one, ts_clips(24))
    assert_all_frames(recording, origin.offered)
    assert [video_frames(Path(name)) for name in recording.files] == [100, 100, 40]
    assert [Path(name).stem.rpartition(" (")[2] for name in recording.files] == [
        "part 1)", "part 2)", "part 3)"]


def test_a_large_recording_becomes_several_files(engine: Callable[..., Engine]) -> None:
    init, clips = fmp4_clips(12)
    limit = len(init) + sum(len(clip.body) for clip in clips[:6])
    one = engine(max_file_size=limit)
    origin, recording = record(one, clips, init)
    assert len(recording.files) >= 2
    assert_all_frames(recording, origin.offered)


def test_rounded_lengths_are_counted_in_each_file(engine: Callable[..., Engine]) -> None:
    one = engine(max_duration=5.0)
    origin, recording = record(one, [replace(c, duration_s=1.0) for c in ts_clips(24)])
    assert len(recording.files) == 5
    assert_all_frames(recording, origin.offered)


def test_what_begins_without_a_keyframe_stays_where_it_is(engine: Callable[..., Engine]) -> None:
    """Packagers that cut by the clock: two segments for one that begins with a keyframe."""
    halves = []
    for clip in ts_clips(24)[:12]:
        tables, cut = clip.body[:376], len(clip.body) // 376 * 188
        halves += [replace(clip, body=clip.body[:cut], duration_s=0.25, frames=clip.frames),
                   replace(clip, body=tables + clip.body[cut:], duration_s=0.25, frames=0)]
    one = engine(max_duration=1.25)
    origin, recording = record(one, halves)
    assert [video_frames(Path(name)) for name in recording.files] == [30, 30, 30, 30]
    assert_all_frames(recording, origin.offered)
