"""How FFmpeg's output is cut, what media begins like, and what is relied on in streamlink for
streams that are no plain HLS. Nothing runs."""

from __future__ import annotations

import inspect
from itertools import chain
from typing import Any

import pytest
from streamlink.stream.dash import dash
from streamlink.stream.dash.dash import DASHStream
from streamlink.stream.dash.segment import DASHSegment

from brlib.capture.cuts import Cut, Cutter, Joint
from brlib.capture.cuts_mp4 import Mp4Cutter
from brlib.capture.cuts_ts import TsCutter
from brlib.capture.tracks import split_id3
from brlib.ffmpeg import source_format

from .media import Clip, fmp4_clips, ts_clips


def cut_all(cutter: Cutter, data: bytes, whole: bool = True, rejoin: bool = False) -> list[Cut]:
    """In pieces of a size that fits nothing."""
    pieces = (data[at:at + 1009] for at in range(0, len(data), 1009))
    cuts = list(chain.from_iterable(cutter.take(piece) for piece in pieces))
    return cuts + cutter.finish(whole, rejoin)


def ts_bytes(clips: list[Clip]) -> bytes:
    return b"".join(clip.body for clip in clips)


def test_every_byte_of_a_transport_stream_is_in_one_segment() -> None:
    data = ts_bytes(ts_clips(13))
    cuts = cut_all(TsCutter(), data)
    assert b"".join(cut.body for cut in cuts) == data
    assert [round(cut.duration_s, 2) for cut in cuts] == [2.0, 2.0, 2.0, 0.5]
    assert not any(cut.missing_s for cut in cuts)


def test_every_fragment_is_in_one_segment() -> None:
    init, clips = fmp4_clips(13)
    cuts = cut_all(Mp4Cutter(), init + ts_bytes(clips))
    assert [round(cut.duration_s, 2) for cut in cuts] == [2.0, 2.0, 2.0, 0.5]
    assert all(cut.init is not None and b"moov" in cut.init for cut in cuts)


@pytest.mark.parametrize("whole, rejoin, duration_s", [
    (True, False, 3.0), (False, True, 2.5), (False, False, 2.85)])
def test_what_is_torn_is_not_kept(whole: bool, rejoin: bool, duration_s: float) -> None:
    data = ts_bytes(ts_clips(6))
    cuts = cut_all(TsCutter(), data if whole else data[:-3000], whole, rejoin)
    assert sum(cut.duration_s for cut in cuts) == pytest.approx(duration_s, abs=0.11)
    assert data.startswith(b"".join(cut.body for cut in cuts))
    if rejoin:
        assert b"".join(cut.body for cut in cuts) == ts_bytes(ts_clips(6)[:5])


def test_a_hole_is_seen_in_the_timestamps() -> None:
    clips = ts_clips(16)
    cuts = cut_all(TsCutter(), ts_bytes(clips[:5] + clips[9:]))
    assert [(round(c.duration_s, 2), round(c.missing_s, 2)) for c in cuts] == [
        (2.0, 0.0), (0.5, 2.0), (2.0, 0.0), (1.5, 0.0)]


@pytest.mark.parametrize("end_s, joined_s, kept", [
    (1.4 + 2.0, 0.0, 8), (1.4, 0.0, 12), (1.4 - 0.7, 0.7, 12), (1.4 - 20.0, None, 12),
    (1.4 + 50.0, None, 12), ((1 << 33) / 90_000 + 1.4 + 2.0, 0.0, 8)])
def test_a_session_goes_on_where_the_capture_ends(
    end_s: float, joined_s: float | None, kept: int
) -> None:
    clips = ts_clips(12)
    cutter = TsCutter(Joint(end_s, back_s=30.0, ahead_s=10.0))
    cuts = cut_all(cutter, ts_bytes(clips))
    assert cutter.joined_s == (joined_s if joined_s is None else pytest.approx(joined_s, abs=0.03))
    assert b"".join(cut.body for cut in cuts) == ts_bytes(clips[-kept:])


def test_fragments_go_on_where_the_capture_ends() -> None:
    init, clips = fmp4_clips(12)
    cutter = Mp4Cutter(Joint(2.0, 30.0, 10.0))
    cuts = cut_all(cutter, init + ts_bytes(clips))
    assert cutter.joined_s == pytest.approx(0.0, abs=0.03)
    assert sum(cut.duration_s for cut in cuts) == pytest.approx(4.0, abs=0.03)


@pytest.mark.parametrize("head, kind, form", [
    (ts_clips(1)[0].body[:1024], "", "mpegts"), (ts_clips(1)[0].body[100:1124], "", "mpegts"),
    (fmp4_clips(1)[0], "", "mov"), (b"FLV\x01\x05", "", "flv"), (b"OggS\0", "", "ogg"),
    (b"\x1a\x45\xdf\xa3\x01", "", "matroska"), (b"\x0b\x77\x00", "", "ac3"),
    (b"\xff\xf1\x50\x80", "", "aac"), (b"\xff\xfb\x90\x00", "", "mp3"),
    (b"ID3\x04\0\0\0\0\0\x02xx\xff\xf1\x50", "", "aac"), (b"\0" * 9, "audio/aacp", "aac"),
    (b"\0" * 9, "audio/mpeg; x=y", "mp3"), (b"<html>", "audio/mpeg", None), (b"", "", None),
    (b"GGGG" * 9, "text/plain", None), (b"#EXTM3U\n", "", None),
])
def test_what_media_begins_like(head: bytes, kind: str, form: str | None) -> None:
    assert source_format(head, kind) == form


def test_the_clock_of_packed_audio() -> None:
    frame = b"com.apple.streaming.transportStreamTimestamp\0" + (900_000).to_bytes(8, "big")
    tag = b"PRIV" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    assert split_id3(b"ID3\x04\0\0\0\0\0" + bytes([len(tag)]) + tag + b"\xff\xf1") == (
        10.0, b"\xff\xf1")
    assert split_id3(b"ID3\x04\0\0\0\0\0\x02xx\xff\xf1") == (0.0, b"\xff\xf1")


# What is relied on in streamlink beyond its documented interface.


@pytest.mark.parametrize("owner, name, parameters", [
    (dash.DASHStreamWriter, "fetch", "segment"), (dash.DASHStreamWriter, "put", "segment"),
    (dash.DASHStreamWriter, "write", "segment result"), (dash.DASHStreamWriter, "run", ""),
    (dash.DASHStreamWorker, "reload", ""), (dash.DASHStreamWorker, "run", ""),
    (dash.DASHStreamWorker, "check_sequence_gap", "segment"),
    (dash.DASHStreamReader, "__init__", "stream representation timestamp name"),
    (dash.DASHStreamReader, "open", ""), (DASHStream, "parse_mpd", "manifest mpd_params"),
    (DASHStream, "parse_manifest", "session url_or_manifest"),
])
def test_signatures(owner: Any, name: str, parameters: str) -> None:
    found = [one for one in inspect.signature(getattr(owner, name)).parameters if one != "self"]
    assert found[:len(parameters.split())] == parameters.split()


def test_classes_and_fields() -> None:
    reader = DASHStream.__reader__
    assert reader.__writer__ is dash.DASHStreamWriter
    assert reader.__worker__ is dash.DASHStreamWorker
    assert "manifest_reload_retries" in inspect.getsource(reader.__worker__.reload)
    segment = DASHSegment(num=1, uri="http://h/1.m4s", duration=2.0)
    assert (segment.init, segment.byterange, segment.available_in, segment.name) == (
        False, None, 0.0, "1")
