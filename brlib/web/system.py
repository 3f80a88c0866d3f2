"""`/api/health`. Settings, logs, dependencies and storage get their rooms beside it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from .. import __version__
from .base import service

routes = Blueprint("system", __name__)


@routes.get("/health")
def health() -> tuple[Response, int]:
    engine = service()
    problems, fatal = engine.problems()
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
    return jsonify(body), 503 if fatal else 200
