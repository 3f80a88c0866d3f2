"""Whether the directories that someone asks for can be used; and making them."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import Problem
from ..naming import inside
from .settings import Settings, clashes, different


def find_problems(before: Settings, after: Settings, captures: Path) -> list[Problem]:
    """What is wrong with the directories that are others than before. Changes nothing.

    `captures` is where captures are now: they move with the next start only.
    """
    changed = {"data_directory", "output_directory"}.intersection(different(before, after))
    problems = clashes(after)
    for name in sorted(changed):
        if problem := _problem(getattr(after, name)):
            problems.append(Problem(name, problem))
    for place in {captures.parent, after.data_directory}:
        if changed and (problem := among_data(after.output_directory, place)):
            name = "output_directory" if "output_directory" in changed else "data_directory"
            problems.append(Problem(name, problem))
    return problems


def among_data(output: Path, data: Path) -> str | None:
    """Why finished files may not go into `output`: what is in the data directory is the
    daemon's own, to clear as it likes."""
    if inside(output / "file", data):
        return f"would put finished files into the data directory {data}"
    return None


def make(before: Settings, after: Settings) -> None:
    """A new output directory holds at once and must be there at once. Raises OSError."""
    if after.output_directory != before.output_directory:
        after.output_directory.mkdir(parents=True, exist_ok=True)


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
