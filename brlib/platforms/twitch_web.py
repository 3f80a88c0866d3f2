"""Requests to Twitch's APIs: one each, bounded, with a JSON answer.

Owns the connections; used by `twitch` and `twitch_helix` from many threads at once. No
redirect is followed: what is sent may be secret.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streamlink.session.session import Streamlink

from ..errors import PlatformError
from .answers import ask
from .sessions import Sessions
from .twitch_api import GQL_URL, WEB_CLIENT_ID, GqlUser, gql_users, refusal

TIMEOUT_S = (5.0, 10.0)  # to connect, and between two reads


@dataclass(frozen=True)
class Answer:
    """`body` is decoded JSON, None where it is none."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Web:
    def __init__(self, sessions: Sessions, now: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._now = now
        self._lock = threading.Lock()
        # No session serves two threads at once; as many stay as there were threads.
        self._idle: list[Streamlink] = []
        self._closed = False

    def ask(self, method: str, url: str, **options: Any) -> Answer:
        """The answer, whatever its status. Raises PlatformError where there is none."""
        with self._lock:
            session = self._idle.pop() if self._idle else self._sessions.new()
        try:
            answer = ask(session, method, url, timeout=TIMEOUT_S, allow_redirects=False, **options)
        finally:
            self._give_back(session)
        try:
            body = answer.json()
        except (ValueError, RecursionError):
            body = None
        return Answer(answer.status_code, answer.headers, body)

    def refusal(self, answer: Answer) -> PlatformError:
        return refusal(answer.status, answer.headers, answer.body, self._now())

    def users(self, query: str, logins: Sequence[str]) -> list[GqlUser]:
        """What GQL, where nobody need log in, tells of up to 100 users, in their order.

        Raises PlatformError.
        """
        answer = self.ask(
            "POST", GQL_URL, headers={"Client-ID": WEB_CLIENT_ID},
            json={"query": query, "variables": {"logins": list(logins)}})
        if answer.status != 200 or answer.body is None:
            raise self.refusal(answer)
        return gql_users(answer.body, logins)

    def _give_back(self, session: Streamlink) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(session)
                return
        session.http.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.http.close()
