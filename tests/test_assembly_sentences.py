"""Tests of brlib.assembly.sentences: what a person reads when a file could not be made."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from brlib.assembly import sentences
from brlib.assembly.base import AssemblyFailed

OUT = Path("/mnt/nas")


@pytest.mark.parametrize(("code", "said", "says", "advises"), [
    (1, ["av_interleaved_write_frame(): No space left on device", "Error closing file"],
     "The output disk is full (/mnt/nas)", "make room"),
    (1, ["x.mp4: Read-only file system"], "read-only (/mnt/nas)", "mount it writable"),
    (1, ["x.mp4: Permission denied"], "may not be written", "let the user"),
    (1, ["x.mp4: Input/output error"], "The output disk fails", "cable"),
    (1, ["x.mp4: No such file or directory"], "is away", "mount or create it"),
    (1, ["x.mp4: Stale file handle"], "is away", "mount or create it"),
    (1, ["x.mp4: Disk quota exceeded"], "quota", "make room"),
    (1, ["malloc: Cannot allocate memory"], "had not enough memory", "max_concurrent_processing"),
    (-9, [], "FFmpeg was killed, as the system does when memory runs out", "free some"),
    (137, [], "FFmpeg was killed, as the system does when memory runs out", "free some"),
    (-11, ["x"], "FFmpeg was ended by SIGSEGV (x)", "try again"),
    (139, [], "FFmpeg was ended by SIGSEGV", "try again"),
    (127, ["error while loading shared libraries: libx265.so"], "cannot be run", "install"),
    (1, ["a", "b", "c", "d"], "FFmpeg failed (1: b / c / d)", "another container"),
    (1, [], "FFmpeg failed (1: it said nothing)", "another container"),
    (255, [], "FFmpeg failed (255: it said nothing)", "another container"),
])
def test_how_ffmpeg_ended(code: int, said: list[str], says: str, advises: str) -> None:
    failed = sentences.of_exit(code, said, OUT)
    assert says in str(failed) and advises in failed.advice
    assert str(failed).endswith(failed.advice) and not failed.hopeless


@pytest.mark.parametrize(("number", "says"), [
    (errno.ENOSPC, "is full"), (errno.EROFS, "read-only"), (errno.EIO, "fails"),
    (errno.EACCES, "may not be written"), (errno.ENOENT, "is away"), (errno.ESTALE, "is away"),
    (errno.EFBIG, "larger than"), (errno.ENAMETOOLONG, "longer than"),
    (errno.EXDEV, "cannot be used"),
])
def test_what_the_output_disk_said(number: int, says: str) -> None:
    failed = sentences.of_disk(OSError(number, os.strerror(number)), OUT)
    assert says in str(failed) and str(OUT) in str(failed) and os.strerror(number) in str(failed)
    assert failed.advice


@pytest.mark.parametrize(("error", "says"), [
    (FileNotFoundError(errno.ENOENT, "No such file"), "FFmpeg is not installed (ffmpeg_path = x)"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory to start FFmpeg"),
    (PermissionError(errno.EACCES, "Permission denied"), "cannot be started (ffmpeg_path = x: Per"),
])
def test_not_started(error: OSError, says: str) -> None:
    assert says in str(sentences.not_started("FFmpeg", "ffmpeg_path = x", error))


def test_without_advice_there_is_no_colon() -> None:
    assert str(AssemblyFailed("It is so")) == "It is so"
