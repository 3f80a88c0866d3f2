"""The Flask application: routes put together, and the one place where errors get a shape.

Made in the server's worker around a running `Service`; owns no state.
"""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing.exceptions import WebsocketMismatch
from wsproto.utilities import RemoteProtocolError

from ..errors import Invalid, RecorderError
from ..service import Service
from . import auth, channels, recordings, system, ws

log = logging.getLogger(__name__)

BODY_MAX_BYTES = 256 * 1024
STATUS_OF_CODE = {
    "VALIDATION_ERROR": 400,
    "UNAUTHORIZED": 401,
    "TOKEN_EXPIRED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CHANNEL_NOT_FOUND": 404,
    "RECORDING_NOT_FOUND": 404,
    "IMAGE_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "CONFLICT": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "PLATFORM_ERROR": 502,
    "UNAVAILABLE": 503,
}
CODE_OF_STATUS = {
    400: "VALIDATION_ERROR", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED",
    408: "VALIDATION_ERROR", 411: "VALIDATION_ERROR", 413: "PAYLOAD_TOO_LARGE",
    414: "VALIDATION_ERROR", 415: "UNSUPPORTED_MEDIA_TYPE", 503: "UNAVAILABLE",
}
# They say themselves who may use them.
OPEN_ENDPOINTS = ("ws.feed",)


def create_app(service: Service) -> Flask:
    app = Flask("brlib.web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES
    app.config["SOCK_SERVER_OPTIONS"] = ws.SERVER_OPTIONS
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["battles_record"] = service
    app.before_request(_authenticate)
    app.register_error_handler(RecorderError, _recorder_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(RemoteProtocolError, _bad_handshake)
    app.register_error_handler(Exception, _crash)
    for blueprint in (channels.routes, recordings.routes, system.routes, ws.make_routes()):
        app.register_blueprint(blueprint, url_prefix="/api")
    return app


def _authenticate() -> None:
    """Every request needs a key, also one for a route that does not exist."""
    service: Service = current_app.extensions["battles_record"]
    if request.endpoint in OPEN_ENDPOINTS:
        return
    if request.endpoint == "system.health" and service.settings.public_health:
        return
    key = auth.by_header(service.store, request.headers.get("Authorization"))
    if request.routing_exception is None:
        auth.allow(key, request.method)


def answer(code: str, message: str, details: list[dict[str, str]] | None = None) -> Response:
    """The error object."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    response = jsonify({"error": error})
    response.status_code = STATUS_OF_CODE[code]
    return response


def _recorder_error(error: RecorderError) -> Response:
    details = None
    if isinstance(error, Invalid):
        details = [{"field": p.field, "message": p.message} for p in error.problems]
    if STATUS_OF_CODE[error.code] == 500:
        log.error("%s %s: %s", request.method, request.path, error)
    response = answer(error.code, str(error), details)
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_error(error: HTTPException) -> Response:
    """What Flask and Werkzeug raise: unknown routes, wrong methods, too large bodies."""
    code = CODE_OF_STATUS.get(error.code or 500, "INTERNAL_ERROR")
    messages = {
        "NOT_FOUND": f"There is nothing at {request.path}",
        "METHOD_NOT_ALLOWED": f"{request.path} does not take {request.method}",
        "PAYLOAD_TOO_LARGE": f"The body has more than {BODY_MAX_BYTES} bytes",
    }
    message = messages.get(code, error.description or "The request failed")
    if isinstance(error, WebsocketMismatch):
        message = f"{request.path} is a WebSocket: send the headers of an upgrade"
    response = answer(code, message)
    response.status_code = error.code or 500
    if "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _bad_handshake(error: RemoteProtocolError) -> Response:
    """An upgrade to a WebSocket that lacks something; raised before anything was sent."""
    return answer("VALIDATION_ERROR", f"The WebSocket handshake is not valid: {error}")


def _crash(error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.path)
    return answer("INTERNAL_ERROR", "Something went wrong here; the log says what")
