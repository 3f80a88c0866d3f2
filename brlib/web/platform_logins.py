"""`/api/auth/platforms…`: logins at Twitch, YouTube and Kick. For admins; secrets go in only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import request

from ..credentials import KindView, PlatformView
from ..errors import Invalid, Problem
from ..models import iso
from . import inputs, kinds, shapes
from .kinds import Field
from .routes import Access, Given, Routes, service

routes = Routes("platform_logins")

NOT_FOUND = "PLATFORM_NOT_FOUND"
COOKIES_MAX_BYTES = 512 * 1024
# What belongs to which platform, the credentials say.
ENTERED = {
    "access_token": Field(kinds.nullable(kinds.secret)),
    "refresh_token": Field(kinds.nullable(kinds.secret)),
    "expires_at": Field(kinds.nullable(kinds.text)),
    "username": Field(kinds.nullable(kinds.text)),
    "auth_token": Field(kinds.secret, about="Twitch's cookie of that name"),
    "session_token": Field(kinds.secret, about="Kick's cookie of that name"),
}
CALLBACK = {
    "code": Field(kinds.secret), "state": Field(kinds.secret),
    "redirect_url": Field(kinds.secret, about="The address that the browser was sent to"),
}
COOKIES: dict[str, Any] = {"required": True, "content": {
    "application/json": {"schema": {
        "type": "object", "required": ["cookie_content"], "additionalProperties": False,
        "properties": {"cookie_content": {"type": "string", "minLength": 1}}}},
    "multipart/form-data": {"schema": {
        "type": "object", "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}}}}}}


def _kind(subject: KindView) -> dict[str, Any]:
    return {"status": subject.status.value, "username": subject.username,
            "expires_at": iso(subject.expires_at),
            "last_validated": iso(subject.last_validated), "problem": subject.problem}


def shown(subject: PlatformView) -> dict[str, Any]:
    return {"platform": subject.platform, "status": subject.status.value,
            "username": subject.username, "expires_at": iso(subject.expires_at),
            "last_validated": iso(subject.last_validated),
            "credentials": {kind: _kind(view) for kind, view in subject.credentials.items()}}


@routes.get("/auth/platforms", "List the platform logins",
            shapes.listed("platforms", shapes.PLATFORM), Access.ADMIN)
def list_platforms() -> Any:
    return {"platforms": [shown(view) for view in service().credentials.find_all()]}


@routes.get("/auth/platforms/oauth/availability", "See where one can log in, and how",
            shapes.AVAILABILITY, Access.ADMIN)
def availability() -> Any:
    return {"platforms": {
        found.platform: {"available": found.available, "flow": found.flow,
                         "reason": found.reason}
        for found in service().credentials.availability()}}


@routes.get("/auth/platforms/<platform>", "Get a platform login", shapes.PLATFORM, Access.ADMIN,
            errors=(NOT_FOUND,))
def get_platform(platform: str) -> Any:
    return shown(service().credentials.get(platform))


@routes.put("/auth/platforms/<platform>", "Store a platform login", shapes.PLATFORM,
            body=ENTERED, errors=(NOT_FOUND,))
def put_platform(platform: str, body: Given) -> Any:
    """Unverified until `test` asked the platform."""
    return shown(service().credentials.put(platform, body))


@routes.delete("/auth/platforms/<platform>", "Forget a platform login", errors=(NOT_FOUND,))
def delete_platform(platform: str) -> None:
    """Gone here at once; the platform is asked a moment later to end the login there, too."""
    service().credentials.delete(platform)


@routes.post("/auth/platforms/<platform>/test", "Try a platform login", shapes.TESTED,
             errors=(NOT_FOUND, "CONFLICT", "PLATFORM_ERROR", "UNAVAILABLE"))
def test_platform(platform: str) -> Any:
    """By a real request to the platform."""
    return asdict(service().credentials.test(platform))


@routes.post("/auth/platforms/<platform>/oauth/start", "Begin to log in", shapes.BEGUN,
             errors=(NOT_FOUND, "CONFLICT", "PLATFORM_ERROR", "UNAVAILABLE"))
def start_login(platform: str) -> Any:
    """A code to enter at the platform (Twitch, YouTube), or an address to open whose redirect
    is handed to `callback` (Kick)."""
    return asdict(service().credentials.begin(platform))


@routes.post("/auth/platforms/<platform>/oauth/callback", "Finish to log in", shapes.PLATFORM,
             body=CALLBACK,
             errors=(NOT_FOUND, "CONFLICT", "PLATFORM_ERROR", "UNAVAILABLE"))
def finish_login(platform: str, body: Given) -> Any:
    """With `code` and `state`, or the whole address as `redirect_url`. Where the platform fails,
    the same can be sent again for ten minutes."""
    return shown(service().credentials.callback(platform, **body))


@routes.post("/auth/platforms/youtube/cookies", "Store YouTube's cookies", shapes.PLATFORM,
             upload=COOKIES)
def put_cookies() -> Any:
    """A Netscape cookies file, as JSON or as a file of a form. What can be repaired is."""
    request.max_content_length = COOKIES_MAX_BYTES
    if request.mimetype == inputs.FORM:
        content: str | bytes = inputs.first_file(request).read()
    else:
        given = inputs.json_object(request)
        content = given.pop("cookie_content", "")
        problems = [Problem(name, "is not known here") for name in given]
        if not isinstance(content, str) or not content:
            problems.append(Problem("cookie_content", "must be the text of a cookies file"))
        if problems:
            raise Invalid(problems)
    return shown(service().credentials.put_cookies(content).view)
