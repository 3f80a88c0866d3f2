"""Whether a segment goes on where the one before it ended. Pure.

Asked by `Capture`, which begins a new part where it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import fmp4
from ..shape import Shape

# A jump of fMP4 decode times beyond what is missing that no player should sit through.
TIMELINE_SLACK_S = 30.0


@dataclass(frozen=True)
class Timeline:
    """Where an fMP4 segment stands: decode time by track, and its length."""

    times: dict[int, int]
    duration_s: float


def timeline_of(body: bytes, duration_s: float) -> Timeline | None:
    times = fmp4.decode_times(body)
    return Timeline(times, duration_s) if times else None


def goes_on(
    old: Timeline | None, new: Timeline | None, init: bytes | None, missed_s: float
) -> bool:
    """Whether fMP4 decode times run on, with so much missing in between. FFmpeg's mov demuxer,
    unlike the one for TS, does not mend a timeline that jumps; a part of its own keeps it
    straight."""
    if old is None or new is None or init is None:
        return True
    scales = {track.track_id: track.timescale for track in fmp4.tracks(init)}
    allowed_s = old.duration_s + missed_s + TIMELINE_SLACK_S
    for track, time_now in new.times.items():
        before = old.times.get(track)
        if before is None or not scales.get(track):
            continue
        step_s = (time_now - before) / scales[track]
        if step_s <= 0 or step_s > allowed_s:
            return False
    return True


def unknown(body: bytes, present: Shape | None) -> Shape:
    """For media whose streams cannot be read: as before, if only the container is the same."""
    container = "mp4" if fmp4.looks_like_mp4(body) else "ts"
    if present is not None and present.container == container:
        return present
    return Shape(container, ())
