"""The door: who is calling, may they, and how often. Runs before every request.

Registered by the application; the WebSocket asks it about its first message. Passwords,
tokens and keys themselves are `brlib.accounts`' business.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.datastructures import Headers

from ..accounts import Accounts
from ..errors import Forbidden, RateLimited, Unauthorized
from ..models import Caller, Role
from .limits import Allowance, Limiter, Rate, address_of
from .routes import Access, Operation, service

READING = ("GET", "HEAD")
HEALTH = "system.health"
LOCAL = Caller("local", Role.ADMIN, "local")
# A browser asks for name and password where it may send them.
CHALLENGE = 'Basic realm="Battles Record: an API key as the password", charset="UTF-8"'
BEARER_EXAMPLE = "Send a login's token or an API key: 'Authorization: Bearer br_…'"


class Guard:
    def __init__(self, app: Flask, operations: Mapping[str, Operation],
                 limiter: Limiter | None = None) -> None:
        self._operations = operations
        self._limiter = limiter or Limiter()
        app.before_request(self.admit)
        app.after_request(self.mark)

    def admit(self) -> None:
        """Raises Forbidden, Unauthorized, RateLimited."""
        engine, operation = service(), self._operations.get(request.endpoint or "")
        g.operation = operation
        g.credential = address_of(
            request.remote_addr or "", request.headers.get("X-Forwarded-For", ""),
            engine.settings.trusted_proxies)
        if engine.settings.local_only:
            refuse_foreign(request.headers)
            g.caller = LOCAL
        elif not _open(operation):
            try:
                g.caller = caller_of(engine.accounts, request.headers, operation)
            except Unauthorized:
                if not _asked_first(operation):
                    self._count(operation)
                raise
        if "caller" in g:
            g.credential = g.caller.credential
        self._count(operation)
        if "caller" in g and request.routing_exception is None:
            allow(g.caller, request.method, operation)

    def _count(self, operation: Operation | None) -> None:
        if operation is not None and operation.media and "caller" in g:
            g.allowance = self._limiter.peek(Rate.READ, g.credential)
            return
        rate = operation.rate if operation is not None and operation.rate else _rate_of_method()
        g.allowance = self._limiter.count(rate, g.credential)
        if g.allowance.exceeded:
            wait_s = max(1, math.ceil(g.allowance.left_s))
            raise RateLimited(
                f"More than {g.allowance.limit} {rate} requests a minute: "
                f"try again in {wait_s} s", wait_s)

    def mark(self, response: Response) -> Response:
        """What every answer says besides its body."""
        allowance: Allowance | None = g.get("allowance")
        if allowance is None:
            # Refused before anything was counted: a foreign page.
            allowance = self._limiter.peek(_rate_of_method(), g.get("credential", ""))
        response.headers.extend(allowance.headers)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        operation: Operation | None = g.get("operation")
        media = operation is not None and operation.media
        if response.status_code == 401 and media:
            # A line of its own: FFmpeg reads one scheme a line.
            response.headers.add("WWW-Authenticate", CHALLENGE)
        if not media:
            response.headers["Cache-Control"] = "no-store"
        return response


def _open(operation: Operation | None) -> bool:
    """Whether a route lets anyone in; an unknown one does not."""
    if request.endpoint == HEALTH and service().settings.public_health:
        return True
    return operation is not None and operation.access is Access.OPEN


def _asked_first(operation: Operation | None) -> bool:
    """Players send what they know only when they are asked for it, at every piece."""
    return (operation is not None and operation.media
            and "Authorization" not in request.headers)


def _rate_of_method() -> Rate:
    return Rate.READ if request.method in READING else Rate.WRITE


def caller_of(accounts: Accounts, headers: Headers, operation: Operation | None) -> Caller:
    """Whoever the Authorization header names. Raises Unauthorized, TokenExpired."""
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer" and credentials:
        return accounts.caller(credentials)
    if scheme.lower() == "basic" and operation is not None and operation.media:
        # Players cannot send a header of their own. Only where nothing can be changed: a
        # browser sends what it was given here with whatever any page asks for.
        return accounts.caller(_basic_password(credentials))
    raise Unauthorized(BEARER_EXAMPLE)


def _basic_password(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized("The Basic credentials are not readable") from error
    return decoded.partition(":")[2]


def allow(caller: Caller, method: str, operation: Operation | None) -> None:
    """Raises Forbidden when the caller's role is not enough."""
    if caller.role is Role.ADMIN or operation is None:
        return
    if operation.access is Access.ADMIN:
        more = "and this is not for everyone to read" if method in READING else "not change"
        raise Forbidden(f"{caller.name!r} may only read, {more}")


def refuse_foreign(headers: Headers) -> None:
    """Local-only mode: no web page may drive the daemon, neither from another origin nor by
    a name of its own that it points at this machine. Raises Forbidden."""
    host = headers.get("Host", "")
    if not is_loopback(host):
        raise Forbidden(f"In local-only mode the host must be localhost, not {host[:100]!r}")
    origin = headers.get("Origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise Forbidden("In local-only mode no other web page may call")
    # Pictures and scripts that another page embeds come without an Origin.
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Forbidden("In local-only mode no other web page may call")


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine: localhost or a loopback address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
