"""Tests of brlib.ballast: a data disk without one free byte, and what is said of it."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brlib import ballast
from brlib.ballast import FILE, SIZE_BYTES, Ballast

from .engine import Engine


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True,
        check=False, timeout=10)
    if made.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {made.stderr.decode(errors='replace').strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


def fill(place: Path) -> None:
    with open(place / "others", "wb", buffering=0) as file, pytest.raises(OSError) as caught:
        while True:
            file.write(bytes(4096))
    assert caught.value.errno == errno.ENOSPC and os.statvfs(place).f_bavail == 0


def test_it_starts_on_a_full_disk_and_its_ballast_comes_back(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ballast, "ROOM_BYTES", 2 * SIZE_BYTES)
    path = small_disk / "data" / FILE
    Engine(small_disk).close()
    assert path.stat().st_size == SIZE_BYTES
    fill(small_disk)
    one = Engine(small_disk)
    try:
        assert not path.exists() and one.service.store.channels.find_all() == []
        (small_disk / "others").unlink()
        one.service._room_again()
        assert path.stat().st_size == SIZE_BYTES
    finally:
        one.close()


def test_without_any_it_says_what_is_full(small_disk: Path) -> None:
    """As SQLite puts it: a disk I/O error."""
    Engine(small_disk).close()
    data = small_disk / "data"
    assert not (data / FILE).exists(), "too small a disk for it"
    fill(small_disk)
    with pytest.raises(sqlite3.OperationalError) as caught:
        Engine(small_disk)
    said = Ballast(data).reason(caught.value)
    assert f"the disk of {data} is full (disk I/O error)" in said and "are safe" in said


@pytest.mark.parametrize("free, there, after", [
    (0, True, False), (0, False, False), (SIZE_BYTES - 1, True, False),
    (SIZE_BYTES, True, True), (ballast.ROOM_BYTES - 1, False, False),
    (ballast.ROOM_BYTES, False, True), (ballast.ROOM_BYTES, True, True),
])
def test_when_it_comes_and_goes(
    free: int, there: bool, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        (tmp_path / FILE).write_bytes(b"as it was")
    monkeypatch.setattr(Ballast, "_free_bytes", lambda self: free)
    Ballast(tmp_path).settle()
    assert os.listdir(tmp_path) == ([FILE] if after else [])
    if there and after:
        assert (tmp_path / FILE).read_bytes() == b"as it was", "not written at each start"


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize("make, free, full", [
    (lambda: sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), 0, True),
    (lambda: sqlite_error(sqlite3.SQLITE_IOERR), SIZE_BYTES, False),
    (lambda: sqlite_error(sqlite3.SQLITE_FULL), 0, True),
    (lambda: sqlite_error(sqlite3.SQLITE_BUSY), 0, False),
    (lambda: OSError(errno.ENOSPC, "No space left on device"), SIZE_BYTES, True),
    (lambda: OSError(errno.EDQUOT, "Disk quota exceeded"), SIZE_BYTES, True),
    (lambda: OSError(errno.EACCES, "Permission denied"), 0, False),
])
def test_what_is_said(
    make: Callable[[], Exception], free: int, full: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ballast, "_free_bytes", lambda self: free)
    error = make()
    said = Ballast(tmp_path).reason(error)
    assert str(error) in said and ("is full" in said) is full
