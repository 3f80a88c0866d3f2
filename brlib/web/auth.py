"""`/api/auth/…`: logging in and out, API keys. Platform logins get their room beside this."""

from __future__ import annotations

import logging
from typing import Any

from flask import g, request

from ..accounts import Token
from ..errors import Conflict, NotFound, Unauthorized
from ..models import iso
from ..store.api_keys import FULL, READ
from . import kinds, shapes, views
from .kinds import Field
from .limits import Rate
from .routes import Access, Given, Routes, service

log = logging.getLogger(__name__)

routes = Routes("auth")

LOGIN = {"username": Field(kinds.text, required=True),
         "password": Field(kinds.secret, required=True)}
KEY = {"label": Field(kinds.text, required=True),
       "permission": Field(kinds.one_of(FULL, READ), about="full unless said otherwise")}


def shown(token: Token) -> dict[str, Any]:
    return {"token": token.text, "expires_at": iso(token.expires_at)}


@routes.post("/auth/login", "Log in", shapes.TOKEN, access=Access.OPEN, rate=Rate.AUTH,
             body=LOGIN, errors=("UNAUTHORIZED", "UNAVAILABLE"))
def login(body: Given) -> Any:
    try:
        return shown(service().accounts.login(body["username"], body["password"]))
    except Unauthorized:
        # The name stays out of it: people type passwords there.
        log.warning("A login from %s failed", g.credential)
        raise


@routes.post("/auth/refresh", "Change a login's token for a new one", shapes.TOKEN,
             access=Access.OPEN, rate=Rate.AUTH, errors=("UNAUTHORIZED",))
def refresh() -> Any:
    """The token goes into the Authorization header; up to an hour after its end it still
    counts. The old one ends with this."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("Send the token of a login: 'Authorization: Bearer eyJ…'")
    return shown(service().accounts.refresh(token.strip()))


@routes.post("/auth/logout", "End this login at once", None, 204, access=Access.READ,
             errors=("CONFLICT",))
def logout() -> None:
    if g.caller.session_id is None:
        raise Conflict("An API key is no login: revoke it instead")
    service().accounts.logout(g.caller)


@routes.get("/auth/keys", "List the API keys", shapes.listed("keys", shapes.API_KEY),
            Access.ADMIN)
def list_keys() -> Any:
    return {"keys": [views.api_key(key) for key in service().store.api_keys.find_all()]}


@routes.post("/auth/keys", "Make an API key", shapes.NEW_API_KEY, 201, body=KEY)
def create_key(body: Given) -> Any:
    """The key is shown in this answer and never again."""
    key, text = service().store.api_keys.make(body["label"], body.get("permission", FULL))
    return {**views.api_key(key), "key": text}


@routes.delete("/auth/keys/<int:key_id>", "Revoke an API key")
def revoke_key(key_id: int) -> None:
    # SQLite knows no larger numbers.
    if key_id >= 2 ** 63 or not service().store.api_keys.revoke(key_id):
        raise NotFound(f"API key with ID {key_id} does not exist")
