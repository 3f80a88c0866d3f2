"""How each recording is to be finished, as the settings and its channel say at this moment.

Asked by `Assembly` before each try, and by storage's rules.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from ..config import Settings
from ..errors import ChannelNotFound, Unavailable
from ..models import Channel, Recording
from ..processing import Processing, merged
from ..store import Store
from ..workers import end_strays
from .base import Plan

log = logging.getLogger(__name__)

# How far what is made afterwards stands back behind captures and live files.
NICE = 10


class Plans:
    def __init__(self, settings: Callable[[], Settings], store: Store) -> None:
        self._settings = settings
        self._store = store
        # Of which channel that was told last.
        self._passed_over: tuple[str, str] | None = None

    def processing_of(self, recording: Recording) -> Processing:
        """As the settings and its channel say now."""
        usual, channel = self._settings().processing, self._channel(recording)
        try:
            return merged(usual, channel.processing if channel else None)
        except ValueError as error:
            # What an earlier version let through. Storage's rules ask again and again.
            if (said := (recording.channel_id, str(error))) != self._passed_over:
                self._passed_over = said
                log.warning("%s: its channel's own processing is passed over: %s",
                            recording.channel_name, error)
            return usual

    def live(self, recording: Recording) -> bool:
        """Whether its file grows with it; while the store is out of order as the settings say."""
        try:
            return self.processing_of(recording).live
        except (Unavailable, sqlite3.Error) as error:
            log.warning("%s: its channel cannot be read yet: %s", recording.id, error)
            return self._settings().processing.live

    def _channel(self, recording: Recording) -> Channel | None:
        """A recording outlives its channel."""
        try:
            return self._store.channels.get(recording.channel_id)
        except ChannelNotFound:
            return None

    def plan(
        self, recording: Recording, wanted: Processing | None = None, *, live: bool
    ) -> Plan:
        """`wanted`: as it was a moment ago, where one try is to be of one mind."""
        return Plan.of(recording, self._settings(), wanted or self.processing_of(recording),
                       0 if live else NICE)

    def rank(self, recording: Recording) -> tuple[int, float, str]:
        """Whose is less is finished first: the higher priority, then who has waited longer."""
        channel = self._channel(recording)
        waits_since = recording.ended_at or recording.started_at
        return -channel.priority if channel else 0, waits_since.timestamp(), recording.id

    def remove_leftovers(self, recording: Recording) -> None:
        """Temporary files that no process finished. Raises OSError.

        Only an FFmpeg that is fed ends with us, however we end: one that encodes a file would go
        on for hours beside the next."""
        found = self.plan(recording, live=False).leftovers(recording.id)
        if found:
            end_strays({str(path) for path in found})
        for path in found:
            path.unlink(missing_ok=True)

    def clear_place(self, recording: Recording) -> None:
        """Remove what was begun for a recording's files, and the folders made for it alone.
        Raises OSError."""
        self.remove_leftovers(recording)
        plan = self.plan(recording, live=False)
        for folder in plan.stem.parents:
            if not folder.is_relative_to(plan.directory) or folder == plan.directory:
                return
            if not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()
