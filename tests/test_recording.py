"""What a person can do with a recording, and what may happen to it, in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import Conflict
from brlib.models import Activity, ChannelStatus, EndReason, GapCause, SkipReason

from .compare import assert_all_frames, assert_same, captured
from .engine import FAST, Engine
from .faults import ALWAYS, Missing
from .media import stream_kinds, ts_clips, video_frames
from .origin import Origin
from .scenario import publish, until_fetched
from .test_workers import until


def filled(origin: Origin, count: int) -> Origin:
    """Offer `count` segments at once."""
    for clip in ts_clips(24)[len(origin.offered):len(origin.offered) + count]:
        origin.add(clip)
    return origin


@pytest.mark.parametrize(("options", "suffix"), [
    ({"container": "mkv"}, ".mkv"),
    ({"container": "ts"}, ".ts"),
    ({"processing_timing": "after"}, ".mp4"),
    ({"processing_mode": "concatenate"}, ".ts"),
    ({"processing_mode": "concatenate", "processing_timing": "after"}, ".ts"),
], ids=["mkv", "ts", "after", "concatenate", "concatenate-after"])
def test_ways_to_a_file(
    options: dict[str, Any], suffix: str, engine: Callable[..., Engine]
) -> None:
    one = engine(**options, capture_after="keep")
    with Origin() as origin:
        filled(origin, 8)
        one.add(origin.url)
        one.wait_segments(8)
        origin.end()
        recording = one.wait_complete()
    (path,) = (Path(name) for name in recording.files)
    assert path.suffix == suffix
    assert stream_kinds(path) == ["h264 160x90", "aac"]
    assert video_frames(path) == sum(o.frames for o in origin.offered)
    assert recording.file_size_bytes == path.stat().st_size
    if options.get("processing_mode") == "concatenate":
        assert path.read_bytes() == b"".join(o.body for o in origin.offered)


def test_pause_and_resume_leave_one_recording_with_one_gap(
    engine: Callable[..., Engine]
) -> None:
    one = engine(capture_after="keep")
    with Origin(window=0) as origin:
        filled(origin, 6)
        channel = one.add(origin.url)
        recording_id = one.wait_segments(6).data["id"]
        active = one.service.recorder.get(recording_id)
        active.pause()
        assert active.activity is Activity.PAUSED
        with pytest.raises(Conflict):
            active.pause()
        filled(origin, 7)
        active.resume()
        one.wait_segments(7)
        filled(origin, 4)
        one.wait_segments(11)
        origin.end()
        recording = one.wait_complete()
    assert recording.id == recording_id and recording.channel_id == channel.id
    kept = origin.offered[:6] + origin.offered[12:]
    assert_same(one.capture_directory(recording_id), kept)
    (gap,) = one.service.archive.gaps(recording_id)
    assert (gap.cause, gap.segments, gap.duration_s) == (GapCause.PAUSED, 6, 3.0)
    assert recording.sums.completeness == pytest.approx(11 / 17)


def test_stop_finishes_the_file_and_leaves_this_broadcast_alone(
    engine: Callable[..., Engine]
) -> None:
    one = engine()
    with Origin() as origin:
        filled(origin, 6)
        channel = one.add(origin.url)
        recording_id = one.wait_segments(6).data["id"]
        one.service.archive.stop(recording_id)
        recording = one.wait_complete()
        assert recording.end_reason is EndReason.STOPPED
        assert_all_frames(recording, origin.offered)
        filled(origin, 2)
        one.service.watchlist.check(channel.id)
        state = one.service.supervisor.state(one.service.store.channels.get(channel.id))
        assert state == (ChannelStatus.LIVE, SkipReason.STOPPED)
        with pytest.raises(Conflict):
            one.service.archive.stop(recording_id)


def test_stop_recording_pauses_the_channel_until_told_otherwise(
    engine: Callable[..., Engine]
) -> None:
    one = engine()
    with Origin() as origin:
        filled(origin, 4)
        channel = one.add(origin.url)
        one.wait_segments(4)
        one.service.watchlist.stop_recording(channel.id)
        one.wait_complete()
        state, _ = one.service.supervisor.state(one.service.store.channels.get(channel.id))
        assert state is ChannelStatus.PAUSED
        with pytest.raises(Conflict):
            one.service.watchlist.stop_recording(channel.id)


def test_a_segment_that_never_comes_is_a_gap_of_its_cause(
    engine: Callable[..., Engine]
) -> None:
    one = engine(capture_after="keep", timeouts=replace(FAST, give_up_s=2.0))
    # All of it stays on offer: a busy machine must not lose what the test does not take away.
    with Origin(window=20) as origin:
        origin.faults.append(Missing(lambda num: num in (3, 4, 9), tries=ALWAYS))
        filled(origin, 1)
        one.add(origin.url)
        one.wait_segments(1)
        publish(origin, ts_clips(24)[1:12], every_s=0.1)
        origin.end()
        recording = one.wait_complete(60)
    kept = [o for o in origin.offered if o.num not in (3, 4, 9)]
    assert_same(one.capture_directory(recording.id), kept)
    gaps = one.service.archive.gaps(recording.id)
    assert [(g.cause, g.segments, g.duration_s) for g in gaps] == [
        (GapCause.SOURCE, 2, 1.0), (GapCause.SOURCE, 1, 0.5)]
    assert recording.sums.completeness == pytest.approx(9 / 12)
    assert_all_frames(recording, kept)


def test_as_many_as_allowed_and_the_next_when_a_slot_is_free(
    engine: Callable[..., Engine]
) -> None:
    one = engine(max_concurrent_recordings=1)
    with Origin() as first, Origin() as second:
        filled(first, 3)
        filled(second, 3)
        one.add(first.url, display_name="first")
        one.wait_segments(3)
        waiting = one.add(second.url, display_name="second")
        event = one.wait("channel_status", channel="second", status="live")
        assert event.data["status_reason"] == "concurrency"
        first.end()
        one.wait("recording_started", channel_id=waiting.id)
        second.end()
        one.wait_complete()


def test_the_equivalent_of_two_hours_offered_at_once(engine: Callable[..., Engine]) -> None:
    """7,200 s of media in one window: all recorded, the file done soon after the end."""
    count = 1800
    clips = ts_clips(12, segment_s=4.0, fps=5, audio=False)
    one = engine(capture_after="keep")
    with Origin(window=0, target_s=4) as origin:
        for position in range(count):
            origin.add(clips[position % len(clips)])
        one.add(origin.url)
        one.wait_segments(count, timeout_s=90)
        origin.end()
        recording = one.wait_complete(60)
    assert [body for _, body in captured(one.capture_directory(recording.id))] == [
        o.body for o in origin.offered]
    assert recording.sums.captured_s == pytest.approx(7200)
    assert recording.sums.segments == count


def test_quality_of_a_master_playlist(engine: Callable[..., Engine]) -> None:
    one = engine()
    with Origin() as origin:
        filled(origin, 3)
        one.add(origin.master_url, quality="480p")
        until_fetched(origin, "/360p/" + origin.offered[-1].name)
        one.wait_segments(3)
        origin.end()
        recording = one.wait_complete()
    assert recording.quality == "360p"


def test_a_playlist_that_stands_still_is_not_recorded_again(
    engine: Callable[..., Engine]
) -> None:
    """A dead encoder leaves its last playlist behind, without EXT-X-ENDLIST."""
    one = engine()
    with Origin() as origin:
        filled(origin, 4)
        channel = one.add(origin.url)
        recording_id = one.wait_segments(4).data["id"]
        one.service.recorder.get(recording_id).stop(EndReason.STALLED)
        one.wait_complete()
        one.service.watchlist.check(channel.id)
        assert one.service.recorder.find_by_channel(channel.id) is None
        filled(origin, 1)
        one.service.watchlist.check(channel.id)
        one.wait("recording_started", channel_id=channel.id)
        origin.end()
        one.wait_complete()


def test_what_was_newest_before_the_end_is_known_behind_it(engine: Callable[..., Engine]) -> None:
    """A cache may show it once more, as if it were live."""
    one = engine()
    with Origin() as origin:
        for clip in ts_clips(4):
            origin.add(clip)
        channel = one.add(origin.url)
        one.wait_segments(4)
        origin.end()
        one.wait_complete()
    watch = one.service.supervisor._watches.get(channel.id)
    assert until(lambda: watch.tail != "")
    assert [edge.partition(":")[0] for edge in watch.tail.split()] == ["0", "1", "2", "3"]
