"""What went wrong, in words that help: FFmpeg's end and a disk's errors, and what to do. Pure.

FFmpeg says of a disk what `strerror` says, in English whatever the locale (measured on 5.1.9:
a full disk is exit code 1 and "No space left on device" among its last lines).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from ..errors import CaptureDamaged
from .base import AssemblyFailed, FFmpegFailed

_AWAY = ("The output directory {directory} is away", "mount or create it")
_DENIED = ("The output directory {directory} may not be written",
           "let the user that the daemon runs as write there")
_BY_ERRNO = {
    errno.ENOSPC: ("The output disk is full ({directory})",
                   "make room on it, or choose another output_directory"),
    errno.EDQUOT: ("The quota of the output disk is used up ({directory})",
                   "make room on it, or choose another output_directory"),
    errno.EROFS: ("The output disk is read-only ({directory})",
                  "a disk that fails is often made so: look at it, then mount it writable"),
    errno.EIO: ("The output disk fails ({directory}: input/output error)",
                "look at its cable and health, or choose another output_directory"),
    errno.EFBIG: ("The file is larger than the output disk takes ({directory})",
                  "choose an output_directory on a disk without such a limit"),
    errno.ENAMETOOLONG: ("The name of the file is longer than the output disk takes ({directory})",
                         "choose a shorter filename_template"),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOENT: _AWAY,
    errno.ENODEV: _AWAY,
    errno.ENOTDIR: _AWAY,
    errno.ESTALE: _AWAY,
    errno.ENOTCONN: _AWAY,
    errno.EHOSTDOWN: _AWAY,
    errno.EHOSTUNREACH: _AWAY,
    errno.ETIMEDOUT: _AWAY,
}
# Not the disk's state, but what was asked of it.
_OF_THE_FILE = (errno.EFBIG, errno.ENAMETOOLONG)
_OTHER_WAY = "try processing_mode = concatenate, or another container"
_MEMORY_ADVICE = "free some, or lower max_concurrent_processing"
# With less than that free a disk was full a moment ago.
FULL_BYTES = 1024 ** 2
# What a shell or a container says of a process that a signal ended.
_SHELL_SIGNAL = 128
_ASKED_TO_END = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
# What FFmpeg itself ends with then, its file closed; rarely for other reasons.
_ASKED = 255


def of_disk(error: OSError, directory: Path) -> AssemblyFailed:
    """An error of the disk that finished files go to."""
    what, advice = _BY_ERRNO.get(
        error.errno or 0, ("The output directory {directory} cannot be used", "look at it"))
    return AssemblyFailed(
        f"{what.format(directory=directory)} ({error.strerror or error})", advice,
        of_disk=error.errno in _BY_ERRNO and error.errno not in _OF_THE_FILE)


def of_capture(error: OSError) -> AssemblyFailed:
    """An error of the disk that captures are on."""
    return AssemblyFailed(f"The capture cannot be read ({error})",
                          "look at the disk that data_directory is on")


def not_started(program: str, option: str, error: OSError) -> AssemblyFailed:
    """FFmpeg or ffprobe could not be run at all."""
    if isinstance(error, FileNotFoundError):
        return AssemblyFailed(f"{program} is not installed ({option})",
                              "install it or set ffmpeg_path")
    if error.errno == errno.ENOMEM:
        return AssemblyFailed(f"There is no memory to start {program}", _MEMORY_ADVICE)
    return AssemblyFailed(f"{program} cannot be started ({option}: {error.strerror})",
                          "install it or set ffmpeg_path")


def of_exit(
    code: int, said: Sequence[str], directory: Path, made_bytes: int = 0
) -> AssemblyFailed:
    """FFmpeg ended with a code other than 0, having said this last. `made_bytes`: what an encoder
    had made by then."""
    words = " / ".join(said[-3:]) or "it said nothing"
    text = "\n".join(said)
    if (found := _disk_named(text)) is not None:
        what, advice = _BY_ERRNO[found]
        return _with_size(found, made_bytes, FFmpegFailed(
            f"{what.format(directory=directory)}: FFmpeg failed ({code}: {words})", advice,
            of_disk=found not in _OF_THE_FILE))
    killed_by = -code if code < 0 else code - _SHELL_SIGNAL
    if os.strerror(errno.ENOMEM) in text:
        return FFmpegFailed(
            f"FFmpeg had not enough memory ({words})", _MEMORY_ADVICE, passing=True)
    if killed_by == signal.SIGKILL:
        return FFmpegFailed(
            "FFmpeg was killed, as the system does when memory runs out", _MEMORY_ADVICE,
            passing=True)
    if code in (126, 127):
        return FFmpegFailed(f"FFmpeg cannot be run ({words})", "install it anew")
    if killed_by in set(signal.Signals):
        return FFmpegFailed(
            f"FFmpeg was ended by {signal.Signals(killed_by).name} ({words})", "try again",
            passing=killed_by in _ASKED_TO_END)
    return FFmpegFailed(
        f"FFmpeg failed ({code}: {words})", _OTHER_WAY, passing=code == _ASKED)


def _with_size(number: int, made_bytes: int, error: AssemblyFailed) -> AssemblyFailed:
    if number in (errno.ENOSPC, errno.EDQUOT):
        error.made_bytes = made_bytes
    return error


def hangs(silent_s: float, directory: Path) -> AssemblyFailed:
    """FFmpeg did nothing any more."""
    return FFmpegFailed(
        f"FFmpeg hung: for {silent_s:.0f} s it read, wrote and said nothing",
        f"see whether the output disk answers ({directory})", passing=True)


def _disk_named(text: str) -> int | None:
    """The number of the disk's error that FFmpeg names."""
    return next((number for number in _BY_ERRNO if os.strerror(number) in text), None)


def disagrees(
    problem: str, said: Sequence[str], directory: Path, free_bytes: int, made_bytes: int = 0
) -> AssemblyFailed:
    """The file was made, and is not what the capture holds. FFmpeg 5.1.9 may end with code 0
    although the disk took no more."""
    number = _disk_named("\n".join(said))
    if number is None and free_bytes < FULL_BYTES:
        number = errno.ENOSPC
    if number is not None:
        return _with_size(
            number, made_bytes, of_disk(OSError(number, os.strerror(number)), directory))
    return FFmpegFailed(
        f"The finished file does not agree with the capture ({problem})", _OTHER_WAY)


def for_person(recording_id: str, error: Exception) -> str:
    """What happened and what to do."""
    again = f"POST /api/recordings/{recording_id}/reprocess"
    if isinstance(error, AssemblyFailed) and error.advice:
        return f"{error}, then {again}"
    if isinstance(error, CaptureDamaged):
        return f"{error}. What is there is left as it is"
    return f"{str(error) or type(error).__name__}. To try again: {again}"
