"""The API's own document, OpenAPI 3.1, made from the routes' declarations. Pure.

Served at `/api/openapi.json`; the tests hold routes and answers against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .. import __version__
from .errors import STATUS_OF_CODE
from .inputs import Fields
from .kinds import Field
from .routes import Access, Media, Operation
from .shapes import COMPONENTS, ERROR

_VARIABLE = re.compile(r"<(?:(\w+):)?(\w+)>")
_RATE_HEADERS = {
    "X-RateLimit-Limit": "Requests a minute",
    "X-RateLimit-Remaining": "How many are left of them",
    "X-RateLimit-Reset": "When it begins anew, a Unix time in seconds",
}


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI document of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _VARIABLE.sub(r"{\2}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Battles Record", "version": __version__,
                 "description": "Records live streams completely, and can prove it."},
        "servers": [{"url": "/api"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "headers": {name: {"description": about, "schema": {"type": "integer"}}
                        for name, about in _RATE_HEADERS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer",
                           "description": "An API key or the token of a login"},
                "basic": {"type": "http", "scheme": "basic",
                          "description": "For players, only where media is read: any name, an "
                                         "API key as the password"},
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}"),
        "responses": _responses(operation),
    }
    if operation.about:
        described["description"] = operation.about
    parameters = [
        {"name": name, "in": "path", "required": True,
         "schema": {"type": "integer", "minimum": 0} if kind == "int" else {"type": "string"}}
        for kind, name in _VARIABLE.findall(operation.path)]
    parameters += [
        {"name": name, "in": "query", "required": field.required, **_said(field)}
        for name, field in (operation.query or {}).items()]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {
            "schema": _body(operation.body)}}}
    elif operation.upload is not None:
        described["requestBody"] = operation.upload
    if operation.access is Access.OPEN:
        described["security"] = []
    elif operation.media:
        described["security"] = [{"bearer": []}, {"basic": []}]
    return described


def _said(field: Field) -> dict[str, Any]:
    return {"schema": dict(field.kind.schema),
            **({"description": field.about} if field.about else {})}


def _body(fields: Fields) -> dict[str, Any]:
    return {
        "type": "object", "additionalProperties": False,
        "properties": {name: {**field.kind.schema,
                              **({"description": field.about} if field.about else {})}
                       for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
    }


def error_codes(operation: Operation) -> dict[int, list[str]]:
    """By status, the codes with which an operation may be refused."""
    codes = {"INTERNAL_ERROR", *operation.errors}
    if operation.access is not Access.OPEN:
        codes |= {"UNAUTHORIZED", "TOKEN_EXPIRED"}
    # Everywhere: in local-only mode a foreign page is refused.
    codes.add("FORBIDDEN")
    if operation.rate is not None:
        codes.add("RATE_LIMITED")
    if operation.query or operation.body is not None or operation.upload is not None:
        codes.add("VALIDATION_ERROR")
    if operation.body is not None or operation.upload is not None:
        codes |= {"PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "UNAVAILABLE"}
    if "<" in operation.path:
        codes.add("NOT_FOUND")
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(STATUS_OF_CODE[code], []).append(code)
    return by_status


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {str(operation.status): _success(operation)}
    if isinstance(operation.answer, Media):
        responses["304"] = {"description": "Not modified", "headers": _headers()}
        if operation.answer.partial:
            responses["206"] = {**_success(operation), "description": "The range asked for"}
            responses["416"] = _refusal(["VALIDATION_ERROR"])
    if operation.body is not None or operation.upload is not None:
        # The server's own words for a body that does not come.
        responses["408"] = _refusal(["VALIDATION_ERROR"])
    for status, schema in operation.also:
        responses[str(status)] = {
            "description": "Also", "headers": _headers(),
            "content": {"application/json": {"schema": schema}}}
    for status, codes in error_codes(operation).items():
        responses.setdefault(str(status), _refusal(codes))
    return responses


def _success(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {"description": operation.summary, "headers": _headers()}
    if isinstance(operation.answer, Media):
        found["content"] = {kind: {} for kind in operation.answer.types}
    elif operation.answer is not None:
        found["content"] = {"application/json": {"schema": operation.answer}}
    return found


def _refusal(codes: list[str]) -> dict[str, Any]:
    return {"description": ", ".join(codes), "headers": _headers(),
            "content": {"application/json": {"schema": ERROR}}}


def _headers() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _RATE_HEADERS}
