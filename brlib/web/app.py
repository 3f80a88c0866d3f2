"""The Flask application: every route, behind one door, with one shape for errors.

Made in the server's worker around a running `Service`; owns no state.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import IO

from flask import Flask, Request, current_app

from ..service import Service
from . import (
    auth, channel_lists, channels, errors, images, platform_logins, recordings, settings,
    storage, system, users, watching, ws,
)
from .document import document
from .guard import Guard
from .routes import ENGINE, Operation, Routes

BODY_MAX_BYTES = 256 * 1024
PREFIX = "/api"
ROUTES = (
    auth.routes, platform_logins.routes, users.routes, channels.routes, channel_lists.routes,
    images.routes, recordings.routes, watching.routes, storage.routes, settings.routes,
    system.routes,
)


def declared_operations() -> dict[str, Operation]:
    """Every operation by Flask's name of its endpoint, without a daemon."""
    return _operations((*ROUTES, ws.make_routes()))


def _operations(all_routes: Iterable[Routes]) -> dict[str, Operation]:
    return {endpoint: operation
            for routes in all_routes for endpoint, operation in routes.operations.items()}


class RecorderRequest(Request):
    """A request whose uploads wait on the disk of the data: /tmp is often memory."""

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        engine: Service = current_app.extensions[ENGINE]
        return tempfile.TemporaryFile("rb+", dir=engine.settings.data_directory)


def create_app(service: Service) -> Flask:
    app = Flask("brlib.web", static_folder=None)
    app.request_class = RecorderRequest
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["SOCK_SERVER_OPTIONS"] = ws.SERVER_OPTIONS
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[ENGINE] = service
    all_routes = (*ROUTES, ws.make_routes())
    operations = _operations(all_routes)
    app.extensions[system.DOCUMENT] = document(operations.values())
    Guard(app, operations)
    errors.register(app)
    for routes in all_routes:
        app.register_blueprint(routes.blueprint, url_prefix=PREFIX)
    return app
