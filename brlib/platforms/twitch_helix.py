"""Helix, Twitch's official API, for those who have an app or a login of their own.

Used by the platform `twitch`, which does without where there is neither or Twitch takes
neither. Owns the app's token (client credentials): in memory only, renewed before its end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import PlatformError
from .base import App, Checked, Logins, Offline
from .twitch_api import (
    BATCH_SIZE, HELIX_URL, TOKEN_URL, helix_logins, helix_streams, message_of, not_found,
)
from .twitch_web import Answer, Web

log = logging.getLogger(__name__)

PLATFORM = "twitch"
RENEW_EARLY_S = 600.0
# How long an app that Twitch refused is not tried again.
REFUSED_S = 600.0
TOKEN_LIFE_S = 3600.0  # where Twitch does not say
EXISTS_S = 86_400.0
MISSING_S = 3600.0
KNOWN_MAX = 20_000

Params = list[tuple[str, str]]


class AppToken:
    """The access token of the app in the configuration; safe from every thread."""

    def __init__(self, web: Web, clock: Callable[[], float]) -> None:
        self._web = web
        self._clock = clock
        self._lock = threading.Lock()
        self._app: App | None = None
        self._forget()

    def _forget(self) -> None:
        self._token: str | None = None
        self._renew_s = self._end_s = self._refused_until_s = 0.0

    def find(self, app: App, instead_of: str | None = None) -> str | None:
        """A token that is none Twitch has refused (`instead_of`); None while it refuses the
        app. Asks for one where needed, one thread at a time. Raises PlatformError."""
        with self._lock:
            if app != self._app:
                self._app = app
                self._forget()
            now_s = self._clock()
            if now_s < self._refused_until_s:
                return None
            good = self._token is not None and self._token != instead_of
            if good and now_s < self._renew_s:
                return self._token
            try:
                self._renew(app)
            except PlatformError:
                if not good or now_s >= self._end_s:
                    raise
                log.info("The app's token for Twitch is not renewed yet")
            return self._token

    def refuse(self, app: App, reason: str) -> None:
        """Do not use the app for a while."""
        with self._lock:
            self._refuse(app, reason)

    def _refuse(self, app: App, reason: str) -> None:
        if app == self._app and self._clock() >= self._refused_until_s:
            log.warning("Twitch does not take twitch_client_id and twitch_client_secret (%s); "
                        "channels are checked without them", reason)
            self._token, self._refused_until_s = None, self._clock() + REFUSED_S

    def _renew(self, app: App) -> None:
        answer = self._web.ask("POST", TOKEN_URL, data={
            "client_id": app.client_id, "client_secret": app.client_secret,
            "grant_type": "client_credentials"})
        if answer.status in (400, 401, 403):
            self._refuse(app, message_of(answer.body) or f"HTTP {answer.status}")
            return
        body = answer.body if isinstance(answer.body, dict) else {}
        token, life_s = body.get("access_token"), body.get("expires_in")
        if answer.status != 200 or not isinstance(token, str) or not token:
            raise self._web.refusal(answer)
        life_s = float(life_s) if type(life_s) is int and life_s > 0 else TOKEN_LIFE_S
        self._token, self._end_s = token, self._clock() + life_s
        self._renew_s = self._end_s - min(RENEW_EARLY_S, life_s / 2)


class Helix:
    def __init__(self, web: Web, logins: Logins, clock: Callable[[], float]) -> None:
        self._web = web
        self._logins = logins
        self._clock = clock
        self._app_token = AppToken(web, clock)
        self._lock = threading.Lock()
        # Login → whether it exists, and until when that holds. Streams tell of live channels
        # only, so each absent login is looked up once, and again now and then.
        self._known: dict[str, tuple[bool, float]] = {}

    def check(self, logins: Sequence[str], fresh: bool = False) -> dict[str, Checked] | None:
        """Up to 100 channels; None where nothing lets us ask, or Twitch does not take the
        batch (one login that it finds malformed spoils it). Raises PlatformError.

        One request; a second where logins are absent that were not looked up lately, or
        `fresh` ones that are not live.
        """
        params = [("user_login", login) for login in logins]
        body = self._ask("streams", [*params, ("first", str(BATCH_SIZE))])
        if body is None:
            return None
        live = helix_streams(body)
        now_s = self._clock()
        with self._lock:
            if len(self._known) > KNOWN_MAX:
                self._known.clear()
            self._known.update(dict.fromkeys(live, (True, now_s + EXISTS_S)))
            due = [login for login in logins if self._known.get(login, (0, 0.0))[1] <= now_s
                   or fresh and login not in live]
        failed = self._look_up(due) if due else {}
        with self._lock:
            return {login: live.get(login) or failed.get(login) or self._absent(login)
                    for login in logins}

    def _absent(self, login: str) -> Checked:
        exists, _ = self._known.get(login, (True, 0.0))
        return Offline() if exists else not_found(login)

    def _look_up(self, logins: Sequence[str]) -> dict[str, PlatformError]:
        """Learn which logins exist; what went wrong, for those that were never looked up."""
        try:
            body = self._ask("users", [("login", login) for login in logins])
            found = None if body is None else helix_logins(body)
        except PlatformError as error:
            return {login: error for login in logins if login not in self._known}
        if found is not None:
            now_s = self._clock()
            with self._lock:
                for login in logins:
                    life_s = EXISTS_S if login in found else MISSING_S
                    self._known[login] = (login in found, now_s + life_s)
        return {}

    def _ask(self, path: str, params: Params) -> Any:
        """The body of a good answer; None where nothing lets us ask. Raises PlatformError."""
        answer = self._ask_as_app(path, params) or self._ask_as_user(path, params)
        if answer is None or answer.status == 400:
            return None
        if answer.status != 200 or answer.body is None:
            raise self._web.refusal(answer)
        return answer.body

    def _ask_as_app(self, path: str, params: Params) -> Answer | None:
        app = self._logins.app(PLATFORM)
        if app is None or not app.client_id or not app.client_secret:
            return None
        token, reason = None, ""
        for _ in range(2):
            token = self._app_token.find(app, instead_of=token)
            if token is None:
                return None
            answer = self._get(path, params, app, token)
            if answer.status != 401:
                return answer
            reason = message_of(answer.body)
        self._app_token.refuse(app, reason or "HTTP 401")
        return None

    def _ask_as_user(self, path: str, params: Params) -> Answer | None:
        app = self._logins.app(PLATFORM)
        token = self._logins.api_token(PLATFORM)
        if app is None or not app.client_id or token is None:
            return None
        answer = self._get(path, params, app, token)
        if answer.status != 401:
            return answer
        self._logins.refused(PLATFORM, "api", message_of(answer.body) or "HTTP 401")
        return None

    def _get(self, path: str, params: Params, app: App, token: str) -> Answer:
        return self._web.ask("GET", f"{HELIX_URL}/{path}", params=params, headers={
            "Authorization": f"Bearer {token}", "Client-Id": app.client_id})
