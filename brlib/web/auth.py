"""Who is calling: API keys, and what a key may do. JWTs and users get their room here.

Used by the application before every request and by the WebSocket's first message.
"""

from __future__ import annotations

from ..errors import Forbidden, Unauthorized
from ..store import Store
from ..store.api_keys import FULL, PREFIX, ApiKey

READING = ("GET", "HEAD", "OPTIONS")


def by_token(store: Store, token: str) -> ApiKey:
    """The holder of a token. Raises Unauthorized."""
    key = store.api_keys.find_by_key(token) if token.startswith(PREFIX) else None
    if key is None:
        raise Unauthorized("The API key is not known (or was revoked)")
    return key


def by_header(store: Store, header: str | None) -> ApiKey:
    """The holder of an `Authorization: Bearer …` header. Raises Unauthorized."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("Send an API key: 'Authorization: Bearer br_…'")
    return by_token(store, token.strip())


def allow(key: ApiKey, method: str) -> None:
    """Raises Forbidden when the key may not use this method."""
    if key.permission != FULL and method not in READING:
        raise Forbidden(f"The API key {key.label!r} may only read")
