"""What the route modules share."""

from __future__ import annotations

from flask import current_app

from ..service import Service


def service() -> Service:
    """The engine behind the present request."""
    found: Service = current_app.extensions["battles_record"]
    return found
