"""The small `.json` beside a finished recording: its row and what happened in it.

Written by `brlib.assembly` before a recording becomes complete, deleted with its file by
`brlib.storage`, read by whoever lists the recordings again when the store is lost. It holds
no secret and, of a stream by address, nothing of that but the host.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .disk import is_there, name_new, sync_names
from .errors import hosts_only
from .models import (
    Change, Course, EndReason, Gap, GapCause, Recording, RecordingStatus, Sums, iso,
)

FORMAT = "battles-record"
VERSION = 1
SUFFIX = ".json"
# A day of nothing but gaps stays far below it.
SIZE_MAX_BYTES = 16 * 1024 ** 2
# What no title or name comes near, and a whole number that SQLite takes.
TEXT_MAX = 10_000
WHOLE_MAX = 2 ** 62
# What is there and is none of ours: a link, another user's own, a socket.
_NONE_OF_OURS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO)


@dataclass(frozen=True)
class Sidecar:
    """A complete recording with the paths of its files, their sizes, and what is missing.

    `recording.output_directory` is None: the root is whoever finds it to say. `daemon`: the
    mark of the one that made it; None where it does not tell.
    """

    recording: Recording
    course: Course
    sizes_bytes: tuple[int, ...]
    channel_url: str | None = None
    daemon: str | None = None


# Its shape.


def text(sidecar: Sidecar) -> str:
    """What the file says. Names are relative to it; the gaps are as the API shows them."""
    subject, sums = sidecar.recording, sidecar.recording.sums
    return json.dumps({
        "format": FORMAT,
        "version": VERSION,
        "daemon": sidecar.daemon,
        "id": subject.id,
        "channel": {
            "id": subject.channel_id, "name": subject.channel_name,
            "platform": subject.platform, "url": _shown_url(subject, sidecar.channel_url),
        },
        "title": subject.title,
        "category": subject.category,
        "quality": subject.quality,
        "broadcast_id": _shown_broadcast(subject),
        "started_at": iso(subject.started_at),
        "ended_at": iso(subject.ended_at),
        "end_reason": subject.end_reason.value if subject.end_reason else None,
        "segments": sums.segments,
        "bytes": sums.captured_bytes,
        "duration": round(sums.captured_s, 3),
        "missing": round(sums.gap_s, 3),
        "parts": sums.parts,
        "completeness": round(sums.completeness, 6),
        "gaps": [_gap_text(gap) for gap in sidecar.course.gaps],
        "changes": [{"offset": round(one.offset_s, 3), one.key: one.value}
                    for one in sidecar.course.changes],
        "files": [{"name": Path(name).name, "size": size_bytes} for name, size_bytes
                  in zip(subject.files, sidecar.sizes_bytes, strict=True)],
        "filename_template": subject.filename_template,
    }, ensure_ascii=False, indent=1) + "\n"


def _shown_url(subject: Recording, url: str | None) -> str | None:
    return hosts_only(url) if url and subject.platform == "url" else url


def _shown_broadcast(subject: Recording) -> str | None:
    return hosts_only(subject.broadcast_id) if subject.broadcast_id else subject.broadcast_id


def _gap_text(gap: Gap) -> dict[str, Any]:
    return {
        "started_at": iso(gap.started_at), "offset": round(gap.offset_s, 3),
        "duration": round(gap.duration_s, 3), "segments": gap.segments, "cause": gap.cause.value,
    }


def parse(content: str, directory: Path) -> Sidecar | None:
    """What a file in `directory` says; None when it is none of ours, or not whole.

    Files are in `directory` itself, whatever it says. Anybody may have written it: what the
    store or a list of recordings could not take is not let in.
    """
    try:
        said = json.loads(content)
        if said["format"] != FORMAT or said["version"] != VERSION or said.get("listed") is False:
            return None
        return _sidecar(said, directory)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _sidecar(said: dict[str, Any], directory: Path) -> Sidecar:
    gaps = tuple(_gap(entry) for entry in _list(said["gaps"]))
    files = _list(said["files"])
    names = [_plain_name(entry["name"]) for entry in files]
    sizes_bytes = tuple(_whole(entry["size"]) for entry in files)
    recording = Recording(
        id=_string(said["id"]),
        channel_id=_string(said["channel"]["id"]),
        channel_name=_string(said["channel"]["name"]),
        platform=_string(said["channel"]["platform"]),
        title=_string(said["title"]),
        status=RecordingStatus.COMPLETE,
        started_at=_moment(said["started_at"]),
        category=_string_or_none(said["category"]),
        quality=_string(said["quality"]),
        broadcast_id=_string_or_none(said["broadcast_id"]),
        ended_at=_moment(said["ended_at"]) if said["ended_at"] else None,
        end_reason=EndReason(said["end_reason"]) if said["end_reason"] else None,
        sums=Sums(
            segments=_whole(said["segments"]), captured_bytes=_whole(said["bytes"]),
            captured_s=_seconds(said["duration"]), gaps=len(gaps),
            gap_s=_seconds(said["missing"]), parts=_whole(said["parts"])),
        files=tuple(str(directory / name) for name in names),
        file_size_bytes=sum(sizes_bytes),
        filename_template=_string_or_none(said["filename_template"]),
    )
    # Older ones say nothing of changes.
    changes = tuple(_change(entry) for entry in _list(said.get("changes", [])))
    return Sidecar(recording, Course(gaps, changes), sizes_bytes,
                   _string_or_none(said["channel"]["url"]),
                   _string_or_none(said.get("daemon")))


def _gap(said: dict[str, Any]) -> Gap:
    return Gap(_moment(said["started_at"]), _seconds(said["offset"]), _seconds(said["duration"]),
               _whole(said["segments"]), GapCause(said["cause"]))


def _change(said: dict[str, Any]) -> Change:
    offset_s = _seconds(said["offset"])
    ((key, value),) = ((key, said[key]) for key in ("title", "category") if key in said)
    return Change(offset_s, key, _string(value))


def _moment(said: str) -> datetime:
    moment = datetime.fromisoformat(said)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)


def _whole(said: Any) -> int:
    if type(said) is not int or not 0 <= said <= WHOLE_MAX:
        raise ValueError("no count")
    return said


def _seconds(said: Any) -> float:
    if type(said) not in (int, float) or not math.isfinite(said) or not 0 <= said <= WHOLE_MAX:
        raise ValueError("no length of time")
    return float(said)


def _list(said: Any) -> list[Any]:
    if not isinstance(said, list):
        raise ValueError("no list")
    return said


def _string(said: Any) -> str:
    if not isinstance(said, str) or len(said) > TEXT_MAX:
        raise ValueError("no text")
    said.encode()  # half a character is none, for the store
    return said


def _string_or_none(said: Any) -> str | None:
    return None if said is None else _string(said)


def _plain_name(said: Any) -> str:
    name = _string(said)
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("no name of a file")
    return name


# Where it is.


def candidates(files: Iterable[str]) -> list[Path]:
    """Where the `.json` of a recording with these files may be: `name.json` beside the first
    of them, `name.mp4.json` where that name belongs to something else."""
    for first in files:
        path = Path(first)
        return [path.with_name(path.stem + SUFFIX), path.with_name(path.name + SUFFIX)]
    return []


def read(path: Path) -> Sidecar | None:
    """None when there is none of ours, or not whole. Raises OSError."""
    try:
        # A FIFO of that name keeps nobody waiting.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NONE_OF_OURS:
            return None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    with open(fd, "rb") as file:
        content = file.read(SIZE_MAX_BYTES + 1)
    if len(content) > SIZE_MAX_BYTES:
        return None
    return parse(content.decode("utf-8", "replace"), path.parent)


def find_own(files: Iterable[str], recording_id: str) -> list[Path]:
    """The `.json` files beside these files that are this recording's. Raises OSError."""
    return [path for path in candidates(files)
            if (found := read(path)) is not None and found.recording.id == recording_id]


def write(sidecar: Sidecar) -> Path:
    """Put it beside its recording's first file, at once and whole; the path.

    Never over anything else: only over one of the same recording, or one that speaks of
    files which are this recording's now. Raises OSError.
    """
    path, new = _place(sidecar)
    _put(path, text(sidecar), sidecar.recording.id, name_new if new else os.replace)
    return path


def disown(files: Iterable[str], recording_id: str) -> None:
    """The recording is no longer listed and its files stay: nobody is to list it again, and
    then delete them for their age. Raises OSError."""
    for path in find_own(files, recording_id):
        said = json.loads(path.read_text("utf-8"))
        _put(path, json.dumps({**said, "listed": False}, ensure_ascii=False, indent=1) + "\n",
             recording_id, os.replace)


def _put(path: Path, content: str, recording_id: str, name: Callable[[Path, Path], None]) -> None:
    temporary = path.with_name(f".{recording_id}.{secrets.token_hex(4)}{SUFFIX}.part")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        name(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_names(path.parent)


def _place(sidecar: Sidecar) -> tuple[Path, bool]:
    """The path, and whether nothing is there yet."""
    subject = sidecar.recording
    for path in candidates(subject.files):
        if not is_there(path):
            return path, True
        there = read(path)
        if there is not None and (there.recording.id == subject.id
                                  or set(there.recording.files) & set(subject.files)):
            return path, False
    raise FileExistsError(f"the names for it beside {subject.file_path} are taken")


def of(recording: Recording, course: Course, channel_url: str | None,
       daemon: str | None = None) -> Sidecar:
    """Of a recording whose files have their names. Raises OSError."""
    sizes_bytes = tuple(Path(name).stat().st_size for name in recording.files)
    return Sidecar(replace(
        recording, status=RecordingStatus.COMPLETE, error=None, output_directory=None,
        file_size_bytes=sum(sizes_bytes)), course, sizes_bytes, channel_url, daemon)
