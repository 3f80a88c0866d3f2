"""Tests of brlib.presence: files that someone has deleted, and shares that are only away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from brlib import presence
from brlib.config import Settings
from brlib.disks import Disks
from brlib.models import Recording, RecordingStatus
from brlib.presence import MISSING, Presence, verdict
from brlib.store import Store, open_store

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Home:
    """Finished files in directories of their own."""

    store: Store
    presence: Presence
    root: Path

    def add(self, name: str, count: int = 1, root: Path | None = None,
            error: str | None = None) -> list[Path]:
        folder = root or self.root
        folder.mkdir(exist_ok=True)
        files = [folder / f"{name} {number}.mp4" for number in range(count)]
        for file in files:
            file.write_bytes(bytes(10))
        self.store.recordings.add(Recording(
            id=name, channel_id="ch_1", channel_name="x", platform="url", title=name,
            status=RecordingStatus.COMPLETE, started_at=WHEN, files=tuple(map(str, files)),
            file_size_bytes=10 * count, output_directory=str(folder), error=error))
        return files

    def seen(self, name: str) -> tuple[int, str | None]:
        one = self.store.recordings.get(name)
        return one.file_size_bytes, one.error


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    settings = Settings(data_directory=tmp_path, output_directory=tmp_path / "out")
    store = open_store(tmp_path / "store.db")
    disks = Disks(lambda: settings)
    disks.start()
    yield Home(store, Presence(lambda: settings, store, disks), tmp_path / "out")
    disks.stop()
    assert disks.join(5)
    store.close()


def test_what_is_gone_is_said_and_what_is_back_is_well(home: Home) -> None:
    home.add("other")
    first, second = home.add("a", 2)
    home.presence.look()
    assert home.seen("a") == (20, None)
    second.unlink()
    for _ in range(2):
        home.presence.look()
        assert home.seen("a") == (10, f"{MISSING}{second}")
    first.unlink()
    home.presence.look()
    assert home.seen("a") == (0, f"{MISSING}{first}, {second}")
    # Where it was is still known.
    assert home.store.recordings.get("a").files == (str(first), str(second))
    for file in (first, second):
        file.write_bytes(bytes(10))
    home.presence.look()
    assert home.seen("a") == (20, None) and home.seen("other") == (10, None)


@pytest.mark.parametrize("away", ["no directory", "empty"])
def test_a_share_that_is_away_is_no_loss(home: Home, tmp_path: Path, away: str) -> None:
    share = tmp_path / "share"
    home.add("a", root=share)
    (gone,) = home.add("b")
    home.add("c")
    gone.unlink()
    share.rename(tmp_path / "elsewhere")
    if away == "empty":
        share.mkdir()
    home.presence.look()
    assert home.seen("a") == (10, None) and home.seen("b") == (0, f"{MISSING}{gone}")


def test_all_pages_are_looked_at(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PAGE", 2)
    files = [home.add(f"r{number}")[0] for number in range(5)]
    for file in files[:-1]:
        file.unlink()
    home.presence.look()
    assert [home.seen(f"r{number}")[0] for number in range(5)] == [0, 0, 0, 0, 10]


def test_what_has_changed_meanwhile_is_left_alone(home: Home) -> None:
    home.add("a")
    seen = home.store.recordings.get("a")
    home.store.recordings.change("a", file_size_bytes=99)
    assert not home.store.recordings.note_files(seen, 0, "gone")
    home.store.recordings.change("a", status=RecordingStatus.PROCESSING)
    assert not home.store.recordings.note_files(home.store.recordings.get("a"), 0, "gone")
    assert home.seen("a") == (99, None)


@pytest.mark.parametrize("error, missing, expected", [
    (None, [], None), ("odd", [], "odd"), (None, ["a"], MISSING + "a"),
    ("odd", ["a", "b"], f"{MISSING}a, b\nodd"), (f"{MISSING}a\nodd", [], "odd"),
    (f"{MISSING}a", ["b"], MISSING + "b"), (f"{MISSING}a", [], None),
])
def test_verdict(error: str | None, missing: list[str], expected: str | None) -> None:
    assert verdict(error, missing) == expected
