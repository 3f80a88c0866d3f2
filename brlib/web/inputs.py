"""What requests may hold: declared fields for bodies and queries, checked in one place.

Used by the route modules. A problem names its field; all problems come at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Request

from .. import naming, quality
from ..errors import Invalid, Problem

MAX_TEXT = 2000
DATE_MAX_LENGTH = len("2026-02-02")
Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Field:
    """One key: `check` returns the value to use or raises ValueError with what is wrong."""

    check: Check
    required: bool = False


def body(request: Request, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The checked JSON object of a request. Raises Invalid."""
    raw = request.get_data(cache=False)
    if len(raw) < (request.content_length or 0):
        raise Invalid([], "The JSON body broke off before its end")
    try:
        data = json.loads(raw or b"")
    except (ValueError, RecursionError) as error:
        raise Invalid([], f"The body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise Invalid([], "The body must be a JSON object")
    return checked(data, fields)


def query(request: Request, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The checked query parameters of a request; empty ones count as absent. Raises Invalid."""
    return checked({k: v for k, v in request.args.items() if v != ""}, fields)


def checked(data: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    problems = [
        Problem(name, "is not known here; known are " + ", ".join(fields))
        for name in data if name not in fields
    ]
    values = {}
    for name, field in fields.items():
        if name not in data:
            if field.required:
                problems.append(Problem(name, "is required"))
            continue
        try:
            values[name] = field.check(data[name])
        except ValueError as error:
            problems.append(Problem(name, str(error)))
    if problems:
        raise Invalid(problems)
    return values


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    if len(value) > MAX_TEXT or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise ValueError(f"must have at most {MAX_TEXT} characters, none of them a control one")
    return value.strip()


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def flag_text(value: Any) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return bool(value == "true")


def whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value
    return check


def whole_text(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if not str(value).isascii() or not str(value).isdigit() or len(str(value)) > 18:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(whole(low, high)(int(value)))
    return check


def one_of(*choices: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return value
    return check


def known_quality(value: Any) -> str:
    canonical = quality.known(value) if isinstance(value, str) else None
    if canonical is None:
        raise ValueError("must be one of " + ", ".join(quality.QUALITIES))
    return canonical


def template(value: Any) -> str:
    problem = naming.template_problem(text(value))
    if problem:
        raise ValueError(problem)
    return text(value)


def nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def moment(end: bool) -> Check:
    """An ISO 8601 time, or a date. As an end, a date means the whole day and a time its whole
    second, for that is how times are shown. Naive is UTC."""
    def check(value: Any) -> datetime:
        try:
            parsed = datetime.fromisoformat(str(value).replace(" ", "+"))
            if end and len(str(value)) <= DATE_MAX_LENGTH:
                parsed = parsed.replace(hour=23, minute=59, second=59)
            if end and not parsed.microsecond:
                parsed = parsed.replace(microsecond=999999)
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError("must be an ISO 8601 date or time") from error
    return check


def identifier(prefix: str) -> Check:
    def check(value: Any) -> str:
        known = str(value).removeprefix(prefix + "_")
        if not str(value).startswith(prefix + "_") or len(known) != 12 or not known.isalnum():
            raise ValueError(f"must be an id such as {prefix}_a1b2c3d4e5f6")
        return str(value)
    return check
