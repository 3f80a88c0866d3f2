"""Table `api` in its quick mode, and how it reckons."""

from __future__ import annotations

import json
from pathlib import Path

from bench.base import Round
from bench.listening import Heard
from bench.tables import api


def told(client: int, at_s: float, segments: int, fresh: int) -> Heard:
    return Heard(client, at_s, json.dumps({
        "type": "segment_downloaded", "seq": segments,
        "data": {"id": "rec_1", "segments": segments, "new_segments": fresh}}).encode())


def test_an_event_counts_for_every_segment_it_tells_of() -> None:
    commits = {("rec_1", 1): 10.0, ("rec_1", 2): 11.0, ("rec_1", 3): 12.0}
    heard = [told(0, 10.5, 1, 1), told(0, 12.25, 3, 2)]
    assert api.latencies(heard, commits) == [500.0, 250.0, 1250.0]


def test_the_quick_table_is_complete(tmp_path: Path) -> None:
    figures = list(api.measure(Round(1, True, lambda words: None, tmp_path)))
    assert [figure.complete for figure in figures if figure.case.startswith(api.EVENTS)] == [
        True, True]
    assert len({figure.case for figure in figures}) > 40
