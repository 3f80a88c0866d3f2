"""Captures that are to go to an archive, for tests: made of a few bytes, on one disk or on two."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brlib import ledger
from brlib.assembly import Assembly
from brlib.assembly.moving import verify
from brlib.config import Settings
from brlib.errors import CaptureDamaged
from brlib.events import EventBus
from brlib.identity import notes_of
from brlib.ledger import ARCHIVE, Ledger
from brlib.models import Channel, Recording, RecordingStatus, Sums
from brlib.playlist import End, Note
from brlib.storage import _directories
from brlib.store import Store, open_store

from .test_ledger import facts

ID = "rec_000000000001"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "A: channel/with all?"
CHANNEL = Channel("ch_000000000001", "url", "x", NAME, "http://x/", "source", True, MOMENT)
ROW = Recording(ID, CHANNEL.id, NAME, "url", "t", RecordingStatus.COMPLETE, MOMENT)
MOVED = {"A_ channel_with all_", f"A_ channel_with all_/{ID}"}


def make_capture(directory: Path, recording: Recording = ROW) -> Sums:
    """Two parts."""
    one = Ledger.create(directory, 10)
    for key, value in notes_of(recording, CHANNEL).items():
        one.append(Note(key, value))
    for container, init in (("ts", b""), ("mp4", b"init")):
        one.begin_part(container, f".{container}", init)
        for num in range(3):
            body = b"%s %d " % (container.encode(), num) * 50
            one.append_segment(body, facts(num, body))
    one.append(End())
    one.close()
    return one.tally.sums


def other_disk(monkeypatch: pytest.MonkeyPatch, captures: Path, archive: Path) -> None:
    """Nothing can be renamed from one to the other."""
    really = os.rename

    def rename(source: Any, target: Any, **options: Any) -> None:
        if captures in Path(source).parents and archive in Path(target).parents:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        really(source, target, **options)

    monkeypatch.setattr(os, "rename", rename)


@dataclass
class Home:
    """A finished recording whose capture waits for the archive, and a clock that stands."""

    directory: Path
    archive: Path
    now_s: float = 1000.0

    def prepare(self) -> None:
        self.settings = Settings(
            data_directory=self.directory, output_directory=self.directory / "out",
            archive_directory=self.archive, min_free_space=0)
        self.captures.mkdir(parents=True)
        self.archive.mkdir(parents=True)
        self.sums = make_capture(self.waiting)
        store = self.open()
        self.add(store, ROW)
        store.close()

    def open(self) -> Store:
        """As a start does."""
        store = open_store(self.directory / "db")
        store.recordings.note_captures(_directories(self.captures))
        return store

    def add(self, store: Store, recording: Recording) -> None:
        store.recordings.add(replace(recording, sums=self.sums, file_size_bytes=1))

    def assembly(self, store: Store) -> Assembly:
        one = Assembly(lambda: self.settings, store, EventBus())
        one._archive._clock = lambda: self.now_s
        return one

    @property
    def captures(self) -> Path:
        return self.settings.captures_directory

    @property
    def capture(self) -> Path:
        return self.captures / ID

    @property
    def waiting(self) -> Path:
        return self.captures / (ID + ARCHIVE)

    @property
    def target(self) -> Path:
        return self.archive / "A_ channel_with all_" / ID

    def there(self) -> set[str]:
        """All there is, where captures are and in the archive."""
        return {str(path.relative_to(root)) for root in (self.captures, self.archive)
                for path in root.rglob("*") if path.is_dir()}


def is_whole(directory: Path) -> bool:
    try:
        verify(directory, lambda: None)
    except CaptureDamaged:
        return False
    return ledger.read(directory).sums.segments == 6


def used_bytes(store: Store) -> int:
    """What its capture counts."""
    return store.recordings.used_of(ID) - 1
