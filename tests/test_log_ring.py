"""Tests of brlib.log_ring: nothing lost that fits, never more than the bound, no crash harms it."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brlib import log_ring
from brlib.log_ring import (
    LINE_MAX_BYTES, MESSAGE_MAX, NEWER, OLDER, RING_LEAST_BYTES, LogLine, Ring, find, shortened,
)

ROOT = Path(log_ring.__file__).resolve().parent.parent
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
SMALL = 32 * 1024
WAIT_S = 30.0
# Writes one whole line, then one that the system cuts in the middle, and is killed there.
KILLED_IN_MID_LINE = """
import logging, os, resource, signal, sys
from pathlib import Path
from brlib.log_ring import NEWER, Ring
directory = Path(sys.argv[1])
logging.raiseExceptions = False
Ring(directory).attach()
logging.error("whole")
size = (directory / NEWER).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, size + 40))
logging.error("torn" * 100)
os.kill(os.getpid(), signal.SIGKILL)
"""


def record(message: str, *args: object, level: int = logging.INFO, second: float = 0.0,
           name: str = "brlib.x") -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, message, args, None)
    made.created = (BEGIN + timedelta(seconds=second)).timestamp()
    return made


def messages(directory: Path, limit: int = 100_000) -> list[str]:
    return [line.message for line in find(directory, limit=limit)]


def on_disk(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Ring]]:
    """Makes rings in `tmp_path / "logs"`; they are closed at the end."""
    made: list[Ring] = []

    def one(max_bytes: int = SMALL) -> Ring:
        made.append(Ring(tmp_path / "logs", max_bytes))
        return made[-1]

    yield one
    for ring in made:
        ring.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """A full disk: no file of this process grows beyond `size_bytes`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("level, expected", [
    (logging.CRITICAL, "error"), (logging.ERROR, "error"), (logging.WARNING, "warn"),
    (logging.INFO, "info"), (logging.DEBUG, "debug"), (25, "info"), (5, "debug"),
])
def test_a_line_there_and_back(
    make: Callable[..., Ring], directory: Path, level: int, expected: str
) -> None:
    make().handle(record("%s is %d", "it", 5, level=level, second=1.2345))
    stamp = BEGIN + timedelta(seconds=1.234)
    assert find(directory) == [LogLine(stamp, expected, "brlib.x", "it is 5")]
    assert json.loads((directory / NEWER).read_text()) == {
        "timestamp": "2026-01-01T12:00:01.234Z", "level": expected, "logger": "brlib.x",
        "message": "it is 5"}
    assert (directory / NEWER).stat().st_mode & 0o777 == 0o600


def test_tracebacks_and_secrets(make: Callable[..., Ring], directory: Path) -> None:
    one = record("failed: %s", "http://h/?token=s3cr3t")
    try:
        raise ValueError("password=s3cr3t")
    except ValueError as error:
        one.exc_info = (ValueError, error, error.__traceback__)
    make().handle(one)
    message, = messages(directory)
    assert message.startswith("failed: http://h/?token=***\nTraceback (most recent call last):\n")
    assert message.endswith("ValueError: password=***")


@pytest.mark.parametrize("text, kept", [
    ("", ""), ("two\nlines\r\n", "two\nlines\r\n"), ("ü 中 😀 \u2028", "ü 中 😀 \u2028"),
    ("\x00\x1b[31m", "\x00\x1b[31m"), ("half \ud83d", "half ?"), ('"}\\', '"}\\'),
])
def test_any_characters(
    make: Callable[..., Ring], directory: Path, text: str, kept: str
) -> None:
    ring = make()
    ring.handle(record("%s", text))
    ring.handle(record("next"))
    assert messages(directory) == ["next", kept]


@pytest.mark.parametrize("text, limit, expected", [
    ("abcd", 4, "abcd"), ("abcdefgh", 4, "abc [4 characters left out] h"),
])
def test_shortened(text: str, limit: int, expected: str) -> None:
    assert shortened(text, limit) == expected


@pytest.mark.parametrize("character", ["a", "\x00", "😀", '"'])
@pytest.mark.parametrize("max_bytes", [RING_LEAST_BYTES, 8 * 1024 ** 2])
def test_the_longest_line(
    make: Callable[..., Ring], directory: Path, character: str, max_bytes: int
) -> None:
    ring = make(max_bytes)
    for number in range(3):
        ring.handle(record(character * 10 ** 6 + f" {number}", name=character * 10 ** 4))
        assert on_disk(directory) <= max_bytes
    for line in (directory / NEWER).read_bytes().splitlines(keepends=True):
        assert len(line) <= LINE_MAX_BYTES and line.endswith(b"\n")
    newest = find(directory)[0]
    assert newest.message.endswith(character + " 2") and len(newest.message) < MESSAGE_MAX + 50


def test_attached_and_closed(make: Callable[..., Ring], directory: Path) -> None:
    ring, log = make(), logging.getLogger("brlib.attached")
    log.warning("before")
    ring.attach()
    log.warning("between")
    log.debug("not even logged")
    ring.close()
    ring.close()
    log.warning("after")
    ring.handle(record("from a thread that had the ring in hand"))
    assert messages(directory) == ["between"]
    assert ring not in logging.getLogger().handlers


def test_an_end_that_cannot_be_closed(
    make: Callable[..., Ring], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = make()
    ring.handle(record("one"))
    assert ring._fd is not None
    os.close(ring._fd)
    ring.close()
    assert "The end of the log may be missing: " in caplog.text


def test_the_next_start_goes_on(make: Callable[..., Ring], directory: Path) -> None:
    for number in range(3):
        ring = make()
        ring.handle(record("start %d", number))
        ring.close()
    assert messages(directory) == ["start 2", "start 1", "start 0"]


def test_it_turns_over_and_stays_bounded(make: Callable[..., Ring], directory: Path) -> None:
    ring, turns, newer = make(), 0, 0
    for number in range(1500):
        ring.handle(record("%d " + "x" * (number % 50), number))
        assert on_disk(directory) <= SMALL
        if (inode := (directory / NEWER).stat().st_ino) != newer:
            newer, turns = inode, turns + 1
    assert turns > 4 and {path.name for path in directory.iterdir()} == {NEWER, OLDER}
    kept = [int(message.split()[0]) for message in messages(directory)]
    assert kept == list(range(1499, 1499 - len(kept), -1)) and on_disk(directory) > SMALL // 2


def test_a_smaller_ring_than_before(make: Callable[..., Ring], directory: Path) -> None:
    large = make(256 * 1024)
    for number in range(1000):
        large.handle(record("%d", number))
    large.close()
    small = make()
    for number in range(1000, 1500):
        small.handle(record("%d", number))
    assert on_disk(directory) <= SMALL and messages(directory, 1) == ["1499"]


def test_too_small_a_ring(directory: Path) -> None:
    with pytest.raises(ValueError, match="16384 bytes or more"):
        Ring(directory, RING_LEAST_BYTES - 1)


def test_a_kill_in_the_middle_of_a_line(make: Callable[..., Ring], directory: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", KILLED_IN_MID_LINE, str(directory)], timeout=WAIT_S, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    whole, torn = (directory / NEWER).read_bytes().split(b"\n")
    assert len(torn) == 40 and messages(directory) == ["whole"]
    ring = make()
    ring.handle(record("after"))
    ring.handle(record("and on"))
    assert messages(directory) == ["and on", "after", "whole"]


def test_a_full_disk(
    make: Callable[..., Ring], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = make()
    ring.handle(record("before"))
    size_bytes = (directory / NEWER).stat().st_size
    with files_end_at(size_bytes + 20):
        for number in range(3):
            ring.handle(record("lost %d", number))
        assert (directory / NEWER).stat().st_size == size_bytes + 20
    assert capsys.readouterr().err.count("--- Logging error ---") == 1
    assert messages(directory) == ["before"]
    ring.handle(record("after"))
    ring.handle(record("and on"))
    found = find(directory)
    assert [line.message for line in found] == [
        "and on", "after",
        "3 records before this one are missing: the log could not be written", "before"]
    assert (found[2].level, found[2].logger) == ("warn", "brlib.log_ring")
    with files_end_at(0):
        ring.handle(record("lost"))
    assert capsys.readouterr().err.count("--- Logging error ---") == 1


def test_dev_full(
    make: Callable[..., Ring], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory.mkdir()
    (directory / NEWER).symlink_to("/dev/full")
    ring = make()
    for number in range(2):
        ring.handle(record("lost %d", number))
    err = capsys.readouterr().err
    assert err.count("--- Logging error ---") == 1 and "No space left on device" in err
    (directory / NEWER).unlink()
    ring.handle(record("after"))
    assert messages(directory)[0] == "after" and messages(directory)[1].startswith("2 records")


def test_a_disk_that_is_away(
    make: Callable[..., Ring], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data directory is not made again: it may be a mount point's."""
    parent, away = directory.parent / "data", directory.parent / "away"
    parent.mkdir()
    ring = Ring(parent / "logs", SMALL)
    ring.handle(record("before"))
    parent.rename(away)
    for number in range(2):
        ring.handle(record("lost %d", number))
    assert not parent.exists()
    assert capsys.readouterr().err.count("--- Logging error ---") == 1
    away.rename(parent)
    ring.handle(record("after"))
    ring.close()
    assert messages(parent / "logs")[0] == "after" and messages(parent / "logs")[-1] == "before"
    assert len(messages(parent / "logs")) == 3


def test_a_directory_that_was_deleted_is_made_again(
    make: Callable[..., Ring], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = make()
    ring.handle(record("before"))
    shutil.rmtree(directory)
    ring.handle(record("after"))
    assert messages(directory) == ["after"] and capsys.readouterr().err == ""


def test_a_record_that_cannot_be_shown(
    make: Callable[..., Ring], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = make()
    ring.handle(record("%d", "no number"))
    ring.handle(record("after"))
    assert capsys.readouterr().err.count("--- Logging error ---") == 1
    assert messages(directory) == ["after"]
