"""Giving proven files their names, in place of the ones that the recording had before.

At every moment at least one proven file has a name and stands in the recording's row, where
there was one before: new names are noted, then given, then on the disk for good, and only
then the old files go. A directory that does not answer holds up nobody but those who name
into it, too.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .. import naming, sidecar
from ..disk import sync_names
from .base import AssemblyFailed, Finished, Plan, Suspended, Task

log = logging.getLogger(__name__)

# Naming takes a moment; whoever is at it longer has a disk that does not answer.
TURN_MAX_S = 300.0
LOOK_EVERY_S = 0.5
_NUMBER = re.compile(r" \(\d+\)$")


class Places:
    """Who names into which directories at this moment: two must not choose one name."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._changed = threading.Condition()

    def place(self, made: Sequence[tuple[Path, Path]], plan: Plan, task: Task) -> Finished:
        """Rename proven files, each to the name it wants or, where another file has that, as
        the settings say; then remove the files that the recording had before.

        Raises AssemblyFailed, OSError, sqlite3.Error, Suspended.
        """
        size_bytes = sum(path.stat().st_size for path, _ in made)
        parents = {wanted.parent for _, wanted in made}
        with self._alone(parents | {Path(name).parent for name in task.owned()}, task.stop):
            ours = task.owned()
            targets = _targets([wanted for _, wanted in made], plan, ours)
            _rename([path for path, _ in made], targets, ours, task)
            for directory in _up_to(plan.directory, parents):
                sync_names(directory)
            names = tuple(str(target) for target in targets)
            former = sidecar.find_own(ours, task.recording.id)
            trouble = _describe(names, former, task)
            _remove([Path(name) for name in ours if name not in names])
        return Finished(tuple(targets), size_bytes, trouble)

    @contextmanager
    def _alone(self, directories: set[Path], stop: threading.Event) -> Iterator[None]:
        """In all of them at once, so that nobody waits for a second one holding the first."""
        wanted = {os.path.realpath(directory) for directory in directories}
        end_s = time.monotonic() + TURN_MAX_S
        with self._changed:
            while self._held & wanted:
                if stop.is_set():
                    raise Suspended
                if time.monotonic() > end_s:
                    raise AssemblyFailed(
                        f"The output directory does not answer ({' or '.join(sorted(wanted))})",
                        "see what is wrong with its disk")
                self._changed.wait(LOOK_EVERY_S)
            self._held |= wanted
        try:
            yield
        finally:
            with self._changed:
                self._held -= wanted
                self._changed.notify_all()


def _targets(wanted: Sequence[Path], plan: Plan, ours: tuple[str, ...]) -> list[Path]:
    targets: list[Path] = []
    for path in wanted:
        targets.append(_target(path, plan, ours, targets))
    return targets


def _target(wanted: Path, plan: Plan, ours: tuple[str, ...], taken: list[Path]) -> Path:
    if not naming.inside(wanted, plan.directory):
        raise AssemblyFailed(f"{wanted} is not inside {plan.directory}",
                             "look for a link that leads out of it", hopeless=True)
    target, number = wanted, 1
    while target in taken or (
        target.exists() and str(target) not in ours and plan.when_exists != "overwrite"
    ):
        if target not in taken and plan.when_exists == "skip":
            raise AssemblyFailed(
                f"{target} exists already and when_file_exists is skip; the capture is kept",
                "move that file away or choose another filename_template", hopeless=True)
        number += 1
        target = naming.numbered(wanted, number)
    return target


def _rename(paths: list[Path], targets: list[Path], ours: tuple[str, ...], task: Task) -> None:
    """A name is noted before it is given, so that a crash in between leaves no file that
    nobody knows. Only another's, which this one takes the place of, is noted afterwards: until
    then what stands there is the other's."""
    names = [str(target) for target in targets]
    known = [name for name, target in zip(names, targets, strict=True)
             if name in ours or not target.exists()]
    if set(known) - set(ours):
        task.naming(_together(ours, known))
    for path, target in zip(paths, targets, strict=True):
        os.replace(path, target)
    if len(known) < len(names):
        task.naming(_together(ours, names))


def _together(ours: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ours, *names)))


def _describe(names: tuple[str, ...], former: list[Path], task: Task) -> str | None:
    """Write the `.json`, which is no reason to fail; what went wrong."""
    try:
        written = sidecar.write(task.described(names))
    except OSError as error:
        log.warning("%s: its .json cannot be written: %s", task.recording.id, error)
        return f"The .json beside its file could not be written: {error}"
    _remove([path for path in former if path != written])
    return None


def _remove(paths: list[Path]) -> None:
    """Files that proven ones have replaced. What cannot go stays, and costs only room."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s has been replaced and cannot be removed: %s", path, error)


def _up_to(root: Path, directories: set[Path]) -> set[Path]:
    """The directories and those above them down from `root`, all of which may be new."""
    found = set(directories)
    for directory in directories:
        found.update(p for p in directory.parents if p.is_relative_to(root))
    return found


def find_originals(files: Sequence[str]) -> list[Path] | None:
    """Which files hold the recording; None when one is missing.

    A crash leaves new files behind the ones that they were to replace, and then maybe not
    those any more: of each pair the first that is there. They are known by their stems,
    since a recording's several files always have different ones (`Plan.final`).
    """
    pairs: dict[tuple[Path, str], list[Path]] = {}
    for path in map(Path, files):
        stem = path.stem
        plain = _NUMBER.sub("", stem)
        key = (path.parent, stem if (path.parent, plain) not in pairs else plain)
        pairs.setdefault(key, []).append(path)
    found = [next((path for path in pair if path.exists()), None) for pair in pairs.values()]
    if not found:
        return None
    return [path for path in found if path is not None] if None not in found else None
