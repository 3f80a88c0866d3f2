"""The table `idle`, in small: it measures what it says, and the channels really are checked."""

from __future__ import annotations

from pathlib import Path

from bench.base import Round
from bench.tables.idle import TABLE
from bench.usage import MIB, memory


def test_quick(tmp_path: Path) -> None:
    """That every channel was found to be offline is seen to by the table itself."""
    figures = list(TABLE.measure(Round(1, True, print, tmp_path)))
    assert [(one.case, one.what) for one in figures] == [
        (case, what) for case in ("0 channels", "6 channels")
        for what in ("start", "CPU", "memory", "PSS", "RSS")]
    assert all(one.complete is None for one in figures)
    for case in ("0 channels", "6 channels"):
        found = {one.what: one.value for one in figures if one.case == case}
        assert 0 < found["PSS"] <= found["memory"] + 1 and found["memory"] <= found["RSS"] + 1
        assert found["start"] > 0 and found["CPU"] >= 0


def test_memory_of_nothing() -> None:
    assert memory([]).resident_bytes == 0
    assert memory([2 ** 22 + 1]).rss_bytes == 0, "a process that is gone"
    assert MIB == 1024 ** 2
