"""`/api/health`, `/api/logs`, `/api/system/…`, `/api/shutdown`, `/api/openapi.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, current_app, g, jsonify

from .. import __version__
from ..errors import Forbidden
from ..models import iso
from . import kinds, shapes
from .kinds import Field
from .routes import Access, Given, Routes, service

routes = Routes("system")

DOCUMENT = "battles_record.document"
LOGS = {
    "level": Field(kinds.one_of("error", "warn", "info", "debug"),
                   about="This level and worse ones"),
    "from": Field(kinds.moment(end=False)),
    "to": Field(kinds.moment(end=True)),
    "limit": Field(kinds.whole_text(1, 1000), about="100 unless said otherwise"),
    "offset": Field(kinds.whole_text(0, 2 ** 31)),
}


@routes.get("/health", "See whether everything is well", shapes.HEALTH,
            also=((503, shapes.HEALTH),))
def health() -> Response:
    """503 when nothing can be recorded."""
    engine = service()
    problems, fatal = engine.problems()
    if problems and "caller" not in g:
        # Sentences name paths and hosts, which are not for everyone.
        problems = ["log in to see what is wrong"]
    body: dict[str, Any] = {
        "status": "degraded" if problems else "healthy",
        "version": __version__,
        "uptime": int(engine.uptime_s()),
    }
    if problems:
        body["problems"] = problems
    if fatal:
        body["error"] = {"code": "UNAVAILABLE", "message": "Nothing can be recorded: "
                         + "; ".join(problems)}
    response = jsonify(body)
    response.status_code = 503 if fatal else 200
    return response


@routes.get("/logs", "Read the log, newest first", shapes.LOGS, Access.ADMIN, query=LOGS)
def list_logs(query: Given) -> Any:
    limit = query.get("limit", 100)
    lines = service().logs(query.get("level"), query.get("from"), query.get("to"), limit,
                           query.get("offset", 0))
    return {"logs": [{"timestamp": iso(line.timestamp), "level": line.level,
                      "logger": line.logger, "message": line.message} for line in lines],
            "limit": limit}


@routes.get("/system/dependencies", "See which tools are there", shapes.DEPENDENCIES)
def dependencies() -> Any:
    return {"dependencies": {name: asdict(tool) for name, tool in service().tools.find().items()}}


@routes.post("/shutdown", "Stop the daemon", shapes.shape({"status": shapes.one_of("stopping")}),
             202)
def shutdown() -> Any:
    """In local-only mode. Recordings go on at the next start."""
    if not service().settings.local_only:
        raise Forbidden("Only in local-only mode; elsewhere stop the service itself")
    service().shut_down()
    return {"status": "stopping"}


@routes.get("/openapi.json", "Get this document", shapes.of_each({}))
def openapi() -> Any:
    return current_app.extensions[DOCUMENT]
