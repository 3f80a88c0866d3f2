"""What a live DASH manifest offers: its newest segment, and which are due by the clock. Pure.

Asked by `brlib.capture.dash` for what it has and by the platforms for what there is: where both
say the same for long, the encoder is dead. Some manifests list their segments; others only say
how long one is, and which there are the clock tells (ISO/IEC 23009-1, 5.3.9.5.3). Measured on
streamlink 8.6.3, whose objects these are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from streamlink.stream.dash.manifest import MPD

from .continuity import path_hash

# Clocks differ, encoders are late: what was due so long ago is there, if it ever will be.
LATE_S = 30.0


def edge(mpd: MPD) -> str | None:
    """The newest segment that a manifest lists, in words for `Broadcast.edge`; None where it
    lists none."""
    for one in _representations(mpd):
        timeline, listed = _timeline(one), _part(one, "segmentList")
        if timeline is not None and timeline.timeline_segments:
            return f"{one.period.id or ''}@{_newest_ticks(timeline)}"
        if listed is not None and listed.segmentURLs:
            newest = listed.segmentURLs[-1]
            offset = newest.media_range[0] if newest.media_range else None
            return path_hash(newest.media or "", offset)
    return None


def counts(representation: Any) -> bool:
    """Whether its segments are not listed but counted by the clock."""
    return _part(representation, "segmentTemplate") is not None and (
        _timeline(representation) is None)


def counted_alike(one: Any, other: Any) -> bool:
    """Whether two counted representations mean the same segment by a number."""
    ours, theirs = (
        (template.startNumber, template.duration_seconds, found.period.availabilityStartTime)
        if (template := _part(found, "segmentTemplate")) is not None else None
        for found in (one, other))
    return ours == theirs


def last_number(representation: Any) -> int | None:
    """The number of the last segment of a broadcast that is over, for one that is counted;
    None where the manifest does not say how long it was."""
    template, period = _part(representation, "segmentTemplate"), representation.period
    length_s: float = (period.duration or period.root.mediaPresentationDuration).total_seconds()
    if template is None or not template.duration_seconds or not length_s:
        return None
    # A length that is written with three digits makes no segment of its own.
    count = math.ceil(length_s / template.duration_seconds - 0.01)
    return int(template.startNumber) + max(0, int(count) - 1)


def due(mpd: MPD, now: datetime) -> str | None:
    """The address of a counted segment that must be there by now; None where nothing is counted
    or nothing is due yet."""
    for one in _representations(mpd):
        template = _part(one, "segmentTemplate")
        if not counts(one) or not template.duration_seconds:
            continue
        late_s = LATE_S
        if mpd.timeShiftBufferDepth is not None:
            late_s = min(late_s, mpd.timeShiftBufferDepth.total_seconds() / 2)
        begun_at = one.period.availabilityStartTime + template.presentationTimeOffset
        whole = int(((now - begun_at).total_seconds() - late_s) // template.duration_seconds)
        if whole < 1:
            continue
        # In the middle of that segment, as streamlink counts: it stays so far behind the clock.
        behind = mpd.suggestedPresentationDelay + mpd.minBufferTime
        moment = begun_at + behind + timedelta(seconds=(whole - 0.5) * template.duration_seconds)
        for segment in one.segments(init=False, timestamp=moment):
            return str(segment.uri)
    return None


def _representations(mpd: MPD) -> Iterator[Any]:
    """Those that are recorded first: of the first period the pictures, else the sounds."""
    found = [one for group in mpd.periods[0].adaptationSets for one in group.representations]
    pictures = [one for one in found if one.mimeType.startswith("video")]
    yield from pictures or found


def _part(representation: Any, name: str) -> Any:
    """A template or a list may stand at the representation or above it."""
    return getattr(representation, name) or representation.walk_back_get_attr(name)


def _timeline(representation: Any) -> Any:
    template = _part(representation, "segmentTemplate")
    return template.segmentTimeline if template is not None else None


def _newest_ticks(timeline: Any) -> int:
    """When the last segment of a timeline begins. Each S may stand for many (5.3.9.6)."""
    ticks = newest = 0
    for one in timeline.timeline_segments:
        ticks = ticks if one.t is None else one.t
        newest = ticks + one.d * max(0, one.r)
        ticks = newest + one.d
    return newest
