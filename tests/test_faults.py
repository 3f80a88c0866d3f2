"""A bad line and a bad origin: every segment captured, none twice, every frame in the file.

The schedule of the comparison with other recorders (2 s segments, 110 s of media) runs here
at three twentieths of its times, with the patience scaled alike; `-m long` runs it in full.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from .compare import assert_all_frames, assert_same
from .faults import (
    Cut, Early, Fault, Hang, Html, Missing, OldPlaylist, PlaylistError, ServerError, Trickle, every,
)
from .media import ts_clips
from .origin import Origin
from .scenario import Outcome, Scenario, publish, record_all

SEGMENTS = 55


def schedule(scale: float) -> tuple[Fault, ...]:
    """The faults that others were measured under, their times scaled."""
    return (
        Missing(every(7), tries=2),
        ServerError(every(11), tries=1),
        Cut(every(9), tries=1),
        Hang(every(13), tries=1, seconds=12 * scale),
        PlaylistError(30 * scale, 37 * scale),
    )


def measured(scale: float) -> Callable[[Origin], None]:
    """The broadcast of the comparison: 55 segments, the encoder stalled for 20 s in it."""
    def script(origin: Origin) -> None:
        clips = ts_clips(SEGMENTS, segment_s=2 * scale)
        publish(origin, clips[:30], every_s=2 * scale)
        threading.Event().wait(20 * scale)
        publish(origin, clips[30:], every_s=2 * scale)
    return script


def steady(count: int) -> Callable[[Origin], None]:
    return lambda origin: publish(origin, ts_clips(count), every_s=0.5)


def origin_away(origin: Origin) -> None:
    """15 s (scaled) without anyone at the other end."""
    publish(origin, ts_clips(24)[:8], every_s=0.5)
    gone = threading.Thread(target=origin.away, args=(3.75,))
    gone.start()
    publish(origin, ts_clips(24)[8:], every_s=0.5)
    gone.join(10)


SCENARIOS = [
    Scenario("measured", measured(0.15), faults=schedule(0.15)),
    Scenario("away", origin_away),
    Scenario("trickle", steady(24), faults=(Trickle(every(5), tries=1, bytes_per_s=200),)),
    Scenario("old-playlist", steady(24), faults=(OldPlaylist(3.0, 5.5, age=7),)),
    Scenario("old-playlist-dates", steady(24), {"program_dates": True},
             (OldPlaylist(3.0, 5.5, age=7),)),
    Scenario("early", steady(24), faults=(Early(every(4), seconds=1.0),)),
    Scenario("html", steady(24), faults=(Html(every(6), tries=2),)),
    Scenario("aes-faults", steady(24), {"encrypted": True}, schedule(0.15)),
    Scenario("short-window", steady(24), {"window": 4}, (Missing(every(5), tries=1),)),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return record_all(SCENARIOS, tmp_path_factory.mktemp("faults"), timeout_s=90)


@pytest.mark.parametrize("name", [s.name for s in SCENARIOS])
def test_nothing_lost_nothing_twice(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert_same(outcome.directory, outcome.offered)
    assert_all_frames(outcome.recording, outcome.offered)
    assert outcome.recording.sums.completeness == 1.0
    assert outcome.recording.sums.gaps == 0


@pytest.mark.long
def test_measured_schedule_in_full(tmp_path_factory: pytest.TempPathFactory) -> None:
    from brlib.capture import Timeouts

    scenario = Scenario("full", measured(1.0), {"target_s": 2}, faults=schedule(1.0))
    outcome = record_all(
        [scenario], tmp_path_factory.mktemp("full"), timeout_s=200, timeouts=Timeouts())["full"]
    assert_same(outcome.directory, outcome.offered)
    assert_all_frames(outcome.recording, outcome.offered)
