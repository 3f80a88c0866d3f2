"""One FFmpeg of a session: pipes in, transport stream or fragmented MP4 out, cut as it comes.

Made by `remux` for every turn of its inlets and used in the session's thread; `kill` may come
from any thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from .. import ffmpeg
from ..workers import Child
from .cuts import Cut, Cutter, Joint
from .cuts_mp4 import Mp4Cutter
from .cuts_ts import TsCutter
from .inlet import Inlet

READ_BYTES = 256 * 1024
REAP_S = 5.0


class Turn:
    """`begun_s` (monotonic) and `begun_at` say when the first byte came, `missing_s` what the
    tracks lost before it. Raises OSError when FFmpeg cannot be started."""

    def __init__(
        self, name: str, program: str, inlets: list[Inlet], timed: bool, joint: Joint | None,
        now: Callable[[], datetime], on_line: Callable[[str], None],
    ) -> None:
        self.begun_s = min((inlet.head_s for inlet in inlets), default=time.monotonic())
        self.begun_at = now()
        self.missing_s = max((inlet.missing_s for inlet in inlets), default=0.0)
        self.clean = False
        self._inlets = inlets
        self._timed = timed
        self._child, fits_ts = _spawn(name, program, inlets, timed, on_line)
        self.cutter: Cutter = TsCutter(joint) if fits_ts else Mp4Cutter(joint)

    def cuts(self) -> Iterator[Cut]:
        """The segments as they become whole, up to FFmpeg's end."""
        while data := self._child.read(READ_BYTES):
            yield from self.cutter.take(data)
        self.clean = self._child.wait(REAP_S) == 0
        yield from self.cutter.finish(self.clean, rejoin=self._timed)

    def last_words(self) -> str:
        said = " / ".join(list(self._child.tail)[-3:]) or "it said nothing"
        return f"FFmpeg ended ({self._child.exit_code}): {said}"

    def kill(self) -> None:
        """End it in the middle; returns at once."""
        self._child.kill()

    def close(self) -> None:
        """Leave nothing of it behind."""
        self._child.kill()
        self._child.wait(REAP_S)
        for inlet in self._inlets:
            inlet.detach()


def _spawn(
    name: str, program: str, inlets: list[Inlet], timed: bool, on_line: Callable[[str], None],
) -> tuple[Child, bool]:
    """FFmpeg with a pipe for each inlet, and whether it writes a transport stream."""
    reads: list[int] = []
    writes: list[int] = []
    try:
        for _ in inlets:
            read, write = os.pipe()
            reads.append(read)
            writes.append(write)
        live = [inlet.live_input(read) for inlet, read in zip(inlets, reads, strict=True)]
        child = Child(f"ffmpeg-{name}", ffmpeg.live_args(program, live, timed),
                      on_line=on_line, binary=True, pass_fds=reads)
    except OSError:
        for fd in writes:
            os.close(fd)
        raise
    finally:
        for fd in reads:
            os.close(fd)
    for inlet, fd in zip(inlets, writes, strict=True):
        inlet.attach(fd)
    return child, ffmpeg.fits_ts(live)
