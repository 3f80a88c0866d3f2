"""A track's way into FFmpeg: bytes wait here until FFmpeg takes them, and for one another.

The tracks of a session feed, each in its own thread; the session's thread opens and closes.
A turn is what one FFmpeg gets: where a source begins anew (a discontinuity, another init
section), every track ends its turn and the next FFmpeg gets what follows. So it is, too, where
nothing comes for long: what FFmpeg keeps back until more comes is on the disk then.
"""

from __future__ import annotations

import os
import threading
import time

from ..ffmpeg import LiveInput

# No track runs further ahead of the others: FFmpeg would have to keep it.
AHEAD_S = 20.0
# Longer than the tracks of one source may be apart in reaching the same place.
TURN_MAX_S = 30.0
# A source that gives nothing for so long, and for so many of its segments, rests.
QUIET_S = 10.0
QUIET_SEGMENTS = 3
PIECE_BYTES = 64 * 1024


class Closed(Exception):
    """The session takes nothing more."""


class Inlets:
    """The inlets of a session, and what they wait for. `resting`: every track is to end its
    turn, until another begins; `rested`: so did the last one end, and what follows goes on with
    it."""

    def __init__(self, count: int) -> None:
        self.changed = threading.Condition()
        self.closed = self.resting = self.rested = False
        self.all = [Inlet(self) for _ in range(count)]

    def close(self) -> None:
        """Take nothing more: what FFmpeg has gets its end. From any thread, at once."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def wait_turn(self) -> list[Inlet]:
        """The inlets that have something for the next FFmpeg, once all have that are not at
        their end; none when there is nothing more."""
        with self.changed:
            while not self.closed and any(
                    not one.done and one.head is None for one in self.all):
                self.changed.wait(1.0)
            if self.closed:
                return []
            return [one for one in self.all if one.head is not None]

    def rest(self, quiet_s: float) -> None:
        """End the turn if nothing has gone into it for so long.

        One whose write FFmpeg does not take yet ends its turn in its time: FFmpeg looks at its
        inputs one after the other, and waits with the next for seconds of the one before.
        """
        with self.changed:
            since_s = time.monotonic() - quiet_s
            left = [one for one in self.all if not one.done]
            if self.closed or any(one.waits or one.given_s > since_s for one in left):
                return
            if any(not one.idle for one in left):
                self.resting = self.rested = True
            for one in left:
                # Who begins to write says so first, and waits for us.
                if not one.blocked:
                    one.detach()

    def slowest_s(self) -> float:
        return min((one.fed_s for one in self.all if not one.done), default=0.0)


class Inlet:
    """`head` is what the next turn begins with; `form`, `offset_s` and `missing_s` are said
    by the track beforehand: the demuxer, the time of packed audio, what was lost before.
    `blocked`: something is being fed; `waits`: not to FFmpeg yet, but for other tracks."""

    def __init__(self, inlets: Inlets) -> None:
        self.head: bytes | None = None
        self.head_s = 0.0
        self.form = ""
        self.offset_s = 0.0
        self.missing_s = 0.0
        self.done = False
        self.fed_s = 0.0
        self.given_s = time.monotonic()
        self.blocked = self.waits = False
        self._inlets = inlets
        self._fd = -1
        self._writing = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether the next bytes begin a turn."""
        return self._fd < 0

    # The track's side.

    def feed(self, data: bytes, duration_s: float = 0.0, init: bytes = b"") -> None:
        """Give bytes to FFmpeg; blocks while it does not take them. `init` is what a turn has
        to begin with. Raises Closed."""
        with self._inlets.changed:
            self.blocked = self.waits = True
            if self._inlets.resting:
                self.detach()
        try:
            if self._fd < 0:
                data = init + data
                self._begin(data)
            self._keep_pace()
            self._write(data)
        finally:
            self.blocked = self.waits = False
        self.fed_s += duration_s

    def rest(self, segment_s: float) -> None:
        """There is nothing new; `segment_s` is how long the source's segments are."""
        self._inlets.rest(max(QUIET_S, QUIET_SEGMENTS * segment_s))

    def renew(self) -> None:
        """What every track brings next is for another FFmpeg, and goes on with this one's."""
        with self._inlets.changed:
            if not self.idle:
                self._inlets.resting = self._inlets.rested = True
                self._inlets.changed.notify_all()

    def turn(self) -> None:
        """What follows is for another FFmpeg."""
        self._inlets.rested = False
        self.detach()

    def finish(self) -> None:
        """Nothing follows."""
        self.detach()
        with self._inlets.changed:
            self.done = True
            self._inlets.changed.notify_all()

    def _begin(self, head: bytes) -> None:
        deadline_s = time.monotonic() + TURN_MAX_S
        with self._inlets.changed:
            self.head, self.head_s = head, time.monotonic()
            self._inlets.changed.notify_all()
            while self._fd < 0 and not self._inlets.closed:
                if time.monotonic() > deadline_s:
                    raise Closed("the other tracks do not come to this place")
                self._inlets.changed.wait(1.0)

    def _keep_pace(self) -> None:
        with self._inlets.changed:
            while not (self._inlets.closed or self._inlets.resting) and (
                    self.fed_s - self._inlets.slowest_s() > AHEAD_S):
                self._inlets.changed.wait(1.0)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        self.given_s, self.waits = time.monotonic(), False
        while view:
            with self._writing:
                if self._fd < 0 or self._inlets.closed:
                    raise Closed("FFmpeg takes nothing more")
                try:
                    view = view[os.write(self._fd, view[:PIECE_BYTES]):]
                except BrokenPipeError as error:
                    raise Closed("FFmpeg is gone") from error
            self.given_s = time.monotonic()
        with self._inlets.changed:
            self._inlets.changed.notify_all()

    # The session's side.

    def attach(self, fd: int) -> None:
        """FFmpeg reads what is written to `fd`, which is ours from now on."""
        with self._inlets.changed:
            self.head, self._fd = None, fd
            self.fed_s = self.missing_s = 0.0
            self._inlets.resting = False
            closed = self._inlets.closed
            self._inlets.changed.notify_all()
        if closed:
            # Whoever closed it found nothing to detach yet.
            self.detach()

    def detach(self) -> None:
        """End of FFmpeg's input. Waits for a write that blocks: FFmpeg reads on, or is dead."""
        with self._writing:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def live_input(self, fd: int) -> LiveInput:
        assert self.head is not None
        return LiveInput(fd, self.head, self.form, self.offset_s)
