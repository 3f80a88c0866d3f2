"""How a recording is left: closed for good and told of, to be continued, or without a trace.

Used by `ActiveRecording` once it records no more. Each step raises what went wrong and is done
again from where it stood; what was told is not told twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from ..errors import CaptureDamaged, DiskHangs
from ..models import EndReason, Gap, RecordingStatus
from . import facts
from .base import Outside, Over
from .reception import Reception
from .row import Row
from .setbacks import Setbacks

log = logging.getLogger(__name__)


class Ending:
    def __init__(
        self, outside: Outside, row: Row, reception: Reception, now: Callable[[], datetime]
    ) -> None:
        self._outside = outside
        self._row = row
        self._reception = reception
        self._now = now
        self._to_tell: list[Callable[[], object]] = []

    def drop(self, given_up: Setbacks | None) -> None:
        """Nothing ever came, and there is no recording. `given_up`: why it is not tried again.
        Raises OSError, sqlite3.Error, Unavailable."""
        self._reception.suspend()
        if given_up is not None:
            self._outside.on_over(Over(
                self._row.recording.channel_id, None, None, given_up.error, given_up.trouble))

    def keep(self, reason: EndReason) -> None:
        """So that it is ended, and not recorded on, should this process not be able to."""
        if self._row.recording.active:
            self._row.keep(end_reason=reason)

    def suspend(self) -> None:
        """To be continued. Raises OSError, sqlite3.Error, Unavailable."""
        self._reception.suspend()
        self._row.change(sums=self._reception.sums)

    def finish(self, reason: EndReason, broadcast_id: str | None) -> None:
        """Close it for good and say so. Raises DiskHangs, sqlite3.Error, Unavailable."""
        if self._row.recording.status is not RecordingStatus.PROCESSING:
            gaps = self._close(reason)
            self._note(reason, broadcast_id, gaps)
            self._to_tell = self._news(reason, gaps)
        while self._to_tell:
            self._to_tell[0]()
            del self._to_tell[0]

    def _close(self, reason: EndReason) -> list[Gap]:
        try:
            return self._reception.finish(over=not reason.cut_short)
        except DiskHangs:
            raise
        except (CaptureDamaged, OSError) as error:
            # It stays as it is; the assembly says what can be made of it.
            log.error("%s: its capture cannot be closed: %s", self._row.recording.id, error)
            return self._reception.gaps

    def _note(self, reason: EndReason, broadcast_id: str | None, gaps: list[Gap]) -> None:
        """`broadcast_id` as it is now: whoever asks whether it is over, asks for that."""
        self._row.set_course(gaps, self._reception.course)
        self._row.change(status=RecordingStatus.PROCESSING, ended_at=self._now(),
                         end_reason=reason, sums=self._reception.sums, broadcast_id=broadcast_id)
        recording = self._row.recording
        log.info("%s ended (%s): %d segments, %.1f s, completeness %.4f", recording.id, reason,
                 recording.sums.segments, recording.sums.captured_s,
                 recording.sums.completeness)

    def _news(self, reason: EndReason, gaps: list[Gap]) -> list[Callable[[], object]]:
        recording = self._row.recording
        over = Over(recording.channel_id, reason, self._reception.tail)
        return [
            partial(self._outside.bus.publish, "recording_ended", facts.ended(recording, gaps)),
            partial(self._outside.on_ended, recording),
            partial(self._outside.on_over, over),
        ]
