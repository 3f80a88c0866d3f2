"""What is told of a recording while it runs: that it has begun, and what came since.

Used by `ActiveRecording` in its own thread; its `Ending` tells of the end.
"""

from __future__ import annotations

from dataclasses import replace

from .. import identity
from ..models import Activity
from . import facts
from .base import Outside
from .reception import Reception
from .row import Row


class News:
    def __init__(self, outside: Outside, row: Row, reception: Reception) -> None:
        self._outside = outside
        self._row = row
        self._reception = reception
        self._told_segments = reception.sums.segments

    def fresh(self) -> int:
        """How many segments are not told of yet. There are fewer than were told of where a
        disk came back without the last ones: those behind them are fresh again."""
        held = self._reception.sums.segments
        self._told_segments = min(self._told_segments, held)
        return held - self._told_segments

    def recovered(self) -> None:
        """What the capture held before is no news."""
        self._told_segments = self._reception.sums.segments

    def begun(self) -> None:
        """Its first segment is on disk."""
        recording = self._row.recording
        self._reception.note("started_at", identity.begun_note(recording))
        for key in ("title", "category", "quality"):
            if value := getattr(recording, key):
                self._reception.note(key, value)
        self._outside.bus.publish("recording_started", facts.recording(recording))
        self._outside.on_begun(recording)

    def came(self, fresh: int, activity: Activity) -> None:
        sums = self._reception.sums
        self._told_segments += fresh
        self._outside.bus.publish(
            "segment_downloaded",
            facts.segment(replace(self._row.recording, sums=sums), activity, fresh))
