"""DASH: what a manifest says of its segments, and the recording of one whose segments the clock
counts or whose encoder has died. The encoder is FFmpeg, the manifest's reader streamlink's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlink.session.session import Streamlink
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.dash.manifest import MPD

from brlib import manifest
from brlib.capture import Capture, dash, inlet
from brlib.models import Broadcast, GapCause, SessionEnd
from brlib.platforms import Sessions
from brlib.platforms.live_manifest import live_manifest

from .engine import FAST, Engine
from .media import stream_kinds, video_frames
from .remux_origin import COUNTED_DASH, DASH, FPS, Site, encoder

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
TIMELINE = """<SegmentTemplate timescale="1000" media="$Time$.m4s" startNumber="{first}">
<SegmentTimeline>{times}</SegmentTimeline></SegmentTemplate>"""
LIST = """<SegmentList duration="2"><SegmentURL media="{media}" {more}/></SegmentList>"""
COUNTED = """<SegmentTemplate timescale="10" duration="20" media="n$Number$.m4s"
startNumber="{first}"/>"""


def parsed(segments: str, root: str = 'type="dynamic"', period: str = 'id="p"') -> MPD:
    text = f"""<MPD profiles="x" minBufferTime="PT2S" availabilityStartTime="{BEGUN:%FT%TZ}" {root}>
<Period {period}><AdaptationSet mimeType="video/mp4"><Representation id="0" bandwidth="1000">
{segments}</Representation></AdaptationSet></Period></MPD>"""
    return DASHStream.parse_mpd(text, {"url": "http://h/a/x.mpd", "base_url": "http://h/a/x.mpd"})


@pytest.mark.parametrize("one, other, same", [
    (TIMELINE.format(first=1, times='<S t="0" d="2000" r="3"/>'),
     TIMELINE.format(first=3, times='<S t="4000" d="2000" r="1"/>'), True),
    (TIMELINE.format(first=1, times='<S t="0" d="2000" r="3"/>'),
     TIMELINE.format(first=1, times='<S t="0" d="2000" r="4"/>'), False),
    (TIMELINE.format(first=1, times='<S t="0" d="2000"/><S d="1000"/>'),
     TIMELINE.format(first=1, times='<S t="0" d="1000" r="2"/>'), True),
    (TIMELINE.format(first=1, times='<S t="0" d="2" r="99999999999999"/>'),
     TIMELINE.format(first=1, times='<S t="199999999999998" d="5"/>'), True),
    (LIST.format(media="a1.m4s?x=1", more=""), LIST.format(media="a1.m4s?x=2", more=""), True),
    (LIST.format(media="a", more='mediaRange="0-9"'),
     LIST.format(media="a", more='mediaRange="10-19"'), False),
], ids=["slid", "grown", "a gap in the timeline", "hostile", "tokens", "ranges"])
def test_the_newest_segment(one: str, other: str, same: bool) -> None:
    edges = manifest.edge(parsed(one)), manifest.edge(parsed(other))
    assert None not in edges and (edges[0] == edges[1]) is same


@pytest.mark.parametrize("root, age_s, due", [
    ("", 60.0, "n19.m4s"), ("", 33.9, "n5.m4s"), ("", 31.9, None),
    ('timeShiftBufferDepth="PT8S"', 60.0, "n32.m4s"),
    ('suggestedPresentationDelay="PT40S"', 60.0, "n19.m4s"),
])
def test_what_is_counted_must_be_there(root: str, age_s: float, due: str | None) -> None:
    """Segments of two seconds; whole half a minute ago, or half of the window."""
    counted = parsed(COUNTED.format(first=5), f'type="dynamic" {root}')
    assert manifest.edge(counted) is None
    found = manifest.due(counted, BEGUN + timedelta(seconds=age_s))
    assert found == (due and f"http://h/a/{due}")


def test_what_is_listed_is_not_counted() -> None:
    listed = parsed(TIMELINE.format(first=1, times='<S t="0" d="2000"/>'))
    assert manifest.due(listed, BEGUN + timedelta(hours=1)) is None


@pytest.mark.parametrize("root, period, last", [
    ('mediaPresentationDuration="PT14.0S"', "", 11),
    ('mediaPresentationDuration="PT14.3S"', "", 12),
    ('mediaPresentationDuration="PT14.002S"', "", 11), ("", 'duration="PT4S"', 6), ("", "", None)])
def test_where_what_is_counted_ends(root: str, period: str, last: int | None) -> None:
    mpd = parsed(COUNTED.format(first=5), f'type="static" {root}', period)
    (group,) = mpd.periods[0].adaptationSets
    assert manifest.last_number(group.representations[0]) == last


# Real ones.


def until(fact: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        threading.Event().wait(0.05)


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


def stream_of(session: Streamlink, url: str) -> DASHStream:
    (stream,) = DASHStream.parse_manifest(session, url).values()
    return stream


def checked(session: Streamlink, url: str) -> Broadcast | None:
    return live_manifest(session, stream_of(session, url).mpd)


def test_counted_up_to_its_end(
    session: Streamlink, capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dash, "COUNTED_LOOK_S", 0.5)
    with Site(tmp_path) as site, encoder(tmp_path, 4, 1, COUNTED_DASH, "chunk-stream1-00001.m4s"):
        url = site.url("live.mpd")
        assert checked(session, url) == Broadcast()
        reading = capture.open(stream_of(session, url))
        until(lambda: reading.end is not None, "the end")
        reading.close()
    made = tmp_path / "capture" / "0001.ts"
    assert reading.end is SessionEnd.ENDLIST and capture.gaps == []
    assert stream_kinds(made) == ["h264 160x90", "aac"]
    assert video_frames(made) == 4 * FPS
    assert capture.sums.captured_s == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("kind, rate", [(DASH, 4), (COUNTED_DASH, 1)], ids=["listed", "counted"])
def test_an_encoder_that_has_died(
    kind: tuple[str, ...], rate: int, session: Streamlink, capture: Capture, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its manifest stays live. All that it made is on the disk, and a check sees that nothing
    is new."""
    monkeypatch.setattr(inlet, "QUIET_S", 0.5)
    monkeypatch.setattr(inlet, "QUIET_SEGMENTS", 2)
    monkeypatch.setattr(dash, "COUNTED_LOOK_S", 0.5)
    monkeypatch.setattr(manifest, "LATE_S", 1.0)
    with Site(tmp_path) as site:
        url = site.url("live.mpd")
        with encoder(tmp_path, 60, rate, kind, "chunk-stream1-00001.m4s"):
            reading = capture.open(stream_of(session, url))
            until((tmp_path / "chunk-stream1-00003.m4s").exists, "some of it")
        made_s = len([one for one in tmp_path.glob("chunk-stream0-*.m4s")])
        until(lambda: capture.sums.captured_s > made_s - 0.1, "all that it made is committed")
        assert reading.end is None and capture.gaps == []
        if kind is DASH:
            until(lambda: checked(session, url) == Broadcast(edge=capture.edge), "an edge")
        else:
            until(lambda: checked(session, url) is None, "a segment that must be there is not")
        reading.close()
        reading.write_off()
    assert capture.gaps == [], "nothing was left in FFmpeg"
    assert video_frames(tmp_path / "capture" / "0001.ts") == made_s * FPS


def test_a_manifest_that_is_gone(
    session: Streamlink, capture: Capture, tmp_path: Path
) -> None:
    """Its address has expired, or it is over: whoever opens it anew learns which."""
    with Site(tmp_path) as site:
        with encoder(tmp_path, 60, 4, DASH, "chunk-stream1-00001.m4s"):
            reading = capture.open(stream_of(session, site.url("live.mpd")))
            until((tmp_path / "chunk-stream1-00003.m4s").exists, "some of it")
        made_s = len([one for one in tmp_path.glob("chunk-stream0-*.m4s")])
        until(lambda: any(f"stream1-{made_s:05}" in path for path, _ in site.asked), "the last")
        (tmp_path / "live.mpd").unlink()
        until(lambda: reading.end is not None, "the end")
        reading.close()
    assert (reading.end, reading.cause) == (SessionEnd.BROKEN, GapCause.SOURCE)
    assert capture.gaps == [] and video_frames(
        tmp_path / "capture" / "0001.ts") == made_s * FPS


@pytest.mark.long
def test_a_dead_encoder_ends_its_recording_once(tmp_path: Path) -> None:
    """And the channel counts as offline until there is something new."""
    made = tmp_path / "made"
    made.mkdir()
    engine = Engine(tmp_path, capture_after="keep", reconnect_window=30.0)
    try:
        with Site(made) as site:
            with encoder(made, 60, 1, DASH, "chunk-stream1-00001.m4s"):
                channel = engine.add(site.url("live.mpd"))
                engine.wait_segments(2)
            recording = engine.wait_complete(90.0)
            assert (recording.end_reason, recording.sums.gaps) == ("stalled", 0)
            asked = len(site.asked)
            until(lambda: len(site.asked) > asked + 5, "it is asked for again")
            assert engine.service.recorder.find_by_channel(channel.id) is None
            assert str(engine.service.supervisor.state(channel)[0]) == "offline"
            with encoder(made, 60, 1, DASH, "chunk-stream1-00001.m4s"):
                again = engine.wait("recording_started", 30.0)
            assert again.data["id"] != recording.id
    finally:
        engine.close()
