"""The disks: what recordings take, what is free, and deleting a recording's files.

Asked by the supervisor before a recording starts and by the API. Quotas and retention get
their room here.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from .config import Settings
from .models import Recording
from .naming import inside
from .store import Store

log = logging.getLogger(__name__)


class Storage:
    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    def prepare(self) -> None:
        """Make the directories. Raises OSError where they cannot be written."""
        for directory in (self._settings.captures_directory, self._settings.output_directory):
            directory.mkdir(parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(f"{directory} cannot be written")

    def free_bytes(self) -> int:
        """The least free space of the file systems that a recording needs."""
        roots = (self._settings.captures_directory, self._settings.output_directory)
        return min(shutil.disk_usage(root).free for root in roots)

    def room_for_recording(self) -> bool:
        return self.free_bytes() >= self._settings.min_free_space

    def info(self, active: list[Recording]) -> dict[str, Any]:
        """The storage object of the API; `active` recordings count with their captures."""
        by_channel = self._store.recordings.used_bytes()
        for recording in active:
            by_channel[recording.channel_id] = (
                by_channel.get(recording.channel_id, 0) + recording.sums.captured_bytes)
        return {
            "total_used": sum(by_channel.values()),
            "total_available": shutil.disk_usage(self._settings.output_directory).free,
            "quota": None,
            "quota_used_percent": None,
            "by_channel": {channel: used for channel, used in by_channel.items() if used},
        }

    def delete(self, recording: Recording, with_file: bool) -> None:
        """Remove a recording's capture and, if asked, its files: only inside the output
        directory, and only files. Raises OSError."""
        if with_file:
            root = Path(recording.output_directory or self._settings.output_directory)
            for name in recording.files:
                path = Path(name)
                if inside(path, root) and path.is_file():
                    path.unlink()
                    self._remove_empty_parents(path.parent, root)
                elif path.exists():
                    log.warning("%s is outside %s and is left alone", path, root)
        capture = self._settings.captures_directory / recording.id
        if capture.exists():
            shutil.rmtree(capture)

    @staticmethod
    def _remove_empty_parents(directory: Path, root: Path) -> None:
        while inside(directory, root) and not any(directory.iterdir()):
            directory.rmdir()
            directory = directory.parent
