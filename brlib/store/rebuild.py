"""A damaged database set aside and a new one made of what it still gives.

Called by `open_or_rebuild`, under the lock on the data directory. Nothing is ever deleted: the
old files get another name. A file beside the database says that a rebuild is under way, until
`Rebuilt.done`; so one that a crash ended is gone on with.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..disk import sync
from ..models import iso, utc_now
from .base import Database, need_time, suspect_file, to_text
from .damage import damage_of
from .salvage import salvage

log = logging.getLogger(__name__)

# The database last: once it has its other name, all have.
_ENDINGS = ("-wal", "-shm", "")


@dataclass(frozen=True)
class Rebuilt:
    """`aside` is where the damaged database is now; its log beside it, if it had one."""

    at: datetime
    reason: str
    aside: Path
    marker: Path

    def __str__(self) -> str:
        return f"the store was damaged on {iso(self.at)} ({self.reason})"

    def done(self) -> None:
        """Everything that can be found is in the new database. Raises OSError."""
        self.marker.unlink(missing_ok=True)


def mend(path: Path, expected: bool) -> Rebuilt | None:
    """See that there is a sound database in `path`, or none where none is expected; what had
    to be done for it. None: nothing.

    Raises sqlite3.Error, OSError where the trouble is not the database's.
    """
    # Its log is beside the file itself, wherever a link leads.
    path = path.resolve()
    begun = _find_begun(path)
    if begun is not None and not (begun.aside.exists() and path.exists()):
        return _rebuild(path, begun)
    if path.exists():
        reason = damage_of(path)
    else:
        reason = "it is gone" if expected or _log_of(path).exists() else None
    if reason is None:
        suspect_file(path).unlink(missing_ok=True)
        return begun
    now = utc_now()
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S%fZ}")
    return _rebuild(path, Rebuilt(now, reason, aside, _marker_of(path)))


def _rebuild(path: Path, plan: Rebuilt) -> Rebuilt:
    log.warning("%s is damaged: %s. It is set aside as %s and rebuilt", path, plan.reason,
                plan.aside)
    _write_down(plan)
    if not plan.aside.exists():
        for ending in _ENDINGS:
            _rename(path.with_name(path.name + ending),
                    plan.aside.with_name(plan.aside.name + ending))
    new = path.with_name(path.name + ".new")
    for ending in _ENDINGS:
        new.with_name(new.name + ending).unlink(missing_ok=True)
    database = Database(new)
    try:
        salvage(plan.aside, database)
    finally:
        database.close()
    if _log_of(new).exists():
        raise OSError(f"{new} could not be completed: its log is still there")
    suspect_file(path).unlink(missing_ok=True)
    os.replace(new, path)
    sync(path.parent)
    return plan


def _rename(old: Path, new: Path) -> None:
    try:
        os.rename(old, new)
    except FileNotFoundError:
        if not _is_beside(old):
            # So that the next start sees how far this one came.
            new.touch(0o600)


def _is_beside(path: Path) -> bool:
    return path.name.endswith(_ENDINGS[:-1])


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _marker_of(path: Path) -> Path:
    return path.with_name(path.name + ".rebuilding")


def _write_down(plan: Rebuilt) -> None:
    text = json.dumps(
        {"at": to_text(plan.at), "reason": plan.reason, "aside": plan.aside.name})
    half = plan.marker.with_name(plan.marker.name + ".part")
    half.write_text(text, "utf-8")
    sync(half)
    os.replace(half, plan.marker)
    sync(plan.marker.parent)


def _find_begun(path: Path) -> Rebuilt | None:
    """A rebuild that an earlier process began."""
    marker = _marker_of(path)
    try:
        said = json.loads(marker.read_text("utf-8"))
        return Rebuilt(need_time(said["at"]), str(said["reason"]),
                       path.with_name(Path(said["aside"]).name), marker)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s says nothing: %s", marker, error)
        return None
