"""The API document, and every answer held against it: no key missing, none more, types right.

`Daemon.call` asks it about each answer that any test gets.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from brlib.web.app import declared_operations
from brlib.web.document import document

PREFIX = "/api"
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
# What the server refuses itself, because it is no request that can be read.
BEFORE_THE_APPLICATION = (400, 408, 414, 431, 501, 503)
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "null": (type(None),), "array": (list,), "object": (dict,)}
# What this validator knows; a schema with more fails instead of passing unread.
KNOWN = {"type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "items",
         "properties", "required", "additionalProperties", "$ref", "format", "description",
         "examples"}


@functools.cache
def api() -> dict[str, Any]:
    return document(declared_operations().values())


def wrong(schema: Mapping[str, Any], value: Any, place: str = "answer") -> Iterator[str]:
    """What of `value` does not fit a schema (JSON Schema 2020-12, the part that is used)."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "$ref" in schema:
        schema = api()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_a(kind, value) for kind in kinds):
        yield f"{place}: {value!r} is not {' or '.join(kinds)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is not one of {schema['enum']}"
    if isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            yield f"{place}: {value!r} is not like {schema['pattern']}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            yield f"{place}: {value} is out of bounds"
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from wrong(schema["items"], item, f"{place}[{number}]")
    if isinstance(value, dict):
        yield from wrong_object(schema, value, place)


def is_a(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def wrong_object(
    schema: Mapping[str, Any], value: dict[str, Any], place: str
) -> Iterator[str]:
    properties = schema.get("properties", {})
    more = schema.get("additionalProperties", True)
    for key in schema.get("required", []):
        if key not in value:
            yield f"{place}: {key} is missing"
    for key, item in value.items():
        if key in properties:
            yield from wrong(properties[key], item, f"{place}.{key}")
        elif more is False:
            yield f"{place}: {key} is not in the document"
        elif isinstance(more, dict):
            yield from wrong(more, item, f"{place}.{key}")


def find_operation(method: str, path: str) -> dict[str, Any] | None:
    """The operation of a request; fixed paths before those with variables."""
    path = path.partition("?")[0].removeprefix(PREFIX)
    method = "get" if method == "HEAD" else method.lower()
    for known in sorted(api()["paths"], key=lambda p: p.count("{")):
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(known))
        if re.fullmatch(pattern, path) and method in api()["paths"][known]:
            found: dict[str, Any] = api()["paths"][known][method]
            return found
    return None


def check(method: str, path: str, status: int, body: Any, headers: Mapping[str, str]) -> None:
    """Fails when the document does not allow this answer."""
    error = api()["components"]["schemas"]["Error"]
    if status in BEFORE_THE_APPLICATION and RATE_HEADERS[0] not in headers:
        assert not list(wrong(error, body)), (method, path[:200], body)
        return
    for name in RATE_HEADERS:
        assert headers.get(name, "").isdigit(), (method, path[:200], status, dict(headers))
    operation = find_operation(method, path)
    if operation is None:
        assert status in (401, 403, 404, 405, 429), (method, path, status, body)
        assert not list(wrong(error, body)), (method, path, body)
        return
    said = operation["responses"].get(str(status))
    assert said is not None, f"{method} {path}: {status} is not in the document: {body!r}"
    content = said.get("content", {})
    kind = headers.get("Content-Type", "").partition(";")[0]
    if not content or method == "HEAD" or status == 304:
        assert not body, (method, path, status, body)
        return
    assert kind in content, f"{method} {path}: {kind} is not in the document"
    if "schema" in content[kind]:
        problems = list(wrong(content[kind]["schema"], body))
        assert problems == [], f"{method} {path} {status}: {problems}"
