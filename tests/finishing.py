"""Recordings whose files cannot be made, for the tests of the assembly: a capture that was kept,
programs in FFmpeg's place."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from brlib import assembly
from brlib.models import Recording, RecordingStatus
from brlib.store import open_store

from .engine import Engine
from .faults import Offered
from .media import ts_clips
from .origin import Origin

# Reads all its input; the last argument is the file to write.
LAST = "cat > /dev/null; for o; do :; done; "


@dataclass(frozen=True)
class Captured:
    """A recording whose capture was kept and whose file could not be made."""

    recording_id: str
    data: Path
    offered: list[Offered]


class Waits:
    """Who wants a turn at being finished, and then keeps it."""

    def __init__(self, place: str = "") -> None:
        self.stop, self.busy, self.asked = threading.Event(), True, threading.Event()
        self.place = place
        self.rank = (0, 0.0, "")

    def moved(self) -> None:
        self.asked.set()


def capture_once(directory: Path) -> Captured:
    """Twelve seconds, recorded without an FFmpeg."""
    patch = pytest.MonkeyPatch()
    patch.setattr(assembly.assembly, "RETRY_S", (0.1,))
    one = Engine(directory, ffmpeg_path="/nowhere/ffmpeg")
    try:
        with Origin(window=0) as origin:
            recording_id = record(one, origin, 24)
            failed(one)
    finally:
        one.close()
        patch.undo()
    return Captured(recording_id, directory / "data", list(origin.offered))


def copy_of(captured: Captured, directory: Path) -> None:
    """The same for an engine in `directory`, whose files go there, too."""
    shutil.copytree(captured.data, directory / "data")
    store = open_store(directory / "data" / "battles-record.sqlite3")
    store.recordings.change(
        captured.recording_id, output_directory=str(directory / "recordings"))
    store.close()


def script(directory: Path, body: str) -> Path:
    """A program that is called as FFmpeg; the real ffprobe stands beside it."""
    directory.mkdir(exist_ok=True)
    path = directory / "ffmpeg"
    # Its version is asked for, too, and is no file to write.
    path.write_text(
        "#!/bin/sh\n[ \"$1\" = -version ] && exec /usr/bin/ffmpeg -version\n" + body)
    path.chmod(0o755)
    (directory / "ffprobe").symlink_to("/usr/bin/ffprobe")
    return path


def record(one: Engine, origin: Origin, count: int = 6) -> str:
    """A short broadcast, offered and ended; the recording's id."""
    for clip in ts_clips(24)[:count]:
        origin.add(clip)
    one.add(origin.url, display_name="Channel")
    recording_id: str = one.wait_segments(count).data["id"]
    origin.end()
    return recording_id


def failed(one: Engine) -> Recording:
    """The recording whose file cannot be made next."""
    event = one.wait("processing_failed")
    recording = one.recording(event.data["id"])
    assert recording.status is RecordingStatus.FAILED
    assert recording.error == event.data["error"]
    return recording
