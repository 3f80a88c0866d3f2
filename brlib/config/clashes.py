"""Options that are right by themselves and do not go together. Asks no disk."""

from __future__ import annotations

import os
from pathlib import Path

from .. import processing, schedule
from ..errors import Problem
from ..processing import Processing
from .settings import Settings


def clashes(settings: Settings) -> list[Problem]:
    """With directories that are `anchored`."""
    problems = []
    try:
        schedule.of_options(
            settings.schedule_days, settings.schedule_start, settings.schedule_end,
            settings.blackouts or "", settings.timezone, settings.schedule_end_behavior)
    except ValueError as error:
        problems.append(Problem("schedule_end", str(error)))
    if found := processing_clash(settings.processing, settings):
        problems.append(Problem(*found))
    data, archive = settings.data_directory, settings.archive_directory
    if archive is not None and _plain(archive).is_relative_to(_plain(data)):
        problems.append(Problem("archive_directory", in_data(data)))
    return problems


def processing_clash(wanted: Processing, settings: Settings) -> tuple[str, str] | None:
    """The option and what is wrong with it; `wanted` is the settings' own or a channel's."""
    if wanted.capture_after == "archive" and settings.archive_directory is None:
        return "capture_after", "archive needs an archive_directory"
    return processing.clash(wanted)


def in_data(data: Path) -> str:
    """What is there is the daemon's own, to clear as it likes."""
    return f"must not be inside the data directory {data}"


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path))
