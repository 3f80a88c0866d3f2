"""What FFmpeg writes for a session, cut into segments: the words, and where one stream joins on.

Pure. `cuts_ts` and `cuts_mp4` do the cutting; `remux` commits what they give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

# A cut falls on the first keyframe behind this, and, where none comes, anywhere behind that.
SEGMENT_S = 2.0
SEGMENT_MAX_S = 10.0
SEGMENT_MAX_BYTES = 64 * 1024 * 1024
# A step from one picture (or sound) to the next beyond this is a hole, no low frame rate.
HOLE_S = 1.5
# A keyframe's time as two sessions see it: FFmpeg shifts all by the priming of the sound
# (21 ms of AAC) when that begins before 0. Keyframes are further apart, sounds are not.
SAME_KEY_S = 0.1
SAME_SOUND_S = 0.01
# Below this two streams meet without anything missing.
SEAM_S = 0.05


@dataclass(frozen=True)
class Cut:
    """A segment. `start_s` is on the output's own timeline, `missing_s` what the timeline
    leaves out behind it, `init` the init section of fMP4."""

    body: bytes
    init: bytes | None
    start_s: float
    duration_s: float
    missing_s: float = 0.0


@dataclass(frozen=True)
class Joint:
    """Where the capture ends on the source's timeline, and between which distances from
    there the stream may begin that goes on with it. `turn_s`: when the timeline begins anew
    by itself (0: never)."""

    end_s: float
    back_s: float
    ahead_s: float

    def distance_s(self, time_s: float, turn_s: float) -> float | None:
        """From the end to `time_s`, negative for what the capture has; None: they have
        nothing to do with each other."""
        away_s = time_s - self.end_s
        if turn_s:
            away_s = (away_s + turn_s / 2) % turn_s - turn_s / 2
        return away_s if -self.back_s <= away_s <= self.ahead_s else None


class Cutter(Protocol):
    """Bytes in, segments out. `first_s` is the time of the first picture that came, `joined_s`
    what is missing between a joint and the first segment (None: nothing joins)."""

    first_s: float | None
    joined_s: float | None

    @property
    def open_s(self) -> float:
        """The length of the segment that is not whole yet."""

    def take(self, data: bytes) -> list[Cut]: ...

    def finish(self, whole: bool, rejoin: bool) -> list[Cut]:
        """What is left. `whole`: FFmpeg came to its end, nothing is torn. Where something
        is and the next session will `rejoin`, the last keyframe is left to that one."""
