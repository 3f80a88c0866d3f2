"""`/api/storage…`: what recordings take, and the retention rules run now."""

from __future__ import annotations

from typing import Any

from . import kinds, shapes
from .kinds import Field
from .routes import Given, Routes, service

routes = Routes("storage")

CLEANUP = {"dry_run": Field(kinds.flag_text, about="Only say what would go, and why")}


@routes.get("/storage", "See what recordings take", shapes.STORAGE)
def get_storage() -> Any:
    return service().storage_info()


@routes.post("/storage/cleanup", "Run the retention rules now", shapes.CLEANUP, query=CLEANUP,
             errors=("UNAVAILABLE",))
def cleanup(query: Given) -> Any:
    """Deletes what the rules say, never more; without rules nothing. Files that someone has
    deleted or moved are noticed: their recordings say so."""
    if query.get("dry_run"):
        return {"deleted": [], "freed_bytes": 0, "would_delete": [
            {"id": one.recording_id, "reason": one.reason, "bytes": one.used_bytes}
            for one in service().upkeep.find_doomed()]}
    done = service().upkeep.cleanup()
    return {"deleted": done.deleted, "freed_bytes": done.freed_bytes}
