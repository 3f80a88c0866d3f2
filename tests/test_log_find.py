"""Tests of brlib.log_ring.find: what it leaves out, and what it never leaves out."""

from __future__ import annotations

import json
import logging
import os
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from brlib import log_ring
from brlib.errors import Unavailable
from brlib.log_ring import NEWER, OLDER, RING_LEAST_BYTES, Ring, find

from .test_log_ring import BEGIN, WAIT_S, messages, record

MIDDLE = 2 * 1024 ** 2


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def ring(directory: Path) -> Iterator[Ring]:
    with closing(Ring(directory, RING_LEAST_BYTES)) as one:
        yield one


@pytest.mark.parametrize("asked, expected", [
    ({}, [5, 4, 3, 2, 1, 0]), ({"limit": 2}, [5, 4]), ({"limit": 2, "offset": 3}, [2, 1]),
    ({"offset": 5}, [0]), ({"offset": 6}, []), ({"limit": 0}, []),
    ({"level": "debug"}, [5, 4, 3, 2, 1, 0]), ({"level": "info"}, [5, 3, 2, 1]),
    ({"level": "warn"}, [5, 3, 2]), ({"level": "error"}, [5, 3]),
    ({"level": "error", "offset": 1}, [3]),
    ({"since": BEGIN + timedelta(seconds=4)}, [5, 4]),
    ({"until": BEGIN + timedelta(seconds=1)}, [1, 0]),
    ({"since": BEGIN + timedelta(seconds=1), "until": BEGIN + timedelta(seconds=3),
      "level": "warn"}, [3, 2]),
    ({"since": BEGIN + timedelta(days=1)}, []),
])
def test_find(
    ring: Ring, directory: Path, asked: dict[str, object], expected: list[int]
) -> None:
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.DEBUG,
              logging.CRITICAL)
    for number, level in enumerate(levels):
        ring.handle(record("%d", number, level=level, second=number))
    found = find(directory, **asked)  # type: ignore[arg-type]
    assert [int(line.message) for line in found] == expected


@pytest.mark.parametrize("level, expected", [("error", [2300, 1100]), ("info", [2399, 2398])])
def test_a_level_in_a_message_is_none(
    directory: Path, level: str, expected: list[int]
) -> None:
    """Over several blocks, most of them without a line that is wanted."""
    with closing(Ring(directory)) as ring:
        for number in range(2400):
            wanted = logging.ERROR if number in (1100, 2300) else logging.INFO
            ring.handle(record('%d: {"level": "error"} ' + "x" * 100, number, level=wanted))
    assert directory.joinpath(NEWER).stat().st_size > 4 * log_ring.BLOCK_BYTES
    found = find(directory, level, limit=2)
    assert [int(line.message.partition(":")[0]) for line in found] == expected
    assert {line.level for line in found} == {level}


def test_no_such_level(directory: Path) -> None:
    with pytest.raises(ValueError):
        find(directory, level="warning")


def test_a_clock_that_was_set_back_hides_nothing(ring: Ring, directory: Path) -> None:
    for second in (100.0, 0.0, 101.0):
        ring.handle(record("%d", second, second=second))
    later = find(directory, since=BEGIN + timedelta(seconds=50))
    assert [line.message for line in later] == ["101", "100"]


def test_nothing_to_read(directory: Path) -> None:
    assert find(directory) == []
    directory.mkdir()
    assert find(directory) == []


def test_a_log_that_cannot_be_read(directory: Path) -> None:
    (directory / NEWER).mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        find(directory)


@pytest.mark.parametrize("damage", [
    b"", b"{", b"null", b"[]", b'"text"', b"5", b"\xff\xfe", b"\0" * 300_000, b"x" * 300_000,
    b"[" * 100_000, b'{"timestamp": "2026-01-01T00:00:00.000Z", "level": "info"}',
    b'{"timestamp": "2026-01-01T00:00:00.000Z", "level": "bad", "logger": "", "message": ""}',
    b'{"timestamp": "2026-01-01T00:00:00.000", "level": "info", "logger": "", "message": ""}',
    b'{"timestamp": "noon", "level": "info", "logger": "", "message": ""}',
    b'{"timestamp": 5, "level": "info", "logger": "", "message": ""}',
    b'{"timestamp": "2026-01-01T00:00:00.000Z", "level": [], "logger": "", "message": ""}',
    b'{"timestamp": "2026-01-01T00:00:00.000Z", "level": "info", "logger": "", "message": 5}',
], ids=lambda damage: repr(damage[:60]))
@pytest.mark.parametrize("end", [b"\n", b""], ids=["line", "torn"])
def test_damaged_lines_are_skipped(directory: Path, damage: bytes, end: bytes) -> None:
    with closing(Ring(directory, MIDDLE)) as before:
        before.handle(record("before"))
    with open(directory / NEWER, "ab") as file:
        file.write(damage + end)
    assert messages(directory) == ["before"]
    with closing(Ring(directory, MIDDLE)) as after:
        after.handle(record("after"))
    assert messages(directory) == ["after", "before"]


def test_reading_while_it_turns_over(ring: Ring, directory: Path) -> None:
    """Each answer is what was there at one moment: every number once, none left out."""
    last = 4000

    def write() -> None:
        for number in range(last + 1):
            ring.handle(record("%d", number))

    writer = threading.Thread(target=write)
    writer.start()
    answers = 0
    while not answers or writer.is_alive():
        numbers = [int(message) for message in messages(directory)]
        newest = numbers[0] if numbers else 0
        assert numbers == list(range(newest, newest - len(numbers), -1))
        answers += bool(numbers)
    writer.join(WAIT_S)
    assert messages(directory, 1) == [str(last)]


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("moment", [NEWER, OLDER])
def test_turned_over_between_the_two_files(
    ring: Ring, directory: Path, monkeypatch: pytest.MonkeyPatch, moment: str, turns: int
) -> None:
    really_open, left = log_ring._find_file, [turns]
    number = 0

    def turn() -> None:
        nonlocal number
        before = (directory / NEWER).stat().st_ino if (directory / NEWER).exists() else 0
        while not before or (directory / NEWER).stat().st_ino == before:
            ring.handle(record("%d", number := number + 1))
            before = before or (directory / NEWER).stat().st_ino

    def open_late(path: Path, exits: ExitStack) -> BinaryIO | None:
        while path.name == moment and left[0]:
            left[0] -= 1
            turn()
        return really_open(path, exits)

    turn()
    turn()
    monkeypatch.setattr(log_ring, "_find_file", open_late)
    numbers = [int(message) for message in messages(directory)]
    assert left == [0] and numbers == list(range(number, number - len(numbers), -1))
    assert len(numbers) > 10


def test_turned_over_without_end(
    ring: Ring, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.handle(record("one"))
    monkeypatch.setattr(log_ring, "_is_at", lambda fd, path: False)
    with pytest.raises(Unavailable, match="faster than it can be read"):
        find(directory)


def test_memory_is_bounded_whatever_is_on_disk(ring: Ring, directory: Path) -> None:
    """A file that a broken disk made 2 GB long, and one of 32 MB that is read to its begin."""
    ring.handle(record("first"))
    os.truncate(directory / NEWER, 32 * 1024 ** 2)
    os.replace(directory / NEWER, directory / OLDER)
    directory.joinpath(NEWER).touch()
    os.truncate(directory / NEWER, 2 * 1024 ** 3)
    with open(directory / NEWER, "ab") as file:
        file.write(b"\n" + json.dumps({
            "timestamp": "2026-01-01T12:00:00Z", "level": "info", "logger": "x",
            "message": "last"}).encode() + b"\n")
    tracemalloc.start()
    try:
        assert messages(directory, 1) == ["last"]
        (directory / NEWER).unlink()
        assert messages(directory) == ["first"]
        assert tracemalloc.get_traced_memory()[1] < 2 * 1024 ** 2
    finally:
        tracemalloc.stop()
