"""What recordings take of the disks, as `Room` asks for it. Made by `Service`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..assembly import Assembly
from ..config import Settings
from ..disks import Use
from ..models import EndReason, Recording, RecordingStatus
from ..recorder import Recorder
from ..store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usage:
    store: Store
    recorder: Recorder
    assembly: Assembly
    settings: Callable[[], Settings]

    def uses(self) -> list[Use]:
        """Of every recording that is active or being finished."""
        found = {one.id: self._use(one, 0, active=False) for one in
                 self.store.recordings.find_with_status([RecordingStatus.PROCESSING])}
        running = self.recorder.find_active()
        priorities = {channel.id: channel.priority for channel in (
            self.store.channels.find_all() if running else ())}
        for active in running:
            channel = active.channel
            found[active.recording.id] = self._use(
                active.now(), priorities.get(channel.id, channel.priority),
                active=active.recording.active, trouble=active.trouble)
        return list(found.values())

    def _use(self, recording: Recording, priority: int, *, active: bool,
             trouble: str | None = None) -> Use:
        return Use(
            recording.id, priority,
            recording.output_directory or str(self.settings().output_directory),
            recording.sums.captured_bytes, self.assembly.fed_bytes(recording.id), active, trouble,
            self.assembly.plans.processing_of(recording).capture_after == "delete")

    def directories(self) -> Iterable[str]:
        """Where channels want their files."""
        return self.store.channels.find_directories()

    def stop(self, recording_id: str) -> None:
        """End a recording for want of room. Returns at once."""
        active = self.recorder.find(recording_id)
        if active is None:
            log.info("%s has ended by itself", recording_id)
            return
        active.stop(EndReason.DISK)
