"""Every kind of HLS that the recorder takes: what was offered is on disk and in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from .compare import assert_all_frames, assert_same
from .media import fmp4_clips, stream_kinds, ts_clips
from .origin import Origin
from .scenario import Outcome, Scenario, publish, record_all, until_fetched

CLIPS = 14


def plain(origin: Origin) -> None:
    publish(origin, ts_clips(CLIPS))


def fmp4(origin: Origin) -> None:
    init, clips = fmp4_clips(CLIPS)
    publish(origin, clips, init=init)


def fmp4_codec_change(origin: Origin) -> None:
    init, clips = fmp4_clips(7)
    publish(origin, clips, init=init)
    init, clips = fmp4_clips(7, codec="libx265", start_s=3.5)
    publish(origin, clips, init=init, discontinuity=True)


def fmp4_restart(origin: Origin) -> None:
    """The encoder restarts with the same settings: the same init, times from zero again."""
    init, clips = fmp4_clips(7)
    publish(origin, clips, init=init)
    init, clips = fmp4_clips(7, seed="b")
    publish(origin, clips, init=init, discontinuity=True)


def discontinuity(origin: Origin) -> None:
    publish(origin, ts_clips(7))
    publish(origin, ts_clips(7, seed="b"), discontinuity=True)


def size_change(origin: Origin) -> None:
    publish(origin, ts_clips(7))
    publish(origin, ts_clips(7, size="320x180", start_s=3.5), discontinuity=True)


def size_change_untold(origin: Origin) -> None:
    """Not allowed without EXT-X-DISCONTINUITY (RFC 8216 4.3.2.3), and seen all the same."""
    publish(origin, ts_clips(7))
    publish(origin, ts_clips(7, size="320x180", start_s=3.5))


def codec_change(origin: Origin) -> None:
    publish(origin, ts_clips(7))
    publish(origin, ts_clips(7, codec="libx265", start_s=3.5), discontinuity=True)


def ts_to_fmp4(origin: Origin) -> None:
    publish(origin, ts_clips(7))
    init, clips = fmp4_clips(7, start_s=3.5)
    publish(origin, clips, init=init, discontinuity=True)


def audio_gone(origin: Origin) -> None:
    publish(origin, ts_clips(7))
    publish(origin, ts_clips(7, audio=False, start_s=3.5), discontinuity=True)


def reset(origin: Origin) -> None:
    publish(origin, ts_clips(9))
    until_fetched(origin, origin.offered[-1].name)
    origin.restart_numbering(0)
    publish(origin, ts_clips(9, seed="b"))


def reset_same_names(origin: Origin) -> None:
    publish(origin, ts_clips(9))
    until_fetched(origin, origin.offered[-1].name)
    origin.restart_numbering(0, reuse_names=True)
    publish(origin, ts_clips(9, seed="b"))


def reset_upwards(origin: Origin) -> None:
    publish(origin, ts_clips(9))
    until_fetched(origin, origin.offered[-1].name)
    origin.restart_numbering(1_700_000_000)
    publish(origin, ts_clips(9, seed="b"))


SCENARIOS = [
    Scenario("plain", plain),
    Scenario("dates", plain, {"program_dates": True}),
    Scenario("aes", plain, {"encrypted": True}),
    Scenario("ranges", plain, {"byteranges": True}),
    Scenario("aes-ranges", plain, {"encrypted": True, "byteranges": True}),
    Scenario("fmp4", fmp4),
    Scenario("fmp4-aes", fmp4, {"encrypted": True}),
    Scenario("fmp4-ranges", fmp4, {"byteranges": True}),
    Scenario("fmp4-codec", fmp4_codec_change, parts=2),
    Scenario("fmp4-restart", fmp4_restart, parts=2),
    Scenario("discontinuity", discontinuity),
    Scenario("size", size_change, parts=2),
    Scenario("size-untold", size_change_untold, parts=2),
    Scenario("codec", codec_change, parts=2),
    Scenario("ts-to-fmp4", ts_to_fmp4, parts=2),
    Scenario("audio-gone", audio_gone, parts=2),
    Scenario("reset", reset),
    Scenario("reset-dates", reset, {"program_dates": True}),
    Scenario("reset-names", reset_same_names),
    Scenario("reset-upwards", reset_upwards, {"first_num": 50}),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return record_all(SCENARIOS, tmp_path_factory.mktemp("capture"), timeout_s=60)


@pytest.fixture(params=SCENARIOS, ids=lambda s: s.name)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    found: Scenario = request.param
    return found


def test_every_segment_once(scenario: Scenario, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[scenario.name]
    assert_same(outcome.directory, outcome.offered)


def test_every_frame_in_the_file(scenario: Scenario, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[scenario.name]
    assert_all_frames(outcome.recording, outcome.offered)


def test_sums_and_parts(scenario: Scenario, outcomes: dict[str, Outcome]) -> None:
    recording = outcomes[scenario.name].recording
    assert recording.sums.segments == len(outcomes[scenario.name].offered)
    assert recording.sums.completeness == 1.0
    assert recording.sums.parts == len(recording.files) == scenario.parts


def test_parts_hold_one_kind_of_stream_each(outcomes: dict[str, Outcome]) -> None:
    kinds = [stream_kinds(Path(name)) for name in outcomes["codec"].recording.files]
    assert kinds == [["h264 160x90", "aac"], ["hevc 160x90", "aac"]]
    sizes = [stream_kinds(Path(name)) for name in outcomes["size"].recording.files]
    assert sizes == [["h264 160x90", "aac"], ["h264 320x180", "aac"]]
