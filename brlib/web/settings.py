"""`/api/settings`: the options of `config.ini`, which is their only home."""

from __future__ import annotations

from typing import Any

from ..config import OPTIONS
from . import shapes
from .kinds import Field, Kind
from .routes import Access, Given, Routes, service
from .shapes import Schema

routes = Routes("settings")

_TYPES = {"bool": "boolean", "int": "integer", "float": "number", "str": "string",
          "Path": "string", "tuple[str, ...]": "array"}


def _shown_type(name: str) -> Schema:
    """What an option's value looks like in an answer, by its annotation."""
    annotation, _, none = str(OPTIONS[name].type).partition(" | ")
    found: Schema = {"type": _TYPES[annotation], "description": OPTIONS[name].metadata["help"]}
    if found["type"] == "array":
        found["items"] = shapes.STRING
    return shapes.or_null(found) if none else found


def _given(name: str) -> Field:
    """What a change may hold: the option's own reader, in `Configuration`, decides."""
    shown = _shown_type(name)["type"]
    types = {*([shown] if isinstance(shown, str) else shown), "string", "null"}
    return Field(Kind(lambda value: value, {"type": sorted(types)}),
                 about=OPTIONS[name].metadata["help"])


_ALL = {name: _shown_type(name) for name in OPTIONS}
SETTINGS = shapes.named("Settings", shapes.shape(_ALL))
CHANGED = shapes.named("ChangedSettings", shapes.shape(
    {**_ALL, "restart_required": shapes.many(shapes.STRING)}))
CHANGE = {name: _given(name) for name in OPTIONS}


@routes.get("/settings", "See the settings", SETTINGS, Access.ADMIN)
def get_settings() -> Any:
    """Secrets are not shown: *** means that there is one."""
    return service().configuration.shown()


@routes.patch("/settings", "Change settings", CHANGED, body=CHANGE,
              errors=("CONFLICT", "UNAVAILABLE"))
def change_settings(body: Given) -> Any:
    """Values as in config.ini ("200G", "15m") or as numbers; null is the default again."""
    pending = service().change_settings(body)
    return {**service().configuration.shown(), "restart_required": pending}
