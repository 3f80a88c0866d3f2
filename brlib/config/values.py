"""Options as JSON: how the API shows a value, and a value from outside as a line's text."""

from __future__ import annotations

import re
import types
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from .settings import OPTIONS, SECRETS, Settings

# Instead of a secret; given back it means the one that is there.
HIDDEN = "***"
LENGTH_MAX = 4096

_COMMENT = re.compile(r"(^|\s)#")
# Characters that some reader takes for the end of a line, or that UTF-8 does not have.
_NO_LINE = ("Cc", "Cs", "Zl", "Zp")
_SAID = {bool: "true or false", int: "a number", float: "a number", tuple: "a list of texts",
         str: "a text", Path: "a text"}


def _kinds(hint: Any) -> tuple[type, ...]:
    parts = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return tuple(get_origin(part) or part for part in parts if part is not type(None))


_KINDS = {name: _kinds(hint) for name, hint in get_type_hints(Settings).items()}


def shown(settings: Settings) -> dict[str, Any]:
    """All options: paths as text, times in seconds, sizes in bytes; no secrets."""
    return {name: _shown(name, getattr(settings, name)) for name in OPTIONS}


def _shown(name: str, value: Any) -> Any:
    if name in SECRETS:
        return None if value is None else HIDDEN
    match value:
        case Path():
            return str(value)
        case tuple():
            return list(value)
        case float():
            return int(value) if value.is_integer() else value
    return value


def written(name: str, value: Any) -> str:
    """A JSON value as it is written into the file, in one line. Raises ValueError."""
    text = _text(name, value)
    if not text:
        raise ValueError("must not be empty; null gives the default back")
    if len(text) > LENGTH_MAX:
        raise ValueError(f"must have at most {LENGTH_MAX} characters")
    if any(unicodedata.category(character) in _NO_LINE for character in text):
        raise ValueError("must be one line, without control characters")
    if text != text.strip():
        raise ValueError("must not begin or end with a space")
    if _COMMENT.search(text):
        raise ValueError("must not have a # at its beginning or behind a space: in config.ini "
                         "that begins a comment")
    return text


def _text(name: str, value: Any) -> str:
    kinds = _KINDS[name]
    match value:
        case str():
            return value
        case bool() if bool in kinds:
            return "yes" if value else "no"
        case int() | float() if not isinstance(value, bool) and {int, float} & set(kinds):
            return _number(value)
        case list() if tuple in kinds and all(isinstance(part, str) for part in value):
            if any("," in part for part in value):
                raise ValueError("must not have a comma in one of its texts")
            return ", ".join(value) or "none"
    raise ValueError("must be " + " or ".join(
        dict.fromkeys([*(_SAID[kind] for kind in kinds), _SAID[str]])))


def _number(value: float) -> str:
    if isinstance(value, float) and not value.is_integer():
        # Never 1e-05: that is no number to the readers.
        return format(Decimal(repr(value)), "f")
    return str(int(value))
