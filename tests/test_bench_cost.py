"""Table `cost` in its quick mode: all that was offered is recorded. Never a time."""

from __future__ import annotations

from pathlib import Path

from bench.base import Round
from bench.tables.cost import CPU, MEMORY, USER, measure


def test_everything_is_recorded(tmp_path: Path) -> None:
    figures = list(measure(Round(1, True, print, tmp_path)))
    assert {figure.contestant for figure in figures} == {"Battles Record", "ffmpeg"}
    assert {figure.what for figure in figures} == {CPU, USER, MEMORY}
    assert all(figure.complete for figure in figures if figure.contestant == "Battles Record")
