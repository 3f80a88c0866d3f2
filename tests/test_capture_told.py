"""When a capture tells of a segment: as soon as everybody can see it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from brlib.capture import Capture
from brlib.capture.base import Source
from brlib.capture.capture import SYNC_EVERY_S
from brlib.ledger import Ledger


def test_a_segment_is_told_of_before_its_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk takes its time for that."""
    now_s, course, sync = [0.0], list[str](), Ledger.sync
    capture: Capture = Capture.create(
        "rec_1", tmp_path / "capture", clock=lambda: now_s[0],
        on_news=lambda: course.append(f"told of {capture.sums.segments}"))

    def synced(ledger: Ledger) -> None:
        sync(ledger)
        course.append("synced")

    monkeypatch.setattr(Ledger, "sync", synced)
    for num in range(2):
        capture.commit(Source(num, 0, 2.0, f"path{num}", None, False), bytes([num]) * 400, None,
                       threading.Event())
        now_s[0] += SYNC_EVERY_S
    assert course[-2:] == ["told of 2", "synced"]
    capture.finish()
