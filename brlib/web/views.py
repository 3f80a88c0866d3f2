"""How the domain looks from outside: dataclasses to the API's objects. Pure."""

from __future__ import annotations

from typing import Any

from ..models import Activity, Broadcast, Channel, ChannelStatus, Recording, SkipReason, iso
from ..recorder import ActiveRecording

# Options of a channel that have no rules yet.
_LATER: dict[str, None] = {
    "schedule": None, "filters": None, "quota_bytes": None, "retention": None, "processing": None,
}


def channel(
    subject: Channel, status: ChannelStatus, reason: SkipReason | None,
    live: Broadcast | None, recording_id: str | None,
) -> dict[str, Any]:
    return {
        "id": subject.id,
        "platform": subject.platform,
        "name": subject.name,
        "enabled": subject.enabled,
        "quality": subject.quality,
        "status": status.value,
        "display_name": subject.display_name,
        "url": subject.url,
        "title": live.title if live else None,
        "category": live.category if live else None,
        "viewers": live.viewers if live else None,
        "live_since": iso(subject.live_since),
        "recording_id": recording_id,
        "status_reason": reason.value if reason else None,
        "last_checked_at": iso(subject.last_checked_at),
        "last_error": subject.last_error,
        "created_at": iso(subject.created_at),
        "priority": subject.priority,
        "paused": subject.paused,
        "filename_template": subject.filename_template,
        "output_directory": subject.output_directory,
        **_LATER,
    }


def recording(subject: Recording, activity: Activity | None) -> dict[str, Any]:
    sums = subject.sums
    return {
        "id": subject.id,
        "channel_id": subject.channel_id,
        "channel_name": subject.channel_name,
        "platform": subject.platform,
        "title": subject.title,
        "status": subject.status.value,
        "started_at": iso(subject.started_at),
        "duration": round(sums.captured_s),
        "file_size": subject.file_size_bytes,
        "file_path": subject.file_path,
        "category": subject.category,
        "quality": subject.quality,
        "broadcast_id": subject.broadcast_id,
        "ended_at": iso(subject.ended_at),
        "end_reason": subject.end_reason.value if subject.end_reason else None,
        "segments": sums.segments,
        "completeness": round(sums.completeness, 6),
        "gaps": sums.gaps,
        "parts": sums.parts,
        "files": list(subject.files),
        "error": subject.error,
        "activity": activity.value if activity else None,
    }


def active(subject: ActiveRecording) -> dict[str, Any]:
    now = subject.now()
    sums = now.sums
    bitrate = round(8 * sums.captured_bytes / sums.captured_s) if sums.captured_s else 0
    return {
        "id": now.id,
        "channel_id": now.channel_id,
        "channel_name": now.channel_name,
        "platform": now.platform,
        "title": now.title,
        "started_at": iso(now.started_at),
        "duration": round(sums.captured_s),
        "segments": sums.segments,
        "quality": now.quality,
        "status": now.status.value,
        "activity": subject.activity.value,
        "bytes": sums.captured_bytes,
        "bitrate": bitrate,
        "completeness": round(sums.completeness, 6),
    }
