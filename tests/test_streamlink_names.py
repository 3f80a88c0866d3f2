"""What the project relies on in streamlink, beyond its documented interface.

Used by `brlib.capture.segments` and `brlib.platforms`; a new streamlink that has moved any of
it fails here by name, not in the middle of a recording.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from requests import Response
from streamlink.exceptions import PluginError, StreamError, StreamlinkError
from streamlink.plugin import Plugin
from streamlink.session.session import Streamlink
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.ffmpegmux import MuxedStream
from streamlink.stream.hls import hls
from streamlink.stream.hls.hls import HLSStream, MuxedHLSStream
from streamlink.stream.hls.m3u8 import M3U8, M3U8Parser, parse_m3u8
from streamlink.stream.hls.segment import ByteRange, HLSSegment, Key, Map
from streamlink.stream.http import HTTPStream
from streamlink.stream.segmented import segmented
from streamlink.stream.segmented.segmented import (
    SegmentedStreamReader, SegmentedStreamWorker, SegmentedStreamWriter,
)

from brlib.capture.segments import WorkerMixin, WriterMixin
from brlib.capture.standins import Tray
from brlib.continuity import set_offsets
from brlib.platforms import Sessions
from brlib.platforms.sessions import OPTIONS

from .daemon import ROOT

READER, WRITER, WORKER = hls.HLSStreamReader, hls.HLSStreamWriter, hls.HLSStreamWorker


def test_the_version_is_one_that_was_measured() -> None:
    bounds = re.search(r"streamlink >= (\S+), < (\S+)", (ROOT / "setup.cfg").read_text())
    assert bounds is not None
    low, high = ([int(n) for n in bound.split(".")] for bound in bounds.groups())
    assert low <= [int(n) for n in version("streamlink").split(".")[:3]] < high


def test_class_chains() -> None:
    """The reader names the classes that our mixins stand before."""
    assert HLSStream.__reader__ is READER
    assert READER.__writer__ is WRITER and READER.__worker__ is WORKER
    assert issubclass(READER, SegmentedStreamReader)
    assert issubclass(WRITER, SegmentedStreamWriter)
    assert issubclass(WORKER, SegmentedStreamWorker)


@pytest.mark.parametrize("owner, name, parameters", [
    (WRITER, "put", "self segment"), (WRITER, "fetch", "self segment"),
    (WRITER, "queue", "self segment future *data"), (WRITER, "write", "self segment result *data"),
    (WRITER, "create_request_params", "self num segment is_map"),
    (WRITER, "should_filter_segment", "self segment"), (WRITER, "run", "self"),
    (WRITER, "close", "self"),
    (SegmentedStreamWriter, "__init__", "self reader size retries threads timeout name"),
    (WORKER, "reload", "self"), (WORKER, "process_segments", "self playlist"),
    (WORKER, "check_sequence_gap", "self segment"), (WORKER, "run", "self"),
    (WORKER, "close", "self"), (WORKER, "iter_segments", "self"),
    (WORKER, "valid_segment", "self segment"),
    (READER, "__init__", "self stream name"), (READER, "open", "self"),
    (HLSStream, "parse_variant_playlist", "session url"),
    (Plugin, "__init__", "self session url options"), (Plugin, "get_id", "self"),
    (Plugin, "get_title", "self"), (Plugin, "get_category", "self"),
    (Streamlink, "__init__", "self options plugins_builtin"),
    (parse_m3u8, None, "data base_uri parser"),
])
def test_signatures(owner: Any, name: str | None, parameters: str) -> None:
    """The parameters that we pass or take are there, in this order."""
    function = getattr(owner, name) if name else owner
    found = [("*" if p.kind is p.VAR_POSITIONAL else "") + p.name
             for p in inspect.signature(function).parameters.values()]
    wanted = parameters.split()
    positions = [found.index(one) if one in found else -1 for one in wanted]
    assert -1 not in positions, found
    assert positions == sorted(positions)


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def reader(sessions: Sessions) -> Iterator[Any]:
    """A reader that was made, not opened."""
    session = sessions.new()
    made = READER(HLSStream(session, "http://127.0.0.1:9/live.m3u8"), name="x")
    yield made
    made.writer.executor.shutdown()
    session.http.close()


def test_attributes_of_reader_writer_and_worker(reader: Any) -> None:
    assert isinstance(reader.request_params, dict)
    assert reader.writer.reader is reader and reader.worker.writer is reader.writer
    assert reader.writer.session is reader.session is reader.worker.session
    assert reader.writer.closed is False and reader.worker.closed is False
    assert hasattr(reader.writer.executor, "submit")
    assert reader.worker.sequence == -1 and reader.worker.playlist_end is None
    assert reader.worker.playlist_targetduration == 0
    assert reader.stream.parse_packed_audio in (True, False)


def test_mixins_hide_only_what_is_there() -> None:
    """A hook that streamlink no longer calls would be silence."""
    for mixin, base in ((WriterMixin, WRITER), (WorkerMixin, WORKER)):
        ours = {n for n, v in vars(mixin).items() if callable(v) and not n.startswith("_")}
        assert ours and all(callable(getattr(base, name, None)) for name in ours)
    source = inspect.getsource(hls) + inspect.getsource(segmented)
    for call in ("self.process_segments(", "self.check_sequence_gap(", "self.reload()",
                 "self.writer.put(", "self.valid_segment("):
        assert call in source


def test_the_tray_stands_for_the_ring_buffer(reader: Any) -> None:
    for name in ("write", "read", "close", "wait_free"):
        assert callable(getattr(Tray(), name)) and callable(getattr(reader.buffer, name))
    for name in ("closed", "length", "written_once", "event_used"):
        assert hasattr(Tray(), name) and hasattr(reader.buffer, name)
    used = set(re.findall(r"buffer\.(\w+)", inspect.getsource(hls)))
    assert used <= {name for name in dir(Tray()) if not name.startswith("_")}


PLAYLIST = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-KEY:METHOD=AES-128,URI="k.bin"
#EXT-X-MAP:URI="init.mp4",BYTERANGE="10@5"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z
#EXTINF:2.0,
#EXT-X-BYTERANGE:100@10
all.m4s
#EXT-X-DISCONTINUITY
#EXTINF:1.5,
#EXT-X-BYTERANGE:50
all.m4s
#EXT-X-ENDLIST
"""


def test_what_a_playlist_says() -> None:
    playlist: M3U8[HLSSegment, Any] = parse_m3u8(
        PLAYLIST, base_uri="http://h/x/live.m3u8", parser=M3U8Parser)
    assert playlist.is_endlist and not playlist.is_master and playlist.targetduration == 2
    first, second = playlist.segments
    assert (first.num, second.num) == (7, 8)
    assert first.uri == "http://h/x/all.m4s" and first.duration == 2.0
    assert first.date is not None and first.date.utcoffset() is not None
    assert second.discontinuity and not first.discontinuity
    assert isinstance(first.key, Key) and first.key.method == "AES-128"
    assert isinstance(first.map, Map) and first.map.uri == "http://h/x/init.mp4"
    assert first.map.byterange == ByteRange(10, 5) and first.map.key is not None
    assert second.byterange == ByteRange(50, None)
    set_offsets(playlist.segments)
    assert second.byterange == ByteRange(50, 110)


def test_names_of_variants(sessions: Sessions) -> None:
    """`brlib.quality` reads these; a second stream alike becomes `…_alt`."""
    body = "#EXTM3U\n" + "".join(
        f"#EXT-X-STREAM-INF:BANDWIDTH={rate}{more}\nv{number}.m3u8\n"
        for number, (rate, more) in enumerate([
            (6_000_000, ",RESOLUTION=1920x1080,FRAME-RATE=60.000"),
            (5_000_000, ",RESOLUTION=1920x1080,FRAME-RATE=60.000"),
            (3_000_000, ",RESOLUTION=1280x720,FRAME-RATE=30.000"), (64_000, "")]))
    session = sessions.new()
    answer = Response()
    answer.status_code, answer.raw, answer.url = 200, io.BytesIO(body.encode()), "http://h/m.m3u8"
    session.http.get = lambda *_, **__: answer  # type: ignore[method-assign]
    names = set(HLSStream.parse_variant_playlist(session, "http://h/m.m3u8"))
    session.http.close()
    assert names == {"1080p60", "1080p60_alt", "720p", "64k"}


def test_options_are_known(sessions: Sessions) -> None:
    """streamlink takes any option name without a word."""
    defaults = Streamlink(plugins_builtin=False).options
    assert [name for name in OPTIONS if name not in defaults] == ["http-timeout"]
    session = sessions.new()
    assert {name: session.get_option(name) for name in OPTIONS} == OPTIONS
    assert session.http.timeout == OPTIONS["http-timeout"]


@pytest.mark.parametrize("url, expected", [
    ("https://www.twitch.tv/somebody", "twitch"), ("http://127.0.0.1:9/live.m3u8", "hls"),
    ("http://127.0.0.1:9/page.html", None),
])
def test_plugins_are_found_by_address(
    sessions: Sessions, url: str, expected: str | None
) -> None:
    found = sessions.find_plugin(sessions.new(), url)
    assert (found[0] if found else None) == expected
    assert found is None or isinstance(found[1], Plugin)


def test_errors_and_other_streams(sessions: Sessions) -> None:
    assert issubclass(StreamError, StreamlinkError) and issubclass(PluginError, StreamlinkError)
    assert not issubclass(MuxedHLSStream, HLSStream)
    session = sessions.new()
    with pytest.raises(StreamError) as caught:
        session.http.get("http://127.0.0.1:9/", exception=StreamError, timeout=0.2)
    session.http.close()
    assert isinstance(caught.value.err, OSError)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name, address, attributes", [
    ("twitch", "https://www.twitch.tv/x", ("api", "id", "author", "category", "title", "url")),
    ("kick", "https://kick.com/x", ("id", "author", "category", "title", "url")),
    ("youtube", "https://www.youtube.com/@x/live", ("id", "author", "category", "title", "url")),
])
def test_what_we_set_on_plugins(
    sessions: Sessions, name: str, address: str, attributes: tuple[str, ...]
) -> None:
    session = sessions.new()
    try:
        found = sessions.find_plugin(session, address)
        assert found is not None and found[0] == name
        plugin: Any = found[1]
        assert [a for a in attributes if not hasattr(plugin, a)] == []
        # An address that is set is matched again.
        plugin.url = address
        assert plugin.matcher is not None
        if name == "twitch":
            assert isinstance(plugin.api.headers, dict)
    finally:
        session.http.close()


def test_streams_of_other_kinds(sessions: Sessions) -> None:
    session = sessions.new()
    try:
        part = HLSStream(session, "http://127.0.0.1/x.m3u8")
        assert list(MuxedStream(session, part).substreams) == [part]
        assert issubclass(MuxedHLSStream, MuxedStream)
        kinds: list[Any] = [HTTPStream, DASHStream, HLSStream]
        assert [kind.shortname() for kind in kinds] == ["http", "dash", "hls"]
    finally:
        session.http.close()
