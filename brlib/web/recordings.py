"""`/api/recordings…`. Files and playlists to watch get their room beside this one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from ..models import Recording, RecordingStatus
from ..recorder import gap_facts
from ..store.recordings import Filter
from . import inputs, views
from .base import service
from .inputs import Field

routes = Blueprint("recordings", __name__)

LIST = {
    "channel": Field(inputs.identifier("ch")),
    "platform": Field(inputs.one_of("twitch", "youtube", "kick", "url")),
    "status": Field(inputs.one_of(*(s.value for s in RecordingStatus))),
    "from": Field(inputs.moment(end=False)),
    "to": Field(inputs.moment(end=True)),
    "limit": Field(inputs.whole_text(1, 500)),
    "offset": Field(inputs.whole_text(0, 2 ** 53)),
}
DELETE = {"delete_file": Field(inputs.flag_text)}


def shown(recording: Recording) -> dict[str, Any]:
    active = service().recorder.find(recording.id) if recording.active else None
    return views.recording(
        active.now() if active else recording, active.activity if active else None)


@routes.get("/recordings")
def list_recordings() -> Response:
    given = inputs.query(request, LIST)
    wanted = Filter(given.get("channel"), given.get("platform"), given.get("status"),
                    given.get("from"), given.get("to"))
    limit, offset = given.get("limit", 50), given.get("offset", 0)
    recordings = service().store.recordings
    return jsonify({
        "recordings": [shown(r) for r in recordings.find_page(wanted, limit, offset)],
        "total": recordings.count(wanted), "limit": limit, "offset": offset,
    })


@routes.get("/recordings/active")
def list_active() -> Response:
    return jsonify({"active": [views.active(a) for a in service().recorder.find_active()]})


@routes.get("/recordings/<recording_id>")
def get_recording(recording_id: str) -> Response:
    return jsonify(shown(service().recording(recording_id)))


@routes.delete("/recordings/<recording_id>")
def delete_recording(recording_id: str) -> tuple[str, int]:
    given = inputs.query(request, DELETE)
    service().delete_recording(recording_id, given.get("delete_file", True))
    return "", 204


@routes.get("/recordings/<recording_id>/gaps")
def list_gaps(recording_id: str) -> Response:
    return jsonify({"gaps": [gap_facts(g) for g in service().gaps(recording_id)]})


@routes.post("/recordings/<recording_id>/stop")
def stop(recording_id: str) -> tuple[Response, int]:
    return jsonify(shown(service().stop_recording(recording_id))), 202


@routes.post("/recordings/<recording_id>/pause")
def pause(recording_id: str) -> Response:
    service().recorder.get(recording_id).pause()
    return jsonify(shown(service().recording(recording_id)))


@routes.post("/recordings/<recording_id>/resume")
def resume(recording_id: str) -> Response:
    service().recorder.get(recording_id).resume()
    return jsonify(shown(service().recording(recording_id)))


@routes.post("/recordings/<recording_id>/reprocess")
def reprocess(recording_id: str) -> tuple[Response, int]:
    return jsonify(shown(service().reprocess(recording_id))), 202
