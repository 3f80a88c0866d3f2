"""Errors become answers here and nowhere else: code → status, and the error object.

Registered by the application; `document` reads the table.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing.exceptions import WebsocketMismatch
from wsproto.utilities import RemoteProtocolError

from ..errors import Invalid, RateLimited, RecorderError

log = logging.getLogger(__name__)

STATUS_OF_CODE = {
    "VALIDATION_ERROR": 400,
    "UNAUTHORIZED": 401,
    "TOKEN_EXPIRED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CHANNEL_NOT_FOUND": 404,
    "RECORDING_NOT_FOUND": 404,
    "IMAGE_NOT_FOUND": 404,
    "PLATFORM_NOT_FOUND": 404,
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
    414: "VALIDATION_ERROR", 415: "UNSUPPORTED_MEDIA_TYPE", 416: "VALIDATION_ERROR",
    503: "UNAVAILABLE",
}
# What a store says that will pass, or whose disk has to be looked after: no fault of the code.
_STORE_WAITS = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
                sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def register(app: Flask) -> None:
    app.register_error_handler(RecorderError, _recorder_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(RemoteProtocolError, _bad_handshake)
    app.register_error_handler(sqlite3.OperationalError, _store_error)
    app.register_error_handler(Exception, _crash)


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
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _http_error(error: HTTPException) -> Response:
    """What Flask and Werkzeug raise: unknown routes, wrong methods, too large bodies."""
    code = CODE_OF_STATUS.get(error.code or 500, "INTERNAL_ERROR")
    message = error.description or "The request failed"
    if isinstance(error, WebsocketMismatch):
        message = f"{request.path} is a WebSocket: send the headers of an upgrade"
    elif isinstance(error, RequestEntityTooLarge):
        message = f"The body has more than {request.max_content_length} bytes"
    elif code == "NOT_FOUND":
        message = f"There is nothing at {request.path}"
    elif code == "METHOD_NOT_ALLOWED":
        message = f"{request.path} does not take {request.method}"
    response = answer(code, message)
    response.status_code = error.code or 500
    for name, value in error.get_headers():
        if name in ("Allow", "Content-Range"):
            response.headers[name] = value
    return response


def _bad_handshake(error: RemoteProtocolError) -> Response:
    """An upgrade to a WebSocket that lacks something; raised before anything was sent."""
    return answer("VALIDATION_ERROR", f"The WebSocket handshake is not valid: {error}")


def _store_error(error: sqlite3.OperationalError) -> Response:
    # The lower byte; the others say where it was noticed.
    if getattr(error, "sqlite_errorcode", 0) & 0xff not in _STORE_WAITS:
        return _crash(error)
    log.error("%s %s: the database: %s", request.method, request.path, error)
    return answer("UNAVAILABLE", f"The database cannot be used now: {error}. Recordings go on; "
                  "see whether the disk of data_directory is full or read-only")


def _crash(error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.path)
    return answer("INTERNAL_ERROR", "Something went wrong here; the log says what")
