"""The API document: every route is in it, everything in it is a route, and it says enough.

That answers are as it says is `contract`'s business, for every answer of every test.
"""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from brlib.service import Service
from brlib.web.app import PREFIX, create_app, declared_operations
from brlib.web.errors import STATUS_OF_CODE
from brlib.web.routes import Access

from .contract import api, find_operation, wrong
from .daemon import Daemon

# Everything that the reference names.
REFERENCE = """
POST /auth/login
POST /auth/refresh
GET /channels
GET /channels/{id}
POST /channels
PATCH /channels/{id}
DELETE /channels/{id}
POST /channels/{id}/check
POST /channels/{id}/stop-recording
GET /channels/{id}/profile
POST /channels/{id}/images/fetch-platform
GET /channels/{id}/images/profile
POST /channels/{id}/images/profile
DELETE /channels/{id}/images/profile
GET /channels/{id}/images/banner
POST /channels/{id}/images/banner
DELETE /channels/{id}/images/banner
GET /recordings
GET /recordings/{id}
DELETE /recordings/{id}
POST /recordings/{id}/reprocess
GET /recordings/active
POST /recordings/{id}/stop
POST /recordings/{id}/pause
POST /recordings/{id}/resume
GET /storage
POST /storage/cleanup
GET /settings
PATCH /settings
GET /health
GET /logs
GET /system/dependencies
POST /shutdown
GET /auth/platforms
GET /auth/platforms/{id}
PUT /auth/platforms/{id}
DELETE /auth/platforms/{id}
POST /auth/platforms/{id}/test
POST /auth/platforms/{id}/oauth/start
POST /auth/platforms/{id}/oauth/callback
POST /auth/platforms/youtube/cookies
GET /auth/platforms/oauth/availability
GET /ws
""".split("\n")[1:-1]


def routes() -> set[tuple[str, str]]:
    """(method, path as the document writes it) of everything that the application answers."""
    app = create_app(cast(Service, object()))
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule).removeprefix(PREFIX))
        for rule in app.url_map.iter_rules() for method in rule.methods or ()
        if method != "HEAD"}


def declared() -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in api()["paths"].items()
            for method in methods}


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    assert routes() == declared()
    assert len(declared()) > 40


@pytest.mark.parametrize("line", REFERENCE)
def test_everything_that_the_reference_names_is_there(line: str) -> None:
    method, path = line.split()
    assert find_operation(method, PREFIX + path.replace("{id}", "x")) is not None


def test_no_two_operations_share_an_id() -> None:
    ids = [operation["operationId"] for methods in api()["paths"].values()
           for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_operation_says_what_it_answers() -> None:
    for path, methods in api()["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            assert any(status < "400" for status in responses), (method, path)
            assert all("X-RateLimit-Limit" in r["headers"] for r in responses.values())
            open_to_all = operation.get("security") == []
            assert ("401" in responses) is not open_to_all or path.startswith("/auth/")
            names = set(re.findall(r"{(\w+)}", path))
            given = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert names == given


def test_only_those_let_anyone_in() -> None:
    open_to_all = {path for path, methods in api()["paths"].items()
                   for operation in methods.values() if operation.get("security") == []}
    assert open_to_all == {"/auth/login", "/auth/refresh", "/ws"}


def test_what_changes_something_is_for_admins() -> None:
    loose = {(o.method, o.path) for o in declared_operations().values()
             if o.method != "GET" and o.access is not Access.ADMIN}
    assert loose == {("POST", "/auth/login"), ("POST", "/auth/refresh"), ("POST", "/auth/logout")}
    closed = {o.path for o in declared_operations().values()
              if o.method == "GET" and o.access is Access.ADMIN}
    assert closed == {"/auth/keys", "/users", "/users/<user_id>", "/settings", "/logs",
                      "/auth/platforms", "/auth/platforms/<platform>",
                      "/auth/platforms/oauth/availability"}


def test_references_lead_somewhere() -> None:
    def refs(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [r for value in node.values() for r in refs(value)]
        return [r for item in node for r in refs(item)] if isinstance(node, list) else []
    found = set(refs(api()))
    assert len(found) > 15
    for ref in found:
        place: Any = api()
        for step in ref.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def test_codes_and_statuses_are_those_of_the_contract() -> None:
    assert {"UNAUTHORIZED": 401, "FORBIDDEN": 403, "NOT_FOUND": 404, "VALIDATION_ERROR": 400,
            "CONFLICT": 409, "INTERNAL_ERROR": 500, "TOKEN_EXPIRED": 401,
            "METHOD_NOT_ALLOWED": 405, "PAYLOAD_TOO_LARGE": 413, "UNSUPPORTED_MEDIA_TYPE": 415,
            "RATE_LIMITED": 429, "UNAVAILABLE": 503, "CHANNEL_NOT_FOUND": 404,
            "RECORDING_NOT_FOUND": 404, "IMAGE_NOT_FOUND": 404}.items() <= STATUS_OF_CODE.items()


@pytest.mark.parametrize("schema, value, problems", [
    ({"type": "string"}, "x", 0), ({"type": "string"}, 5, 1), ({"type": "integer"}, True, 1),
    ({"type": ["integer", "null"]}, None, 0), ({"type": "number"}, 5, 0),
    ({"type": "integer"}, 5.0, 1), ({"enum": ["a", None]}, None, 0), ({"enum": ["a"]}, "b", 1),
    ({"type": "string", "pattern": "^a$"}, "ab", 1), ({"type": "integer", "minimum": 0}, -1, 1),
    ({"type": "array", "items": {"type": "string"}}, ["a", 1, None], 2),
    ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
      "additionalProperties": False}, {"b": 1}, 2),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1, "b": "c"}, 1),
    ({"$ref": "#/components/schemas/Error"}, {"error": {"code": "X", "message": "y"}}, 0),
    ({"$ref": "#/components/schemas/Error"}, {"error": {"code": "X"}}, 1),
])
def test_the_validator_itself(schema: dict[str, Any], value: Any, problems: int) -> None:
    assert len(list(wrong(schema, value))) == problems


def test_it_is_served(daemon: Any) -> None:
    one: Daemon = daemon()
    assert one.get("/api/openapi.json") == api()
    assert one.call("GET", "/api/openapi.json", key=None)[0] == 401
