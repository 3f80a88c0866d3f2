"""The stand-in inside this process: a `requests` adapter that answers without a socket.

Everything above the line is real: requests, urllib3's response, http.client's parsing, and the
limits of the platforms' own adapter. Used by unit tests of the platforms.
"""

from __future__ import annotations

import functools
import http.client
import io
import threading
from collections.abc import Iterable
from typing import Any

from requests import PreparedRequest
from streamlink.session.session import Streamlink
from urllib3 import HTTPHeaderDict, HTTPResponse, Timeout
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from brlib.platforms.sessions import BoundedAdapter, Sessions
from tests.standin.base import Cut, Forward, Hang, Reply, Request, StandIn
from tests.standin.web import fetch, wire


class _Line:
    """The reading side of a socket, for http.client."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _response(data: bytes, method: str) -> HTTPResponse:
    """As urllib3's `HTTPConnection.getresponse` makes it."""
    original = http.client.HTTPResponse(_Line(data), method=method)  # type: ignore[arg-type]
    original.begin()
    return HTTPResponse(
        body=original, headers=HTTPHeaderDict(original.msg.items()), status=original.status,
        version=original.version, reason=original.reason, preload_content=False,
        decode_content=False, original_response=original, enforce_content_length=True,
        request_method=method)


class _Pool:
    """What `HTTPAdapter.send` takes for a connection pool of urllib3, for one request."""

    def __init__(self, standin: StandIn, request: PreparedRequest) -> None:
        self._standin, self._request = standin, request

    def urlopen(self, *, method: str, timeout: Timeout, **_: Any) -> HTTPResponse:
        """Raises ProtocolError, ReadTimeoutError."""
        request = _asked(self._request)
        answer = self._standin.answer(request)
        if isinstance(answer, Forward):
            answer = fetch(answer.port, request, threading.Event())
        match answer:
            case Reply():
                return _response(wire(answer, method), method)
            case Cut(Reply() as reply):
                return _response(wire(reply, method, cut=True), method)
            case Hang(seconds):
                # As if that time had gone by: a test's own time is dear.
                limit_s = timeout.read_timeout
                if isinstance(limit_s, (int, float)) and limit_s < seconds:
                    raise ReadTimeoutError(
                        self, request.target, "the stand-in is silent")  # type: ignore[arg-type]
        raise ProtocolError("Connection aborted.", http.client.RemoteDisconnected("cut"))


def _asked(request: PreparedRequest) -> Request:
    body = request.body or b""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        raise TypeError(f"a body of {type(body).__name__} is nothing that platforms are sent")
    assert request.method is not None and request.url is not None
    # Values may be bytes, although the types know only text.
    items: Iterable[tuple[str, str | bytes]] = request.headers.items()
    headers = {name: value.decode("latin-1") if isinstance(value, bytes) else value
               for name, value in items}
    return Request.of(request.method, request.url, headers, body)


class Rewrite(BoundedAdapter):
    """Gives every request to a `StandIn`, whatever proxies the environment names."""

    def __init__(self, standin: StandIn) -> None:
        super().__init__()
        self._standin = standin

    def get_connection_with_tls_context(
        self, request: PreparedRequest, *_: Any, **__: Any
    ) -> Any:
        return _Pool(self._standin, request)


def mount(session: Streamlink, standin: StandIn) -> None:
    """Let a session reach nothing but the stand-in, now and later.

    Kick's plugin mounts an adapter of its own when it is made: what is mounted from now on
    gets its prefix, but is replaced by ours.
    """
    adapter, original = Rewrite(standin), session.http.mount
    for prefix in ("https://", "http://", *session.http.adapters):
        original(prefix, adapter)

    def instead(prefix: str, _: object) -> None:
        original(prefix, adapter)

    setattr(session.http, "mount", instead)


@functools.cache
def _real() -> Sessions:
    # Loading the plugins takes longer than most tests.
    return Sessions()


class StandInSessions(Sessions):
    """`Sessions` for a platform in a unit test: whatever it makes meets only the stand-in."""

    def __init__(self, standin: StandIn) -> None:
        shared = _real()
        self._lock, self._plugins, self._standin = shared._lock, shared._plugins, standin

    def new(self) -> Streamlink:
        session = super().new()
        mount(session, self._standin)
        return session
