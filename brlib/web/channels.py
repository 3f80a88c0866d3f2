"""`/api/channels…`. Images and CSV have their rooms beside this one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import g

from .. import platforms
from ..models import Caller, Channel, iso, utc_now
from . import kinds, shapes, views
from .kinds import Field
from .routes import Given, Routes, service

routes = Routes("channels")

NOT_FOUND = "CHANNEL_NOT_FOUND"
OPTIONS = {
    "quality": Field(kinds.known_quality),
    "enabled": Field(kinds.flag),
    "priority": Field(kinds.whole(-1000, 1000)),
    "display_name": Field(kinds.text),
    "filename_template": Field(kinds.nullable(kinds.template)),
    "output_directory": Field(kinds.nullable(kinds.directory)),
    "schedule": Field(kinds.nullable(kinds.schedule), about="Instead of the configuration's; "
                      "null is the configuration's again"),
    "filters": Field(kinds.nullable(kinds.filters), about="Which broadcasts are recorded"),
    "quota_bytes": Field(kinds.nullable(kinds.whole(0, 2 ** 53)),
                         about="What its recordings may take, besides the common quota"),
    "retention": Field(kinds.nullable(kinds.retention), about="How long its recordings are "
                       "kept; {} is for ever, null is as the configuration says"),
    "processing": Field(kinds.nullable(kinds.processing), about="How its files are made: the "
                        "configuration's options of these names, for this channel"),
}
ADD = {
    "platform": Field(kinds.one_of(*platforms.NAMES), required=True),
    "name": Field(kinds.text, required=True, about="The channel's name, or its address"),
    **OPTIONS,
}
CHANGE = {**OPTIONS, "paused": Field(kinds.flag)}


def shown(channel: Channel, caller: Caller | None = None) -> dict[str, Any]:
    """As the caller (of this request, unless another is named) may see it."""
    engine, role = service(), (caller or g.caller).role
    status, reason = engine.supervisor.state(channel)
    active = engine.recorder.find_by_channel(channel.id)
    begun = active is not None and active.begun.is_set()
    return views.channel(
        channel, status, reason, engine.supervisor.live(channel.id),
        active.recording.id if active is not None and begun else None,
        engine.supervisor.last_checked(channel), role)


@routes.get("/channels", "List the channels", shapes.listed("channels", shapes.CHANNEL))
def list_channels() -> Any:
    return {"channels": [shown(c) for c in service().store.channels.find_all()]}


@routes.post("/channels", "Watch a channel", shapes.CHANNEL, 201, body=ADD,
             errors=("CONFLICT",))
def add_channel(body: Given) -> Any:
    return shown(service().watchlist.add(
        body.pop("platform"), body.pop("name"), body.pop("quality", None),
        body.pop("enabled", True), **body))


@routes.get("/channels/<channel_id>", "Get a channel", shapes.CHANNEL, errors=(NOT_FOUND,))
def get_channel(channel_id: str) -> Any:
    return shown(service().store.channels.get(channel_id))


@routes.patch("/channels/<channel_id>", "Change a channel", shapes.CHANNEL, body=CHANGE,
              errors=(NOT_FOUND,))
def change_channel(channel_id: str, body: Given) -> Any:
    return shown(service().watchlist.change(channel_id, body))


@routes.delete("/channels/<channel_id>", "Watch a channel no longer",
               errors=(NOT_FOUND, "CONFLICT"))
def delete_channel(channel_id: str) -> None:
    """Its recordings stay. While it is being recorded it cannot go."""
    service().watchlist.delete(channel_id)


@routes.get("/channels/<channel_id>/schedule/preview", "See when a channel is recorded",
            shapes.PREVIEW, query={"days": Field(kinds.whole_text(1, 31), about="So many; 7")},
            errors=(NOT_FOUND,))
def preview_schedule(channel_id: str, query: Given) -> Any:
    """The windows that are open from now on, by the channel's own schedule or the
    configuration's, blackouts taken out."""
    times = service().supervisor.wishes.schedule(service().store.channels.get(channel_id))
    begin = utc_now()
    end = begin + timedelta(days=query.get("days", 7))
    return {"channel_id": channel_id, "open": times.open_at(begin), "windows": [
        {"start": iso(start), "end": iso(end)} for start, end in times.windows_between(begin, end)]}


@routes.post("/channels/<channel_id>/check", "Look whether a channel is live", shapes.CHECKED,
             errors=(NOT_FOUND, "PLATFORM_ERROR"))
def check_channel(channel_id: str) -> Any:
    """Now, and with the recording started where the rules allow it."""
    view = shown(service().watchlist.check(channel_id))
    live = service().supervisor.live(channel_id) is not None
    return {
        "id": channel_id, "live": live,
        **{key: view[key] for key in ("status", "title", "category", "viewers", "recording_id")},
    }


@routes.post("/channels/<channel_id>/stop-recording", "End the recording, pause the channel",
             shapes.CHANNEL, 202, errors=(NOT_FOUND, "CONFLICT"))
def stop_recording(channel_id: str) -> Any:
    return shown(service().watchlist.stop_recording(channel_id))
