"""`/api/storage…`: what recordings take, and the retention rules run now."""

from __future__ import annotations

from typing import Any

from . import shapes
from .routes import Routes, service

routes = Routes("storage")


@routes.get("/storage", "See what recordings take", shapes.STORAGE)
def get_storage() -> Any:
    return service().storage_info()


@routes.post("/storage/cleanup", "Run the retention rules now", shapes.CLEANUP)
def cleanup() -> Any:
    """Deletes what the rules say, never more; without rules nothing."""
    done = service().cleanup()
    return {"deleted": done.deleted, "freed_bytes": done.freed_bytes}
