"""How the domain looks from outside: dataclasses to the API's objects. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ..chapters import Chapter
from ..images import Image, ImageKind
from ..models import (
    Activity, Broadcast, Channel, ChannelStatus, Recording, Role, User, iso,
)
from ..naming import bare_url
from ..recorder import ActiveRecording
from ..store.api_keys import ApiKey


def place(subject: Channel, role: Role) -> tuple[str, str]:
    """Name and address. Those of a stream by address may hold a password or a token, which
    are for those who can change them."""
    if role is Role.ADMIN or subject.platform != "url":
        return subject.name, subject.url
    return bare_url(subject.name), bare_url(subject.url)


def channel(
    subject: Channel, status: ChannelStatus, reason: str | None,
    live: Broadcast | None, recording_id: str | None, last_checked_at: datetime | None,
    role: Role,
) -> dict[str, Any]:
    """`last_checked_at` is fresh: the channel's own is brought up to date seldom."""
    name, url = place(subject, role)
    return {
        "id": subject.id,
        "platform": subject.platform,
        "name": name,
        "enabled": subject.enabled,
        "quality": subject.quality,
        "status": status.value,
        "display_name": subject.display_name,
        "url": url,
        "title": live.title if live else None,
        "category": live.category if live else None,
        "viewers": live.viewers if live else None,
        "thumbnail_url": live.thumbnail_url if live else None,
        "live_since": iso(subject.live_since),
        "recording_id": recording_id,
        "status_reason": str(reason) if reason else None,
        "last_checked_at": iso(last_checked_at),
        "last_error": subject.last_error,
        "created_at": iso(subject.created_at),
        "priority": subject.priority,
        "paused": subject.paused,
        "filename_template": subject.filename_template,
        "output_directory": subject.output_directory,
        "schedule": json.loads(subject.schedule) if subject.schedule else None,
        "filters": json.loads(subject.filters) if subject.filters else None,
        "quota_bytes": subject.quota_bytes,
        "retention": json.loads(subject.retention) if subject.retention else None,
        "processing": json.loads(subject.processing) if subject.processing else None,
    }


def profile(
    subject: Channel, images: dict[ImageKind, Image | None], role: Role
) -> dict[str, Any]:
    name, url = place(subject, role)
    shown = {kind.value: _image(subject.id, kind, image) for kind, image in images.items()}
    return {
        "id": subject.id,
        "platform": subject.platform,
        "name": name,
        "display_name": subject.display_name,
        "url": url,
        **{f"{kind}_image_url": image["url"] if image else None
           for kind, image in shown.items()},
        "images": shown,
    }


def _image(channel_id: str, kind: ImageKind, image: Image | None) -> dict[str, Any] | None:
    """The address names the content, too: who keeps pictures sees that this one is new."""
    if image is None:
        return None
    return {"url": f"/api/channels/{channel_id}/images/{kind}?v={image.etag[:12]}",
            "custom": image.custom, "updated_at": iso(image.modified_at)}


def user(subject: User) -> dict[str, Any]:
    return {"id": subject.id, "username": subject.username, "role": subject.role.value,
            "created_at": iso(subject.created_at), "last_login_at": iso(subject.last_login_at)}


def api_key(subject: ApiKey) -> dict[str, Any]:
    return {"id": subject.id, "label": subject.label, "permission": subject.permission,
            "created_at": iso(subject.created_at), "last_used_at": iso(subject.last_used_at)}


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
        "protected": subject.protected,
    }


def chapter(subject: Chapter) -> dict[str, Any]:
    return {"start": round(subject.start_s, 3), "end": round(subject.end_s, 3),
            "title": subject.title, "kind": subject.kind.value}


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
