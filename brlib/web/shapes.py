"""What answers look like, as JSON Schema (2020-12): the components of the API document.

Declared by the routes; `views` makes objects of these shapes, and the tests hold every
answer against them. No key may be missing and none may be more.
"""

from __future__ import annotations

from typing import Any

from ..chapters import ChapterKind
from ..credentials import PLATFORMS as LOGIN_PLATFORMS
from ..credentials import LoginStatus
from ..disks import DiskState
from ..errors import Trouble
from ..models import (
    PLATFORMS, Activity, ChannelStatus, EndReason, GapCause, QuotaState, RecordingStatus, Role,
    SkipReason,
)
from ..processing import CHOICES
from ..quality import QUALITIES
from ..schedule import EndBehavior
from ..supervisor import UPCOMING
from ..store.api_keys import FULL, READ
from ..windows import DAYS

Schema = dict[str, Any]

# Every named shape, by name: what `document` publishes as components.
COMPONENTS: dict[str, Schema] = {}

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time",
                "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def ids(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}_[a-z0-9]{{12}}$"}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def of_each(value: Schema) -> Schema:
    """An object whose keys are data."""
    return {"type": "object", "additionalProperties": value}


def shape(keys: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    return {"type": "object", "properties": keys, "additionalProperties": False,
            "required": [key for key in keys if key not in optional]}


def named(name: str, schema: Schema) -> Schema:
    """A component; what is returned refers to it."""
    COMPONENTS[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def listed(key: str, item: Schema) -> Schema:
    return shape({key: many(item)})


ERROR = named("Error", shape({"error": shape({
    "code": STRING, "message": STRING,
    "details": many(shape({"field": STRING, "message": STRING})),
}, optional=("details",))}))

CHANNEL = named("Channel", shape({
    "id": ids("ch"), "platform": one_of(*PLATFORMS), "name": STRING, "enabled": FLAG,
    "quality": one_of(*QUALITIES), "status": one_of(*ChannelStatus), "display_name": STRING,
    "url": STRING, "title": or_null(STRING), "category": or_null(STRING),
    "viewers": or_null(COUNT), "thumbnail_url": or_null(STRING),
    "live_since": or_null(TIME), "recording_id": or_null(ids("rec")),
    "status_reason": or_null(one_of(*SkipReason, *Trouble, UPCOMING)),
    "last_checked_at": or_null(TIME),
    "last_error": or_null(STRING), "created_at": TIME, "priority": INTEGER, "paused": FLAG,
    "filename_template": or_null(STRING), "output_directory": or_null(STRING),
    "schedule": or_null(shape({
        "windows": many(shape({"days": many(one_of(*DAYS)), "start": STRING, "end": STRING})),
        "blackouts": many(STRING), "timezone": or_null(STRING),
        "end_behavior": or_null(one_of(*EndBehavior))})),
    "filters": or_null(shape({
        "title": or_null(STRING), "category": or_null(STRING), "min_viewers": COUNT,
        "strict": FLAG})),
    "quota_bytes": or_null(COUNT),
    "retention": or_null(shape({
        "days": or_null(COUNT), "keep_latest": or_null(COUNT), "min_keep": COUNT})),
    "processing": or_null(shape({
        **{name: or_null(one_of(*choices)) for name, choices in CHOICES.items()},
        "crf": or_null(COUNT), "ffmpeg_arguments": or_null(STRING)})),
}))
CHECKED = named("CheckedChannel", shape({
    "id": ids("ch"), "live": FLAG, "status": one_of(*ChannelStatus), "title": or_null(STRING),
    "category": or_null(STRING), "viewers": or_null(COUNT), "recording_id": or_null(ids("rec")),
}))
PREVIEW = named("SchedulePreview", shape({
    "channel_id": ids("ch"), "open": FLAG,
    "windows": many(shape({"start": TIME, "end": TIME}))}))
_IMAGE = or_null(shape({"url": STRING, "custom": FLAG, "updated_at": TIME}))
PROFILE = named("ChannelProfile", shape({
    "id": ids("ch"), "platform": one_of(*PLATFORMS), "name": STRING, "display_name": STRING,
    "url": STRING, "profile_image_url": or_null(STRING), "banner_image_url": or_null(STRING),
    "images": shape({"profile": _IMAGE, "banner": _IMAGE}),
}))
IMPORTED = named("ImportedChannels", shape({
    "results": many(shape({
        "line": COUNT, "platform": STRING, "channel": STRING,
        "status": one_of("created", "exists", "invalid"), "id": or_null(ids("ch")),
        "message": or_null(STRING),
    })),
    "created": COUNT, "exists": COUNT, "invalid": COUNT,
}))

RECORDING = named("Recording", shape({
    "id": ids("rec"), "channel_id": ids("ch"), "channel_name": STRING,
    "platform": one_of(*PLATFORMS), "title": STRING, "status": one_of(*RecordingStatus),
    "started_at": TIME, "duration": COUNT, "file_size": COUNT, "file_path": or_null(STRING),
    "category": or_null(STRING), "quality": STRING, "broadcast_id": or_null(STRING),
    "ended_at": or_null(TIME), "end_reason": or_null(one_of(*EndReason)), "segments": COUNT,
    "completeness": SHARE, "gaps": COUNT, "parts": COUNT, "files": many(STRING),
    "error": or_null(STRING), "activity": or_null(one_of(*Activity)),
    "protected": FLAG,
}))
RECORDINGS = named("RecordingPage", shape({
    "recordings": many(RECORDING), "total": COUNT, "limit": COUNT, "offset": COUNT,
}))
ACTIVE = named("ActiveRecording", shape({
    "id": ids("rec"), "channel_id": ids("ch"), "channel_name": STRING,
    "platform": one_of(*PLATFORMS), "title": STRING, "started_at": TIME, "duration": COUNT,
    "segments": COUNT, "quality": STRING, "status": one_of(*RecordingStatus),
    "activity": one_of(*Activity), "bytes": COUNT, "bitrate": COUNT, "completeness": SHARE,
}))
GAP = named("Gap", shape({
    "started_at": TIME, "offset": {**NUMBER, "minimum": 0}, "duration": {**NUMBER, "minimum": 0},
    "segments": COUNT, "cause": one_of(*GapCause),
}))
CHAPTER = named("Chapter", shape({
    "start": {**NUMBER, "minimum": 0}, "end": {**NUMBER, "minimum": 0}, "title": STRING,
    "kind": one_of(*ChapterKind),
}))

_HOURS: Schema = or_null({**NUMBER, "minimum": 0, "description": (
    "Until recordings have to end for want of room, at the rate of the last minute and a half; "
    "null while nothing is written")})
DISK = named("Disk", shape({
    "paths": many(STRING), "state": one_of(*DiskState), "problem": or_null(STRING),
    "total_bytes": or_null(COUNT), "free_bytes": or_null(COUNT),
    "used_percent": or_null({**COUNT, "maximum": 100}), "write_rate": {
        **COUNT, "description": "Bytes a second that recordings write to it"},
    "hours_left": _HOURS,
}))
STORAGE = named("Storage", shape({
    "total_used": COUNT, "total_available": COUNT, "quota": or_null(COUNT),
    "quota_used_percent": or_null({**NUMBER, "minimum": 0}), "by_channel": of_each(COUNT),
    "quota_status": one_of(*QuotaState), "channel_quotas": of_each(shape({
        "quota": COUNT, "used": COUNT, "used_percent": COUNT, "status": one_of(*QuotaState)})),
    "disks": many(DISK), "hours_left": _HOURS,
}))
CLEANUP = named("Cleanup", shape({
    "deleted": many(ids("rec")), "freed_bytes": COUNT, "would_delete": {
        **many(shape({"id": ids("rec"), "reason": STRING, "bytes": COUNT})),
        "description": "Of a dry run only"},
}, optional=("would_delete",)))

HEALTH = named("Health", shape({
    "status": one_of("healthy", "degraded"), "version": STRING, "uptime": COUNT,
    "problems": many(STRING), "error": COMPONENTS["Error"]["properties"]["error"],
}, optional=("problems", "error")))
LOGS = named("LogPage", shape({
    "logs": many(shape({"timestamp": TIME, "level": one_of("error", "warn", "info", "debug"),
                        "logger": STRING, "message": STRING})),
    "limit": COUNT,
}))
DEPENDENCIES = named("Dependencies", shape({"dependencies": of_each(shape({
    "available": FLAG, "version": or_null(STRING), "path": or_null(STRING), "required": FLAG,
    "needed_for": STRING,
}))}))

TOKEN = named("Token", shape({"token": STRING, "expires_at": TIME}))
USER = named("User", shape({
    "id": ids("usr"), "username": STRING, "role": one_of(*Role), "created_at": TIME,
    "last_login_at": or_null(TIME),
}))
_KEY: dict[str, Schema] = {
    "id": COUNT, "label": STRING, "permission": one_of(FULL, READ), "created_at": TIME,
    "last_used_at": or_null(TIME),
}
API_KEY = named("ApiKey", shape(_KEY))
NEW_API_KEY = named("NewApiKey", shape({**_KEY, "key": {
    "type": "string", "pattern": "^br_[A-Za-z0-9]{40}$",
    "description": "In the only copy there will ever be"}}))

_LOGIN: dict[str, Schema] = {
    "status": one_of(*LoginStatus), "username": or_null(STRING), "expires_at": or_null(TIME),
    "last_validated": or_null(TIME),
}
_KIND = shape({**_LOGIN, "problem": or_null(STRING)})
PLATFORM = named("PlatformLogin", shape({
    "platform": one_of(*LOGIN_PLATFORMS), **_LOGIN,
    "credentials": shape({"api": _KIND, "playback": _KIND}),
}))
TESTED = named("TestedLogin", shape({
    "platform": one_of(*LOGIN_PLATFORMS), "success": FLAG, "message": STRING,
    "username": or_null(STRING),
}))
BEGUN = named("BegunLogin", shape({
    "flow": one_of("device", "redirect"), "user_code": STRING, "verification_uri": STRING,
    "expires_in": COUNT, "interval": COUNT, "auth_url": STRING, "state": STRING,
}, optional=("user_code", "verification_uri", "expires_in", "interval", "auth_url", "state")))
AVAILABILITY = named("LoginAvailability", shape({"platforms": of_each(shape({
    "available": FLAG, "flow": one_of("device", "redirect"), "reason": or_null(STRING),
}))}))
