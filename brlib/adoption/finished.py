"""Finished files whose `.json` says whose they are: looked for where files go.

A loop of small steps, so that whoever runs it can stop: directories are read one by one. A
share that hangs holds up this search and nobody else. Used by `Adoption`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .. import sidecar
from ..identity import CHANNEL_ID, RECORDING_ID
from ..models import PLATFORMS, Course, Recording

log = logging.getLogger(__name__)

DEPTH_MAX = 8
ENTRIES_MAX = 1_000_000
TELL_EVERY = 20_000


@dataclass(frozen=True)
class Finished:
    recording: Recording
    course: Course


def search(
    roots: Iterable[Path], unread: set[Path], daemon: str | None = None
) -> Iterator[Finished | None]:
    """Each finished recording below these directories that is not another daemon's; None after
    each directory and each other `.json`, for a chance to stop. What cannot be read is told of
    and left out; `unread` gets those of the roots that cannot."""
    seen, told = 0, TELL_EVERY
    for root in _outermost(roots):
        log.info("Looking for finished recordings in %s", root)
        waiting = [(root, 0)]
        while waiting:
            directory, depth = waiting.pop()
            try:
                folders, texts, count = _listed(directory)
            except OSError as error:
                log.warning("%s cannot be looked through: %s", directory, error)
                if directory == root:
                    unread.add(root)
                yield None
                continue
            seen += count
            if seen > ENTRIES_MAX:
                log.warning("More than %d entries below %s: the rest is not looked at",
                            ENTRIES_MAX, root)
                return
            if seen >= told:
                log.info("Looked at %d entries so far, now in %s", seen, directory)
                told = seen + TELL_EVERY
            if depth < DEPTH_MAX:
                waiting += [(folder, depth + 1) for folder in folders]
            for path in texts:
                yield read(path, root, daemon)
            yield None


def _outermost(roots: Iterable[Path]) -> list[Path]:
    """Without those that lie in others."""
    unique = set(roots)
    return sorted(root for root in unique if not unique & set(root.parents))


def _listed(directory: Path) -> tuple[list[Path], list[Path], int]:
    """Folders, `.json` files, and how many entries there are. Links lead elsewhere. Raises
    OSError."""
    folders, texts, count = [], [], 0
    with os.scandir(directory) as entries:
        for entry in entries:
            count += 1
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.name.endswith(sidecar.SUFFIX) and entry.is_file(follow_symlinks=False):
                texts.append(Path(entry.path))
    return folders, sorted(texts), count


def read(path: Path, root: Path, daemon: str | None = None) -> Finished | None:
    """The recording that a `.json` below `root` speaks of, with those of its files that are
    there; None when it is none of ours or none of them is. One that does not tell whose it is
    is taken for ours."""
    try:
        said = sidecar.read(path)
        if said is None or not _legal(said.recording):
            return None
        if said.daemon is not None and daemon is not None and said.daemon != daemon:
            log.debug("%s is of another daemon", path)
            return None
        sizes = {name: Path(name).stat().st_size for name in said.recording.files
                 if Path(name).is_file() and not Path(name).is_symlink()}
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error)
        return None
    if not sizes:
        log.info("%s: its files are gone; it is not listed again", path)
        return None
    return Finished(replace(
        said.recording, files=tuple(sizes), file_size_bytes=sum(sizes.values()),
        output_directory=str(root)), said.course)


def _legal(recording: Recording) -> bool:
    return bool(
        RECORDING_ID.fullmatch(recording.id) and CHANNEL_ID.fullmatch(recording.channel_id)
        and recording.platform in PLATFORMS)
