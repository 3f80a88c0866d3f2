"""Chapters into a finished file without another pass over its media: MP4 and Matroska.

FFmpeg has to know chapters at its start, and ours are known at the end. Its MP4 ends with the
index (`moov`), which ends with `udta`: a list of chapters (`chpl`, which VLC, mpv, Kodi and
FFmpeg read) is put behind and both sizes are made larger. Its Matroska may get an element at
its end, and leaves room (`Void`) behind the table of contents (`SeekHead`) to name it. What
looks otherwise than FFmpeg 5.1 to 7 leave it is not touched. Used by an output, on the
temporary file.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..chapters import Chapter

CONTAINERS = ("mp4", "mkv")
_SIZE_MAX_32 = 2 ** 32 - 1
# Of a file that FFmpeg made; a hostile one would not get here, and not far.
_BOXES_MAX = 64
_HEAD_MAX_BYTES = 4096


class Unmarked(Exception):
    """The file has another form than this knows. It is as it was."""


@dataclass(frozen=True)
class Edit:
    """What makes a file one with chapters: bytes at its end, and bytes over others."""

    size_bytes: int
    tail: bytes
    over: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Undo:
    """The way back."""

    size_bytes: int
    over: tuple[tuple[int, bytes], ...]


def write(path: Path, container: str, chapters: Sequence[Chapter]) -> Undo:
    """Raises Unmarked, OSError, either with the file as it was unless the way back failed."""
    with open(path, "r+b") as file:
        edit = _of_mp4(file, chapters) if container == "mp4" else _of_mkv(file, chapters)
        undo = Undo(edit.size_bytes, tuple(
            (at, _read(file, at, len(data))) for at, data in edit.over))
        try:
            # First the end, which nothing names yet.
            _put(file, edit.size_bytes, edit.tail)
            for at, data in edit.over:
                _put(file, at, data)
        except OSError:
            _back(file, undo)
            raise
    return undo


def take_back(path: Path, undo: Undo) -> None:
    """Raises OSError."""
    with open(path, "r+b") as file:
        _back(file, undo)


def _back(file: BinaryIO, undo: Undo) -> None:
    for at, data in undo.over:
        _put(file, at, data)
    file.truncate(undo.size_bytes)


def _put(file: BinaryIO, at: int, data: bytes) -> None:
    file.seek(at)
    file.write(data)
    file.flush()


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    data = file.read(count)
    if len(data) != count:
        raise Unmarked("it is cut off")
    return data


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


# ISO/IEC 14496-12.


def _of_mp4(file: BinaryIO, chapters: Sequence[Chapter]) -> Edit:
    size_bytes = _size(file)
    moov = _last_box(file, 0, size_bytes, b"moov")
    if moov is None:
        raise Unmarked("its index is not at its end")
    udta = _last_box(file, moov + 8, size_bytes, b"udta")
    chpl = _chpl(chapters)
    tail, longer = (_box(b"udta", chpl), [moov]) if udta is None else (chpl, [udta, moov])
    over = []
    for at in longer:
        total = struct.unpack(">I", _read(file, at, 4))[0] + len(tail)
        if total > _SIZE_MAX_32:
            raise Unmarked("its index is too large")
        over.append((at, struct.pack(">I", total)))
    return Edit(size_bytes, tail, tuple(over))


def _last_box(file: BinaryIO, at: int, end: int, kind: bytes) -> int | None:
    """Where the last box of a row begins, if it is of that kind and has a plain size."""
    for _ in range(_BOXES_MAX):
        size, found = struct.unpack(">I4s", _read(file, at, 8))
        plain = size != 1
        if not plain:
            size = struct.unpack(">Q", _read(file, at + 8, 8))[0]
        if size < 8 or at + size > end:
            return None
        if at + size == end:
            return at if found == kind and plain else None
        at += size
    return None


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _chpl(chapters: Sequence[Chapter]) -> bytes:
    """As FFmpeg writes it (movenc.c, `mov_write_chpl_tag`): times in units of 100 ns."""
    body = struct.pack(">IIB", 0x01000000, 0, len(chapters))
    for one in chapters:
        title = one.title.encode("utf-8", "ignore")
        body += struct.pack(">QB", round(one.start_s * 10_000_000), len(title)) + title
    return _box(b"chpl", body)


# RFC 8794 (EBML) and RFC 9559 (Matroska).

_EBML, _SEGMENT, _SEEK_HEAD = 0x1A45DFA3, 0x18538067, 0x114D9B74
_VOID, _CRC, _CHAPTERS = 0xEC, 0xBF, 0x1043A770


def _of_mkv(file: BinaryIO, chapters: Sequence[Chapter]) -> Edit:
    size_bytes = _size(file)
    head = _read(file, 0, min(_HEAD_MAX_BYTES, size_bytes))
    ebml_body, ebml_bytes = _element(head, 0, _EBML)
    segment = ebml_body + ebml_bytes
    body, body_bytes = _element(head, segment, _SEGMENT)
    # Its size is written in eight bytes, which hold any.
    if body - segment != 12 or body + body_bytes != size_bytes:
        raise Unmarked("its segment does not reach to its end")
    seek, seek_bytes = _element(head, body, _SEEK_HEAD)
    void, void_bytes = _element(head, seek + seek_bytes, _VOID)
    room_end = void + void_bytes
    if room_end > len(head):
        raise Unmarked("its head is cut off")
    table = head[seek:seek + seek_bytes]
    if table[:2] == bytes((_CRC, 0x84)):
        table = table[6:]
    table += _item(0x4DBB, _item(0x53AB, _CHAPTERS.to_bytes(4, "big"))
                   + _item(0x53AC, _whole(size_bytes - body)))
    new_head = _item(_SEEK_HEAD, _item(_CRC, struct.pack("<I", zlib.crc32(table))) + table)
    left = room_end - body - len(new_head)
    if left != 0 and left < 9:
        raise Unmarked("it leaves no room in its table of contents")
    if left:
        new_head += bytes((_VOID, 0x01)) + (left - 9).to_bytes(7, "big") + bytes(left - 9)
    tail = _mkv_chapters(chapters)
    longer = bytes((0x01,)) + (body_bytes + len(tail)).to_bytes(7, "big")
    return Edit(size_bytes, tail, ((segment + 4, longer), (body, new_head)))


def _element(data: bytes, at: int, wanted: int) -> tuple[int, int]:
    """Where an element's body begins and how long it is."""
    name = wanted.to_bytes((wanted.bit_length() + 7) // 8, "big")
    if not data.startswith(name, at) or at + len(name) >= len(data):
        raise Unmarked(f"element {wanted:X} is not where it should be")
    at += len(name)
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at:at + length], "big") & (1 << 7 * length) - 1
    if not data[at] or at + length > len(data):
        raise Unmarked(f"element {wanted:X} is cut off")
    return at + length, size


def _item(name: int, body: bytes) -> bytes:
    size = len(body)
    length = next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    return (name.to_bytes((name.bit_length() + 7) // 8, "big")
            + (size | 1 << 7 * length).to_bytes(length, "big") + body)


def _whole(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _mkv_chapters(chapters: Sequence[Chapter]) -> bytes:
    edition = b""
    for number, one in enumerate(chapters, 1):
        shown = _item(0x85, one.title.encode("utf-8", "ignore")) + _item(0x437C, b"und")
        edition += _item(0xB6, _item(0x73C4, _whole(number))
                         + _item(0x91, _whole(round(one.start_s * 1_000_000_000)))
                         + _item(0x92, _whole(round(one.end_s * 1_000_000_000)))
                         + _item(0x80, shown))
    body = _item(0x45B9, edition)
    return _item(_CHAPTERS, _item(_CRC, struct.pack("<I", zlib.crc32(body))) + body)
