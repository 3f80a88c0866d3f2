"""The log that `GET /api/logs` shows: JSON lines in two files that never outgrow their bound.

The worker attaches one `Ring` and alone writes; `find` reads the files by itself, at any
time, also while they are written or turned over. Nothing is synced: a power cut costs the
last lines, not an SD card its life.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from .errors import Unavailable
from .log import mask

log = logging.getLogger(__name__)

# The first is written; when it is full it takes the place of the second.
NEWER, OLDER = "log.jsonl", "log.1.jsonl"
RING_MAX_BYTES = 8 * 1024 ** 2
RING_LEAST_BYTES = 16 * 1024
MESSAGE_MAX = 16 * 1024
LOGGER_MAX = 200
# In JSON a character has six bytes at most (`\u0000`); 500 are for all the rest.
LINE_MAX_BYTES = 6 * (MESSAGE_MAX + LOGGER_MAX) + 500
BLOCK_BYTES = 64 * 1024
OPEN_TRIES = 10
# Worst first.
LEVELS = ("error", "warn", "info", "debug")
_LEAST = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO}
_TEXT = logging.Formatter()
# How a level stands in a line; in a message the quotation marks have backslashes.
_MARK = b'"level": "%s"'


@dataclass(frozen=True)
class LogLine:
    """One record. `level` is one of LEVELS; `message` has the traceback in it."""

    timestamp: datetime
    level: str
    logger: str
    message: str


class Ring(logging.Handler):
    """Writes every record to `directory`, at most `max_bytes` in all.

    The directory is made, its parent is not: a data disk that is away must not get a log on
    the disk below it. While nothing can be written (disk full, directory gone), records are
    left out and counted. That is said once on standard error, as `logging` does it; the first
    record that gets through again says how many were lost.
    """

    def __init__(self, directory: Path, max_bytes: int = RING_MAX_BYTES) -> None:
        super().__init__()
        if max_bytes < RING_LEAST_BYTES:
            raise ValueError(f"a ring needs {RING_LEAST_BYTES} bytes or more")
        self._directory = directory
        self._file_max_bytes = max_bytes // 2
        # So that the longest line fits into an empty file, whatever its characters.
        self._message_max = min(MESSAGE_MAX, self._file_max_bytes // 10)
        self._fd: int | None = None
        self._size_bytes = 0
        self._torn = False
        self._lost = 0
        self._closed = False

    def attach(self) -> None:
        """From now on every record that passes its loggers' levels is kept."""
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        """Take no more records; idempotent. Whoever logs at this moment is not disturbed."""
        logging.getLogger().removeHandler(self)
        self.acquire()
        try:
            self._closed = True
            self._let_go()
        except OSError as error:
            log.warning("The end of the log may be missing: %s", error)
        finally:
            self.release()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`, one record at a time; never raises."""
        if self._closed:
            return
        try:
            data = self._encoded(record)
            if self._lost:
                data = self._encoded(_about(self._lost)) + data
            self._append(data)
            self._lost = 0
        except OSError:
            self._lost += 1
            if self._lost == 1:
                self.handleError(record)
        except Exception:  # arguments that do not fit the message, or cannot be shown
            self.handleError(record)

    def _encoded(self, record: logging.LogRecord) -> bytes:
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = json.dumps({
            "timestamp": stamp.replace("+00:00", "Z"),
            "level": next((n for n, least in _LEAST.items() if record.levelno >= least), "debug"),
            "logger": record.name[:LOGGER_MAX],
            "message": shortened(mask(_TEXT.format(record)), self._message_max),
        }, ensure_ascii=False)
        return line.encode("utf-8", "replace") + b"\n"

    def _append(self, data: bytes) -> None:
        fd = self._open()
        if self._size_bytes and self._size_bytes + 1 + len(data) > self._file_max_bytes:
            os.replace(self._directory / NEWER, self._directory / OLDER)
            fd = self._open()
        if self._torn:
            data = b"\n" + data
        self._torn = True
        written = os.write(fd, data)
        self._size_bytes += written
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False

    def _open(self) -> int:
        """The newer file as it is on disk now: it may have been deleted or turned over."""
        path = self._directory / NEWER
        if self._fd is not None and _is_at(self._fd, path):
            return self._fd
        self._let_go()
        self._directory.mkdir(exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._size_bytes = os.fstat(self._fd).st_size
        # A crash in the middle of a line: the next one must not be lost with it.
        self._torn = bool(self._size_bytes) and os.pread(
            self._fd, 1, self._size_bytes - 1) != b"\n"
        return self._fd

    def _let_go(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def shortened(text: str, limit: int) -> str:
    """`text`, without its middle where it has more than `limit` characters: a traceback
    says at its end what happened."""
    if len(text) <= limit:
        return text
    head, tail = limit * 3 // 4, limit // 4
    return f"{text[:head]} [{len(text) - head - tail} characters left out] {text[-tail:]}"


def _about(lost: int) -> logging.LogRecord:
    return logging.LogRecord(
        __name__, logging.WARNING, __file__, 0,
        "%d records before this one are missing: the log could not be written", (lost,), None)


def _is_at(fd: int, path: Path) -> bool:
    """Whether `path` still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def find(
    directory: Path, level: str | None = None, since: datetime | None = None,
    until: datetime | None = None, limit: int = 100, offset: int = 0,
) -> list[LogLine]:
    """Lines of `level` (of LEVELS) and worse, newest first, both times included.

    The order is that of the writing: a clock that was set back leaves no hole. Reads
    backwards, a block at a time, and only as far as it must. Empty where there is no log.
    Raises OSError when it cannot be read, Unavailable when it is turned over too fast.
    """
    wanted = LEVELS if level is None else LEVELS[:LEVELS.index(level) + 1]
    # To see the level of a line takes a hundredth of what it takes to read it.
    marks = () if wanted == LEVELS else tuple(_MARK % name.encode() for name in wanted)
    with ExitStack() as exits:
        lines = (
            line for file in _both(directory, exits) for raw in _backwards(file, marks)
            if (line := _parsed(raw)) is not None and line.level in wanted
            and (since is None or line.timestamp >= since)
            and (until is None or line.timestamp <= until))
        return list(islice(lines, offset, offset + limit))


def _both(directory: Path, exits: ExitStack) -> list[BinaryIO]:
    """The newer and the older file as they were at one moment. Once open they stay what they
    are; a ring that was turned over between the two would give one file twice or leave one
    out, and then the newer is no longer at its path. Without a newer one it was just then
    turned over, or never began."""
    for _ in range(OPEN_TRIES):
        newer, older = (_find_file(directory / name, exits) for name in (NEWER, OLDER))
        if newer is None or _is_at(newer.fileno(), directory / NEWER):
            return [file for file in (newer, older) if file is not None]
    raise Unavailable("The log is written faster than it can be read: try again")


def _find_file(path: Path, exits: ExitStack) -> BinaryIO | None:
    try:
        return exits.enter_context(open(path, "rb", buffering=0))
    except FileNotFoundError:
        return None


def _backwards(file: BinaryIO, marks: tuple[bytes, ...]) -> Iterator[bytes]:
    """The lines of a file that have one of the marks, or all without any, last first; of one too
    long to be ours a piece that is no JSON."""
    position = file.seek(0, os.SEEK_END)
    end_of_line = b""
    while position > 0:
        begin = max(0, position - BLOCK_BYTES)
        file.seek(begin)
        block = file.read(position - begin)
        position = begin
        end_of_line, newline, whole = (block + end_of_line).partition(b"\n")
        if newline:
            yield from _marked(whole, marks) if marks else reversed(whole.split(b"\n"))
        if len(end_of_line) > LINE_MAX_BYTES:
            end_of_line = b"\0"
    yield end_of_line


def _marked(lines: bytes, marks: tuple[bytes, ...]) -> Iterator[bytes]:
    """Those that have one of the marks, last first."""
    begins = set()
    for mark in marks:
        at = lines.find(mark)
        while at >= 0:
            begins.add(lines.rfind(b"\n", 0, at) + 1)
            at = lines.find(mark, at + 1)
    for begin in sorted(begins, reverse=True):
        end = lines.find(b"\n", begin)
        yield lines[begin:end if end >= 0 else len(lines)]


def _parsed(raw: bytes) -> LogLine | None:
    """None for what is no whole line: torn by a crash, being written, damaged on disk."""
    try:
        said = json.loads(raw.decode("utf-8"))
        line = LogLine(datetime.fromisoformat(said["timestamp"]), said["level"],
                       said["logger"], said["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    whole = (line.timestamp.tzinfo is not None and line.level in LEVELS
             and isinstance(line.logger, str) and isinstance(line.message, str))
    return line if whole else None
