"""Table `file` in its quick mode, and the broadcasts that its origin makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.base import OURS, Round
from bench.broadcast import template
from bench.tables import file


def test_a_template_repeats_without_a_seam(tmp_path: Path) -> None:
    """Longer than the 16 repeats after which counters are as they were."""
    template.make(tmp_path, template.SMALL)
    media = template.Template(tmp_path)
    count = 17 * template.SEGMENTS
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(media.segment(number) for number in range(count)))
    for stream, step in (("v:0", 90_000 // template.FRAMES_PER_S), ("a:0", 1920)):
        done = subprocess.run(
            ["ffprobe", "-v", "warning", "-select_streams", stream, "-show_entries",
             "packet=pts", "-of", "csv=p=0", str(whole)],
            check=True, timeout=60, capture_output=True, text=True)
        stamps = [int(line.strip(",")) for line in done.stdout.split()]
        assert done.stderr == ""
        assert {after - before for before, after in zip(stamps, stamps[1:])} == {step}
        if stream == "v:0":
            assert len(stamps) == count * template.SEGMENT_FRAMES


def test_the_quick_table_is_complete(tmp_path: Path) -> None:
    figures = list(file.measure(Round(1, True, lambda words: None, tmp_path)))
    assert {figure.contestant for figure in figures} == {OURS, file.AFTER, file.REMUX}
    assert [figure.complete for figure in figures if figure.what == file.TO_FILE] == [True] * 3
    assert list(tmp_path.iterdir()) == [tmp_path / "template"]
