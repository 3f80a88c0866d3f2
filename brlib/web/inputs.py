"""What came with a request, checked against the fields that its route declares.

Used by `routes` before a view runs. A problem names its field; all problems come at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from flask import Request
from werkzeug.exceptions import UnsupportedMediaType

from ..errors import Invalid, Problem
from .kinds import Field

Fields = Mapping[str, Field]
FORM = "multipart/form-data"
PARTS_MAX = 8
# curl calls everything that `-d` sends a form.
JSON_TYPES = ("", "application/json", "application/x-www-form-urlencoded", "text/plain")


def body(request: Request, fields: Fields) -> dict[str, Any]:
    """The checked JSON object of a request. Raises Invalid."""
    return checked(json_object(request), fields)


def json_object(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Invalid."""
    if request.mimetype not in JSON_TYPES:
        raise UnsupportedMediaType("Send JSON, with 'Content-Type: application/json'")
    raw = whole(request, "JSON body")
    try:
        data = json.loads(raw or b"")
    except (ValueError, RecursionError) as error:
        raise Invalid([], f"The body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise Invalid([], "The body must be a JSON object")
    return data


def whole(request: Request, what: str) -> bytes:
    """The bytes of a request's body. Raises Invalid when fewer came than were announced."""
    raw = request.get_data(cache=False)
    if len(raw) < (request.content_length or 0):
        raise Invalid([], f"The {what} broke off before its end")
    return raw


def first_file(request: Request) -> IO[bytes]:
    """The first file of a form, whatever its name. Raises Invalid."""
    # Each file is one open file.
    request.max_form_parts = PARTS_MAX
    part = next(iter(request.files.values()), None)
    if part is None:
        raise Invalid([Problem("file", "is missing: send a form with a file in it")])
    return part.stream


def query(request: Request, fields: Fields) -> dict[str, Any]:
    """The checked query parameters of a request; empty ones count as absent. Raises Invalid."""
    return checked({k: v for k, v in request.args.items() if v != ""}, fields)


def checked(data: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
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
            values[name] = field.kind.check(data[name])
        except ValueError as error:
            problems.append(Problem(name, str(error)))
    if problems:
        raise Invalid(problems)
    return values
