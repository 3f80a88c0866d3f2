"""What the recorder's events say. Pure; the field names are the API's."""

from __future__ import annotations

from typing import Any

from ..events import about_recording
from ..models import Activity, Gap, Recording, iso


def recording(subject: Recording) -> dict[str, Any]:
    return {
        **about_recording(subject),
        "quality": subject.quality,
        "status": subject.status.value,
        "started_at": iso(subject.started_at),
    }


def segment(subject: Recording, activity: Activity, fresh: int) -> dict[str, Any]:
    """`new_segments` counts those since the last such event: a fast origin gives many."""
    return {
        **recording(subject),
        "activity": activity.value,
        "new_segments": fresh,
        "segments": subject.sums.segments,
        "bytes": subject.sums.captured_bytes,
        "duration": round(subject.sums.captured_s),
        "completeness": round(subject.sums.completeness, 6),
    }


def gap(subject: Gap) -> dict[str, Any]:
    return {
        "started_at": iso(subject.started_at),
        "offset": round(subject.offset_s, 3),
        "duration": round(subject.duration_s, 3),
        "segments": subject.segments,
        "cause": subject.cause.value,
    }


def ended(subject: Recording, gaps: list[Gap]) -> dict[str, Any]:
    return {
        **recording(subject),
        "ended_at": iso(subject.ended_at),
        "end_reason": subject.end_reason.value if subject.end_reason else None,
        "segments": subject.sums.segments,
        "bytes": subject.sums.captured_bytes,
        "duration": round(subject.sums.captured_s),
        "completeness": round(subject.sums.completeness, 6),
        "gaps": [gap(g) for g in gaps],
    }
