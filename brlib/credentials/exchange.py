"""One request to a platform, and its answer: bounded, without redirects, without memory.

Used by the providers. Secrets go into bodies and headers only, never into an address (but for
Kick's tokens at their end, which it wants there); no words of an answer or of `requests` go
into a message, since they may repeat a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, RequestException, Session
from urllib3.exceptions import HTTPError as Urllib3Error

from ..errors import PlatformError, Trouble
from ..platforms.answers import retry_after_s
from ..platforms.sessions import BoundedAdapter

CONNECT_MAX_S = 5.0
SILENCE_MAX_S = 10.0
# A login lasts for hours only: a wrong header must not keep it from being renewed.
RETRY_AFTER_MAX_S = 3600.0
HEADERS = {"User-Agent": "BattlesRecord", "Accept": "application/json"}


def new_session() -> Session:
    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter())
    return session


@dataclass(frozen=True)
class Answer:
    host: str
    status: int
    body: bytes = field(repr=False)
    location: str | None = field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object of the body; empty where it is none."""
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}


class Exchange:
    """`session` makes a `requests` session; one is used for one request."""

    def __init__(self, session: Callable[[], Session] = new_session) -> None:
        self._session = session

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self._ask("GET", url, headers, None)

    def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Answer:
        return self._ask("POST", url, headers, form)

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
    ) -> Answer:
        """Raises PlatformError when there is no answer or none that says anything."""
        host = urlsplit(url).hostname or ""
        try:
            with self._session() as session:
                # Otherwise a ~/.netrc would replace the header.
                session.auth = _as_it_is
                answer = session.request(
                    method, url, headers={**HEADERS, **(headers or {})}, data=form,
                    allow_redirects=False, timeout=(CONNECT_MAX_S, SILENCE_MAX_S))
        except (RequestException, Urllib3Error, OSError, ValueError) as error:
            raise PlatformError(
                f"{host} cannot be reached ({type(error).__name__})") from None
        wait_s = retry_after_s(answer.headers.get("Retry-After"), RETRY_AFTER_MAX_S)
        if answer.status_code == 429:
            raise PlatformError(f"{host} asks for fewer requests (HTTP 429)",
                                Trouble.RATE_LIMITED, wait_s)
        if answer.status_code >= 500:
            raise PlatformError(f"{host} has a fault of its own (HTTP {answer.status_code})",
                                Trouble.ERROR, wait_s)
        return Answer(host, answer.status_code, answer.content, answer.headers.get("Location"))


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    return request
