"""Requests like the one before: a stream asks its host for a playlist and a segment every few
seconds for hours, and what requests finds out for each of them is the same.

Put on a session by `sessions`. requests goes through the whole environment three times for a
request, and takes every address apart six times; with 100 streams that is a sixth of what a
capture costs (requests 2.34).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from requests import PreparedRequest, Request
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks
from requests.sessions import Session
from requests.structures import CaseInsensitiveDict

# A session is for one channel or stream: its media come from a few.
HOSTS_KEPT = 32
# An address that requests sends as it is: no user, no small port that begins with 0, nothing to
# quote or to unquote, no segment of its path that begins with a point.
_AS_IT_IS = re.compile(
    r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}))?"
    r"(?:/(?!\.)(?:[\w~!$&'()*+,;=:@.-]|%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|7[B-D]))*)+"
    r"(?:\?(?:[\w~!$&'()*+,;=:@./-]|%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|7[B-D]))+)?", re.ASCII)


class Environment:
    """A session's `merge_environment_settings`. A process's own environment does not change:
    asked once for each host."""

    def __init__(self, http: Session) -> None:
        self._http = http
        self._ask: Callable[..., Any] = http.merge_environment_settings
        self._known: dict[Any, dict[str, Any]] = {}

    def __call__(
        self, url: str, proxies: dict[str, str] | None, stream: bool | None, verify: Any,
        cert: Any,
    ) -> Any:
        if proxies:
            return self._ask(url, proxies, stream, verify, cert)
        http = self._http
        asked = (*url.split("/", 3)[:3], stream, verify, cert, http.stream, http.verify,
                 http.cert, http.trust_env, *http.proxies.items())
        found = self._known.get(asked)
        if found is None:
            if len(self._known) >= HOSTS_KEPT:
                self._known.clear()
            found = self._known[asked] = self._ask(url, {}, stream, verify, cert)
        return {**found, "proxies": dict(found["proxies"])}


class Prepared:
    """A session's `prepare_request`: where nothing but the address differs from the request
    before, nothing but the address is looked at."""

    def __init__(self, http: Session, auth: Callable[..., Any] | AuthBase) -> None:
        """`auth`: the session's, which does nothing to an address without a user."""
        self._http = http
        self._auth = auth
        self._ask: Callable[[Request], PreparedRequest] = http.prepare_request
        self._last: tuple[Any, CaseInsensitiveDict[Any]] | None = None

    def __call__(self, request: Request) -> PreparedRequest:
        if not self._is_plain(request):
            return self._ask(request)
        asked = [*self._http.headers.items(), None, *request.headers.items()]
        last = self._last
        if last is None or last[0] != asked:
            prepared = self._ask(request)
            self._last = asked, prepared.headers.copy()
            return prepared
        prepared = PreparedRequest()
        prepared.method, prepared.url = request.method, request.url
        prepared.headers = last[1].copy()
        prepared.prepare_cookies(RequestsCookieJar())
        prepared.hooks = default_hooks()
        return prepared

    def _is_plain(self, request: Request) -> bool:
        http = self._http
        return (
            request.method == "GET" and isinstance(request.url, str)
            and _AS_IT_IS.fullmatch(request.url) is not None
            and not (request.params or request.data or request.json or request.files
                     or request.cookies or request.auth or http.params)
            and http.auth is self._auth and not any(True for _ in http.cookies)
            and not any(request.hooks.values()) and not any(http.hooks.values()))
