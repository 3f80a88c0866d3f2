"""Whether the directories that someone asks for can be used; and making them."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import Problem
from ..naming import inside
from .clashes import clashes, in_data
from .settings import Settings, different

_DIRECTORIES = frozenset(("archive_directory", "data_directory", "output_directory"))


def unusable(settings: Settings) -> list[Problem]:
    """The directories that a start could not use. Changes nothing; root may find out more then."""
    return [Problem(name, problem) for name in sorted(_DIRECTORIES)
            if (place := getattr(settings, name)) and (problem := _problem(place))]


def find_problems(before: Settings, after: Settings, captures: Path) -> list[Problem]:
    """What is wrong with the directories that are others than before. Changes nothing.

    `captures` is where captures are now: they move with the next start only.
    """
    changed = _DIRECTORIES.intersection(different(before, after))
    problems = clashes(after)
    for name in sorted(changed):
        if (place := getattr(after, name)) and (problem := _problem(place)):
            problems.append(Problem(name, problem))
    archive = after.archive_directory
    for data in {captures.parent, after.data_directory}:
        if changed - {"archive_directory"} and (
                problem := among_data(after.output_directory, data)):
            name = "output_directory" if "output_directory" in changed else "data_directory"
            problems.append(Problem(name, problem))
        if archive and changed - {"output_directory"} and inside(archive / "capture", data):
            name = "archive_directory" if "archive_directory" in changed else "data_directory"
            problems.append(Problem(name, in_data(data)))
    return list(dict.fromkeys(problems))


def among_data(output: Path, data: Path) -> str | None:
    """Why finished files may not go into `output`: what is in the data directory is the
    daemon's own, to clear as it likes."""
    if inside(output / "file", data):
        return f"would put finished files into the data directory {data}"
    return None


def make(before: Settings, after: Settings) -> list[Problem]:
    """New directories for files hold at once and must be there at once; those that cannot."""
    problems = []
    for name in ("output_directory", "archive_directory"):
        place = getattr(after, name)
        if place is not None and place != getattr(before, name):
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                problems.append(Problem(name, f"cannot be made: {error.strerror}"))
    return problems


def _problem(directory: Path) -> str | None:
    try:
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
            return None
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if existing == directory:
        return "must be a directory that can be written"
    return f"does not exist and cannot be made in {existing}"
