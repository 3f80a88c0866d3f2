"""Tests of brlib.processing: what a channel's own may say, and what comes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from brlib import arguments
from brlib.config import OPTIONS, Settings, processing_clash
from brlib.encoding import Encoding
from brlib.processing import CRF_MAX, NAMES, Processing, canonical, clash, merged

SLOW = arguments.read("-preset slow")
USUAL = Processing("copy", "mp4", "live", "delete")
ENCODED = Processing("reencode", "mkv", "after", "keep", Encoding("vp9", "opus", 40, "auto", SLOW))


def test_the_settings_own() -> None:
    assert Settings().processing == USUAL
    assert Settings(
        processing_mode="reencode", container="mkv", processing_timing="after",
        capture_after="keep", video_codec="vp9", audio_codec="opus", crf=40,
        hardware_acceleration="auto", ffmpeg_arguments="-preset slow").processing == ENCODED
    settings = Settings()
    assert settings.processing is settings.processing
    assert replace(settings, container="ts").processing == replace(USUAL, container="ts")


def test_a_channel_s_keys_are_options() -> None:
    assert set(NAMES) <= set(OPTIONS)
    assert list(json.loads(canonical({}))) == list(NAMES)


@pytest.mark.parametrize("mode, timing, live", [
    ("copy", "live", True), ("concatenate", "live", True), ("reencode", "live", False),
    ("copy", "after", False), ("reencode", "after", False),
])
def test_whether_the_file_grows_with_the_recording(mode: str, timing: str, live: bool) -> None:
    assert replace(USUAL, mode=mode, timing=timing).live is live


@pytest.mark.parametrize("data, expected", [
    pytest.param({}, ENCODED, id="nothing"),
    pytest.param(dict.fromkeys(NAMES), ENCODED, id="null is as the settings say"),
    pytest.param({"processing_mode": "copy"}, replace(ENCODED, mode="copy"), id="mode"),
    pytest.param({"container": "ts"}, replace(ENCODED, container="ts"), id="container"),
    pytest.param({"processing_timing": "live"}, replace(ENCODED, timing="live"), id="timing"),
    pytest.param({"capture_after": "archive"}, replace(ENCODED, capture_after="archive"),
                 id="capture"),
    pytest.param({"video_codec": "h265", "audio_codec": "aac"}, replace(
        ENCODED, encoding=Encoding("h265", "aac", 40, "auto", SLOW)), id="codecs"),
    pytest.param({"crf": 0}, replace(
        ENCODED, encoding=Encoding("vp9", "opus", 0, "auto", SLOW)), id="0 is a quality"),
    pytest.param({"crf": 20.0}, replace(
        ENCODED, encoding=Encoding("vp9", "opus", 20, "auto", SLOW)), id="JSON has one number"),
    pytest.param({"hardware_acceleration": "none"}, replace(
        ENCODED, encoding=Encoding("vp9", "opus", 40, "none", SLOW)), id="the processor"),
    pytest.param({"ffmpeg_arguments": "-g 50 -vf scale=-2:720"}, replace(
        ENCODED, encoding=Encoding("vp9", "opus", 40, "auto", arguments.Arguments(
            ("-g", "50"), "scale=-2:720"))), id="arguments instead of the settings'"),
    pytest.param({"ffmpeg_arguments": ""}, replace(
        ENCODED, encoding=Encoding("vp9", "opus", 40, "auto")), id="no arguments"),
])
def test_a_channel_s_own_goes_before(data: dict[str, Any], expected: Processing) -> None:
    own = canonical(data)
    assert merged(ENCODED, own) == expected
    assert canonical(json.loads(own)) == own


def test_without_its_own() -> None:
    assert merged(ENCODED, None) is ENCODED
    # The settings may change behind the same text.
    own = canonical({"container": "ts"})
    assert merged(USUAL, own) == replace(USUAL, container="ts")
    assert merged(ENCODED, own) == replace(ENCODED, container="ts")


def test_arguments_that_this_version_does_not_take() -> None:
    own = json.dumps({**dict.fromkeys(NAMES), "ffmpeg_arguments": "-i x"})
    with pytest.raises(ValueError, match="'-i' is none of"):
        merged(USUAL, own)


@pytest.mark.parametrize("data, says", [
    (None, "must be an object with processing_mode, container,"), ([], "must be an object"),
    ("reencode", "must be an object"),
    ({"max_concurrent_processing": 2}, "max_concurrent_processing is none of processing_mode"),
    ({"archive_directory": "/tmp"}, "archive_directory is none of"),
    ({"crf": 20, "mode": "copy"}, "mode is none of"), ({"x" * 500: 1}, "x{40} is none of"),
    ({"processing_mode": "remux"}, "processing_mode must be one of copy, concatenate, reencode"),
    ({"processing_mode": ["copy"]}, "processing_mode must be one of"),
    ({"container": "avi"}, "container must be one of mp4"), ({"container": ""}, "container must"),
    ({"processing_timing": "now"}, "processing_timing must be one of live, after"),
    ({"capture_after": False}, "capture_after must be one of delete, keep, archive"),
    ({"video_codec": "H264"}, "video_codec must be one of"),
    ({"audio_codec": "mp3"}, "audio_codec must be one of copy, aac, opus"),
    ({"hardware_acceleration": "cuda"}, "hardware_acceleration must be one of none, auto"),
    ({"crf": CRF_MAX + 1}, "crf must be a whole number from 0 to 63"), ({"crf": -1}, "crf must"),
    ({"crf": 1.5}, "crf must"), ({"crf": True}, "crf must"), ({"crf": "20"}, "crf must"),
    ({"crf": float("nan")}, "crf must"), ({"crf": 1e300}, "crf must"),
    ({"ffmpeg_arguments": ["-g", "50"]}, "ffmpeg_arguments must be a text"),
    ({"ffmpeg_arguments": "-i /etc/passwd"}, "ffmpeg_arguments cannot be used: '-i' is none of"),
    ({"ffmpeg_arguments": "-g"}, "ffmpeg_arguments cannot be used: -g needs a value"),
    ({"ffmpeg_arguments": "-crf 20"}, "ffmpeg_arguments cannot be used: -crf is set by crf"),
    ({"ffmpeg_arguments": "x" * 1001}, "ffmpeg_arguments cannot be used: must have at most"),
])
def test_what_is_refused(data: Any, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        canonical(data)


@pytest.mark.parametrize("processing, name", [
    pytest.param(USUAL, None, id="nothing is encoded"),
    pytest.param(ENCODED, None, id="all goes together"),
    pytest.param(replace(ENCODED, container="ts"), "video_codec", id="the container"),
    pytest.param(replace(ENCODED, container="ts", mode="copy"), None,
                 id="what is not encoded needs no codec"),
    pytest.param(replace(USUAL, mode="reencode", encoding=Encoding("copy")), "video_codec",
                 id="nothing to encode"),
    pytest.param(replace(USUAL, mode="reencode", encoding=Encoding(crf=52)), "crf",
                 id="h264 has less steps"),
    pytest.param(replace(ENCODED, encoding=Encoding("vp9", hardware="nvenc")),
                 "hardware_acceleration", id="no such encoder"),
])
def test_clash(processing: Processing, name: str | None) -> None:
    found = clash(processing)
    assert (found and found[0]) == name
    assert found == processing_clash(processing, Settings())


def test_an_archive_needs_a_place(tmp_path: Any) -> None:
    for mode in ("copy", "reencode"):
        wanted = replace(USUAL, mode=mode, capture_after="archive")
        assert processing_clash(wanted, Settings()) == (
            "capture_after", "archive needs an archive_directory")
        assert processing_clash(wanted, Settings(archive_directory=tmp_path)) is None
