"""Origins that fail in ways that take patience, or an end to it: nothing that is still offered
is lost, nothing stands still for ever, and what is missing is counted.

Each case is a broadcast of its own; all are recorded at the same time.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from brlib.models import GapCause
from brlib.recorder import doubt

from .compare import assert_all_frames, assert_same
from .engine import FAST
from .faults import ALWAYS, Asked, Fault, Missing, Reply, Trickle
from .media import fmp4_clips, ts_clips
from .origin import Origin
from .scenario import Outcome, Scenario, publish, record_all, until_fetched

CLIPS = 16


class NoKey(Fault):
    """The key of some segments is never there."""

    def act(self, asked: Asked) -> Reply | None:
        return Reply(404) if asked.path.endswith("/key-2.bin") else None


class Endless(Fault):
    """A playlist whose line makes Python's own number parsing overflow, for a while."""

    def act(self, asked: Asked) -> Reply | None:
        if not asked.path.endswith("live.m3u8") or not 1.5 < asked.clock_s < 3.5:
            return None
        body = asked.normal.body.replace(
            b"#EXTINF", b'#EXT-X-DATERANGE:ID="a",DURATION=1e300\n#EXTINF', 1)
        return replace(asked.normal, body=body)


class SameInit(Fault):
    """Every init section stands at one address: it changes there with the encoder."""

    def act(self, asked: Asked) -> Reply | None:
        inits = [o.init for o in asked.origin.offered if o.init is not None]
        if asked.path.endswith("/init.mp4"):
            return Reply(200, inits[-1], "video/mp4")
        if asked.path.endswith("live.m3u8"):
            lines = [b'#EXT-X-MAP:URI="init.mp4"' if line.startswith(b"#EXT-X-MAP") else line
                     for line in asked.normal.body.split(b"\n")]
            return replace(asked.normal, body=b"\n".join(lines))
        return None


def slow_line(origin: Origin) -> None:
    publish(origin, ts_clips(CLIPS), every_s=0.3)


def everything_at_once(origin: Origin) -> None:
    publish(origin, ts_clips(CLIPS), every_s=0.05)
    threading.Event().wait(2.0)


def encoder_restarts(origin: Origin) -> None:
    init, clips = fmp4_clips(8)
    publish(origin, clips, init=init, every_s=0.2)
    until_fetched(origin, origin.offered[-1].name)
    origin.restart_numbering(0)
    init, clips = fmp4_clips(8, size="320x180")
    publish(origin, clips, init=init, every_s=0.2)


SCENARIOS = [
    # Longer under way than a quiet session is trusted: patience outlasts doubt.
    Scenario("gone-in-the-middle", slow_line, {"window": 0},
             (Missing(lambda num: num == 6, tries=ALWAYS),), lost=(6,)),
    Scenario("gone-at-the-end", everything_at_once, {"window": 0},
             (Missing(lambda num: num == CLIPS - 2, tries=ALWAYS),), lost=(CLIPS - 2,)),
    Scenario("slow", slow_line, {"window": 0},
             (Trickle(lambda num: num in (5, 6, 7), tries=1, bytes_per_s=6000),)),
    Scenario("no-key", slow_line, {"window": 0, "encrypted": True}, (NoKey(),),
             lost=(10, 11, 12, 13, 14)),
    Scenario("hostile-number", slow_line, faults=(Endless(),)),
    Scenario("one-init-address", encoder_restarts, faults=(SameInit(),), parts=2),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    patch = pytest.MonkeyPatch()
    # Doubt comes long before patience ends, as it may with segments that take their time.
    patch.setattr(doubt, "AFTER_S", 1.0)
    patch.setattr(doubt, "EVERY_S", 0.5)
    try:
        return record_all(SCENARIOS, tmp_path_factory.mktemp("patience"), timeout_s=60,
                          timeouts=replace(FAST, give_up_s=2.5))
    finally:
        patch.undo()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_only_what_never_came_is_missing(
    scenario: Scenario, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[scenario.name]
    kept = [o for o in outcome.offered if o.num not in scenario.lost]
    assert_same(outcome.directory, kept)
    assert_all_frames(outcome.recording, kept)
    sums = outcome.recording.sums
    assert sums.completeness == pytest.approx(len(kept) / len(outcome.offered))
    assert sums.parts == scenario.parts
    assert sums.gaps == (1 if scenario.lost else 0)


def test_the_cause_is_the_origin(outcomes: dict[str, Outcome]) -> None:
    from brlib.ledger import read

    for scenario in SCENARIOS:
        gaps = read(outcomes[scenario.name].directory).gaps
        assert [g.cause for g in gaps] == [GapCause.SOURCE] * len(gaps)
        assert sum(g.segments for g in gaps) == len(scenario.lost)
