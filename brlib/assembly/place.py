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
from ..disk import is_there, name_new, sync_names
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
            targets = _targets([wanted for _, wanted in made], plan, ours, task)
            _rename(made, targets, plan, ours, task)
            for directory in _up_to(plan.directory, parents):
                sync_names(directory)
            names = tuple(str(target) for target in targets)
            former = sidecar.find_own(ours, task.recording.id)
            trouble = _describe(names, former, task)
            # Of those that it had, what is still its own.
            _remove([Path(name) for name in task.owned() if name in ours and name not in names],
                    targets)
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


def _targets(
    wanted: Sequence[Path], plan: Plan, ours: tuple[str, ...], task: Task
) -> list[Path]:
    targets: list[Path] = []
    for path in wanted:
        targets.append(_target(path, plan, ours, targets, task))
    return targets


def _target(
    wanted: Path, plan: Plan, ours: tuple[str, ...], taken: list[Path], task: Task
) -> Path:
    """Overwriting, too, leaves a protected recording its file."""
    if not naming.inside(wanted, plan.directory):
        raise AssemblyFailed(f"{wanted} is not inside {plan.directory}",
                             "look for a link that leads out of it", hopeless=True)
    target, number = wanted, 1
    while target in taken or (
        is_there(target) and str(target) not in ours
        and (plan.when_exists != "overwrite" or task.guarded(target))
    ):
        if target not in taken and plan.when_exists == "skip":
            raise AssemblyFailed(
                f"{target} exists already and when_file_exists is skip; the capture is kept",
                "move that file away or choose another filename_template", hopeless=True)
        number += 1
        target = naming.numbered(wanted, number)
    return target


def _rename(
    made: Sequence[tuple[Path, Path]], targets: list[Path], plan: Plan, ours: tuple[str, ...],
    task: Task,
) -> None:
    """A name is noted before it is given, so that a crash in between leaves no file that
    nobody knows. Only another's, which this one takes the place of, is noted afterwards: until
    then what stands there is the other's. Another daemon may write to the same share: a name
    that it takes meanwhile is its own, and `targets` gets the next."""
    new = {target for target in targets if not is_there(target)}

    def note() -> None:
        known = [str(one) for one in targets if one in new or str(one) in ours]
        if set(known) - set(ours):
            task.naming(_together(ours, known))

    note()
    for number, (path, wanted) in enumerate(made):
        while (target := targets[number]) in new:
            try:
                name_new(path, target)
                break
            except FileExistsError:
                log.warning("%s: somebody else has taken %s just now", task.recording.id, target)
                task.naming(tuple(name for name in task.owned() if name != str(target)))
                ours = tuple(name for name in ours if name != str(target))
                new.discard(target)
                others = [*targets[:number], *targets[number + 1:]]
                targets[number] = _target(wanted, plan, ours, others, task)
                if not is_there(targets[number]):
                    new.add(targets[number])
                note()
        else:
            os.replace(path, target)
    if not {str(target) for target in targets} <= set(task.owned()):
        task.naming(_together(ours, [str(target) for target in targets]))


def _together(ours: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ours, *names)))


def _describe(names: tuple[str, ...], former: list[Path], task: Task) -> str | None:
    """Write the `.json`, which is no reason to fail; what went wrong."""
    try:
        written = sidecar.write(task.described(names))
    except OSError as error:
        log.warning("%s: its .json cannot be written: %s", task.recording.id, error)
        return f"The .json beside its file could not be written: {error}"
    _remove([path for path in former if path != written], [written])
    return None


def _remove(paths: list[Path], kept: Sequence[Path]) -> None:
    """Files that proven ones have replaced. What cannot go stays, and costs only room. Two
    names may be one file: a link among the directories, a share that knows no case."""
    for path in paths:
        try:
            if path.exists() and not any(path.samefile(one) for one in kept):
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


def files_left(files: tuple[str, ...], root: Path) -> tuple[str, ...]:
    """Those that are there; all of them where nobody can tell, because their root is away or its
    disk fails: a share comes back."""
    try:
        if not root.is_dir():
            return files
        return tuple(name for name in files if Path(name).exists())
    except OSError as error:
        log.warning("The files below %s cannot be looked at: %s", root, error)
        return files
