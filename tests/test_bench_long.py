"""The table `long`, in small: everything is recorded, and nothing is left open."""

from __future__ import annotations

from pathlib import Path

from bench.base import Round
from bench.tables.long import TABLE

SLACK = 4


def test_quick(tmp_path: Path) -> None:
    figures = list(TABLE.measure(Round(1, True, print, tmp_path)))
    assert figures and all(one.complete for one in figures)
    found = {one.what: one.value for one in figures}
    for what in ("threads", "files"):
        # A pool makes a thread, and that one opens the store, when many ask at once.
        assert found[f"{what}, after"] <= found[f"{what}, before"] + SLACK
