"""Pages of which platform `url` asks yt-dlp: the real one against a page that shows a live stream,
and what it finds apart recorded as one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls.hls import HLSStream, MuxedHLSStream

from brlib.capture import Capture
from brlib.errors import PlatformError
from brlib.models import SessionEnd
from brlib.platforms import Sessions
from brlib.platforms.ytdlp import Format, Found
from brlib.platforms.ytdlp_streams import streams_of

from .conftest import children
from .engine import FAST, Engine
from .faults import Asked, Fault
from .faults import Reply as Answer
from .listener import wait_until
from .media import stream_kinds, ts_clips, video_frames
from .origin import Origin
from .remux_origin import FPS, SEPARATE_AUDIO, Site, encoder
from .standin.adapter import StandInSessions
from .standin.base import Reply, StandIn

MEDIA = "cdn.example"


@dataclass
class Page(Fault):
    body: bytes = (b'<!DOCTYPE html><html><head><meta property="og:title" content="Endgames">'
                   b'</head><video><source src="/master.m3u8" type="application/x-mpegURL">'
                   b'</video></html>')

    def act(self, asked: Asked) -> Answer | None:
        return Answer(200, self.body, "text/html") if asked.path.startswith("/watch") else None


def test_a_page_is_recorded(engine: Callable[..., Engine]) -> None:
    with Origin() as origin:
        origin.faults.append(Page())
        for clip in ts_clips(4):
            origin.add(clip)
        one = engine()
        one.add(f"{origin.base_url}/watch/chess")
        one.wait_segments(4)
        origin.end()
        recording = one.wait_complete()
        assert video_frames(Path(recording.files[0])) == sum(clip.frames for clip in ts_clips(4))
        assert (recording.title, recording.quality) == ("Endgames", "1080p60")


def test_stopping_waits_for_no_run(
    engine: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    monkeypatch.setattr("brlib.platforms.ytdlp.COMMAND", (
        sys.executable, "-c", f"import time; open({str(started)!r}, 'w'); time.sleep(600)"))
    before = children()
    with Origin() as origin:
        one = engine()
        channel = one.add(f"{origin.base_url}/page.html")
        wait_until(started.exists)
        assert children() - before
        one.service.stop()
        # Before anyone is waited for.
        wait_until(lambda: not children() - before)
        assert one.service.supervisor.join(20.0)
        assert one.service.store.channels.get(channel.id).last_error is None


def test_picture_and_sound_apart_are_recorded_as_one(tmp_path: Path) -> None:
    session = Sessions().new()
    capture = Capture.create("c", tmp_path / "capture", on_news=lambda: None, timeouts=FAST)
    with Site(tmp_path) as site, encoder(tmp_path, 3, 4, SEPARATE_AUDIO, "1.m3u8"):
        formats = (Format("audio_only", site.url("0.m3u8"), False, None, {}),
                   Format("90p", site.url("1.m3u8"), False, None, {}))
        streams = streams_of(session, Found("is_live", formats, ()))
        assert {name: type(one) for name, one in streams.items()} == {
            "audio_only": HLSStream, "90p": MuxedStream}
        reading = capture.open(streams["90p"])
        wait_until(lambda: reading.end is not None, 20.0)
        assert reading.end is SessionEnd.ENDLIST
        reading.close()
    capture.suspend()
    session.http.close()
    part = tmp_path / "capture" / "0001.ts"
    assert stream_kinds(part) == ["h264 160x90", "aac"]
    assert video_frames(part) == 3 * FPS
    assert capture.sums.captured_s == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(("body", "names"), [
    (b"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",DEFAULT=YES,URI=\"a.m3u8\"\n"
     b"#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1280x720,AUDIO=\"a\"\n720p.m3u8\n", ["720p"]),
    (b"<html>", None),
])
def test_formats_apart_are_put_together_by_their_playlist(
    body: bytes, names: list[str] | None
) -> None:
    standin = StandIn()
    standin.add(lambda request: Reply(200, body), MEDIA)
    session = StandInSessions(standin).new()
    found = Found("is_live", tuple(
        Format(name, f"https://{MEDIA}/{name}", False, f"https://{MEDIA}/all.m3u8", {})
        for name in ("audio_only", "720p")), ())
    if names is None:
        with pytest.raises(PlatformError, match="playlist cannot be read"):
            streams_of(session, found)
    else:
        streams = streams_of(session, found)
        assert {name: type(one) for name, one in streams.items()} == {"720p": MuxedHLSStream}
    session.http.close()


def test_formats_of_one_kind_alone() -> None:
    session = Sessions().new()
    sound = Format("audio_only", f"https://{MEDIA}/a", False, None, {})
    picture = Format("720p", f"https://{MEDIA}/v", False, None, {})
    for one in (sound, picture):
        assert {name: type(stream) for name, stream in streams_of(
            session, Found("is_live", (one,), ())).items()} == {one.name: HLSStream}
    session.http.close()
