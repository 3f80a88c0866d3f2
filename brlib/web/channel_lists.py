"""`/api/channels/import` and `/export`: channels as CSV."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import UnsupportedMediaType

from .. import channel_csv
from ..errors import Invalid
from . import inputs, shapes, views
from .routes import Media, Routes, service

routes = Routes("channel_lists")

CSV = "text/csv"
MAX_BYTES = 1024 * 1024
# curl calls everything that it sends a form.
TYPES = (CSV, "text/plain", "application/csv", "application/vnd.ms-excel",
         "application/octet-stream", "application/x-www-form-urlencoded", "")
UPLOAD: dict[str, Any] = {"required": True, "content": {CSV: {"schema": {
    "type": "string", "examples": ["platform,channel,quality,enabled\n"]}}}}


@routes.post("/channels/import", "Add channels from CSV", shapes.IMPORTED, upload=UPLOAD)
def import_channels() -> Any:
    """Columns platform, channel, quality, enabled. Each row is answered by itself."""
    if request.mimetype not in TYPES:
        raise UnsupportedMediaType("Send the CSV as it is: curl --data-binary @channels.csv")
    request.max_content_length = MAX_BYTES
    data = inputs.whole(request, "body")
    if not data:
        raise Invalid([], "The body is empty: send the CSV in it")
    results = service().watchlist.import_csv(data)
    return {
        "results": [{"line": r.line, "platform": r.platform, "channel": r.channel,
                     "status": r.status, "id": r.channel_id, "message": r.message}
                    for r in results],
        **{status: sum(r.status == status for r in results)
           for status in ("created", "exists", "invalid")},
    }


@routes.get("/channels/export", "Get the channels as CSV", Media((CSV,), counted=True))
def export_channels() -> Response:
    text = channel_csv.render(
        replace(channel, name=views.place(channel, g.caller.role)[0])
        for channel in service().store.channels.find_all())
    response = Response(text, content_type=f"{CSV}; charset=utf-8")
    response.headers.set("Content-Disposition", "attachment", filename="channels.csv")
    return response
