"""`/api/recordings…`. Files and playlists to watch are in `watching`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..models import PLATFORMS, Recording, RecordingStatus
from ..recorder import gap_facts
from ..store.recordings import Filter
from . import kinds, shapes, views
from .kinds import Field
from .routes import Given, Routes, service

routes = Routes("recordings")

NOT_FOUND = "RECORDING_NOT_FOUND"
LIST = {
    "channel": Field(kinds.identifier("ch")),
    "platform": Field(kinds.one_of(*PLATFORMS)),
    "status": Field(kinds.one_of(*RecordingStatus)),
    "from": Field(kinds.moment(end=False), about="The earliest start, ISO 8601"),
    "to": Field(kinds.moment(end=True), about="The latest start, ISO 8601"),
    "limit": Field(kinds.whole_text(1, 500), about="50 unless said otherwise"),
    "offset": Field(kinds.whole_text(0, 2 ** 53)),
}
CHANGE = {"protected": Field(
    kinds.flag, about="Whether no rule deletes it, and no person before this is taken back")}
DELETE = {"delete_file": Field(kinds.flag_text, about="Also the file; true unless said otherwise")}


def shown(recording: Recording) -> dict[str, Any]:
    active = service().recorder.find(recording.id) if recording.active else None
    now = replace(active.now(), protected=recording.protected) if active else recording
    return views.recording(now, active.activity if active else None)


@routes.get("/recordings", "List recordings, newest first", shapes.RECORDINGS, query=LIST)
def list_recordings(query: Given) -> Any:
    wanted = Filter(query.get("channel"), query.get("platform"), query.get("status"),
                    query.get("from"), query.get("to"))
    limit, offset = query.get("limit", 50), query.get("offset", 0)
    recordings = service().store.recordings
    return {
        "recordings": [shown(r) for r in recordings.find_page(wanted, limit, offset)],
        "total": recordings.count(wanted), "limit": limit, "offset": offset,
    }


@routes.get("/recordings/active", "List what is being recorded",
            shapes.listed("active", shapes.ACTIVE))
def list_active() -> Any:
    return {"active": [views.active(a) for a in service().recorder.find_active()]}


@routes.get("/recordings/<recording_id>", "Get a recording", shapes.RECORDING,
            errors=(NOT_FOUND,))
def get_recording(recording_id: str) -> Any:
    return shown(service().archive.get(recording_id))


@routes.patch("/recordings/<recording_id>", "Protect a recording", shapes.RECORDING,
              body=CHANGE, errors=(NOT_FOUND, "CONFLICT"))
def change_recording(recording_id: str, body: Given) -> Any:
    return shown(service().archive.change(recording_id, **body))


@routes.delete("/recordings/<recording_id>", "Delete a recording", query=DELETE,
               errors=(NOT_FOUND, "CONFLICT", "UNAVAILABLE"))
def delete_recording(recording_id: str, query: Given) -> None:
    """With its file, unless told otherwise. Not while it is active, being processed or
    protected; and a
    failed one whose capture is the only copy of it only with delete_file=true."""
    service().archive.delete(recording_id, query.get("delete_file", True))


@routes.get("/recordings/<recording_id>/gaps", "List what is missing, and why",
            shapes.listed("gaps", shapes.GAP), errors=(NOT_FOUND,))
def list_gaps(recording_id: str) -> Any:
    return {"gaps": [gap_facts(g) for g in service().archive.gaps(recording_id)]}


@routes.get("/recordings/<recording_id>/chapters", "List its chapters",
            shapes.listed("chapters", shapes.CHAPTER), errors=(NOT_FOUND,))
def list_chapters(recording_id: str) -> Any:
    """One begins where title or category change, or behind something that is missing; also
    while it records. Times are seconds of the captured media, as those of gaps."""
    return {"chapters": [views.chapter(c) for c in service().archive.chapters(recording_id)]}


@routes.post("/recordings/<recording_id>/stop", "End a recording", shapes.RECORDING, 202,
             errors=(NOT_FOUND, "CONFLICT"))
def stop(recording_id: str) -> Any:
    """Its file is finished. The channel stays watched, that broadcast is not recorded again."""
    return shown(service().archive.stop(recording_id))


@routes.post("/recordings/<recording_id>/cancel", "End a recording and discard it",
             shapes.RECORDING, 202, errors=(NOT_FOUND, "CONFLICT"))
def cancel(recording_id: str) -> Any:
    """Nothing of it stays but this answer. The broadcast is not recorded again."""
    return views.recording(service().archive.cancel(recording_id), None)


@routes.post("/recordings/<recording_id>/pause", "Leave a stretch out", shapes.RECORDING,
             errors=(NOT_FOUND, "CONFLICT"))
def pause(recording_id: str) -> Any:
    service().recorder.get(recording_id).pause()
    return shown(service().archive.get(recording_id))


@routes.post("/recordings/<recording_id>/resume", "Go on after a pause", shapes.RECORDING,
             errors=(NOT_FOUND, "CONFLICT"))
def resume(recording_id: str) -> Any:
    service().recorder.get(recording_id).resume()
    return shown(service().archive.get(recording_id))


@routes.post("/recordings/<recording_id>/reprocess", "Build the file again", shapes.RECORDING,
             202, errors=(NOT_FOUND, "CONFLICT", "UNAVAILABLE"))
def reprocess(recording_id: str) -> Any:
    """From the capture or, where that is gone, from the file."""
    return shown(service().archive.reprocess(recording_id))
