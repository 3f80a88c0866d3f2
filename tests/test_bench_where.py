"""Where a capture's CPU goes: every step is seen in every recording."""

from __future__ import annotations

from pathlib import Path

from bench import timed, where
from bench.cost.meter import Times
from bench.where import Sample


def test_every_step_and_thread_is_seen(tmp_path: Path) -> None:
    told = where.measure(recordings=2, seconds=4.0, settle_s=2.0, place=tmp_path)
    for words, _, _ in timed.STEPS:
        if words != "the commit: sync":
            assert f"  {words} (" in told
    for kind in where.KINDS.values():
        assert f"  threads {kind}\n" in told


def test_the_sums() -> None:
    before = Sample(0.0, Times(1.0, 2.0), {"a": (10, 1.0), "b": (1, 1.0)}, {"x": 1.0})
    after = Sample(36.0, Times(2.0, 4.0), {"a": (20, 1.5), "b": (1, 1.0)}, {"x": 1.5, "y": 0.0})
    assert where.text(before, after, recordings=10) == (
        " 20.00 s  all, of it 10.00 s in user mode\n\n"
        "  5.00 s  threads x\n\n"
        "  5.00 s  a (50.00 ms)\n")
