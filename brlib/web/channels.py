"""`/api/channels…`. Images, profile, CSV get their rooms beside this one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from ..models import Channel
from . import inputs, views
from .base import service
from .inputs import Field

routes = Blueprint("channels", __name__)

OPTIONS = {
    "quality": Field(inputs.known_quality),
    "enabled": Field(inputs.flag),
    "priority": Field(inputs.whole(-1000, 1000)),
    "display_name": Field(inputs.text),
    "filename_template": Field(inputs.nullable(inputs.template)),
    "output_directory": Field(inputs.nullable(inputs.text)),
}
CHANGE = {**OPTIONS, "paused": Field(inputs.flag)}


def add_fields() -> dict[str, Field]:
    platforms = inputs.one_of(*service().platforms)
    return {"platform": Field(platforms, required=True),
            "name": Field(inputs.text, required=True), **OPTIONS}


def shown(channel: Channel) -> dict[str, Any]:
    engine = service()
    status, reason = engine.supervisor.state(channel)
    active = engine.recorder.find_by_channel(channel.id)
    begun = active is not None and active.begun.is_set()
    return views.channel(
        channel, status, reason, engine.supervisor.live(channel.id),
        active.recording.id if active is not None and begun else None)


@routes.get("/channels")
def list_channels() -> Response:
    return jsonify({"channels": [shown(c) for c in service().store.channels.find_all()]})


@routes.post("/channels")
def add_channel() -> tuple[Response, int]:
    values = inputs.body(request, add_fields())
    channel = service().add_channel(
        values.pop("platform"), values.pop("name"), values.pop("quality", None),
        values.pop("enabled", True), **values)
    return jsonify(shown(channel)), 201


@routes.get("/channels/<channel_id>")
def get_channel(channel_id: str) -> Response:
    return jsonify(shown(service().store.channels.get(channel_id)))


@routes.patch("/channels/<channel_id>")
def change_channel(channel_id: str) -> Response:
    service().store.channels.get(channel_id)
    changes = inputs.body(request, CHANGE)
    return jsonify(shown(service().change_channel(channel_id, changes)))


@routes.delete("/channels/<channel_id>")
def delete_channel(channel_id: str) -> tuple[str, int]:
    service().delete_channel(channel_id)
    return "", 204


@routes.post("/channels/<channel_id>/check")
def check_channel(channel_id: str) -> Response:
    view = shown(service().check_channel(channel_id))
    live = service().supervisor.live(channel_id) is not None
    return jsonify({
        "id": channel_id, "live": live,
        **{key: view[key] for key in ("status", "title", "category", "viewers", "recording_id")},
    })


@routes.post("/channels/<channel_id>/stop-recording")
def stop_recording(channel_id: str) -> tuple[Response, int]:
    return jsonify(shown(service().stop_channel(channel_id))), 202
