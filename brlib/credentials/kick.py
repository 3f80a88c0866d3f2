"""Kick: login by redirect with PKCE, refresh, and whom a token belongs to.

Kick has no device login and wants a secret besides PKCE. Nothing listens at the address it
redirects to: a person copies it from the browser.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from ..errors import PlatformError, Trouble
from ..platforms.base import App
from ..store.credentials import REDIRECT
from . import oauth
from .base import Grant, Identity, Rejected
from .exchange import Answer, Exchange

OAUTH = "https://id.kick.com/oauth"
USERS = "https://api.kick.com/public/v1/users"
# The website's own interface: the only one that knows its session tokens.
SITE_USER = "https://kick.com/api/v1/user"
# Must be set in the app, letter by letter; 127.0.0.1 does not come through Kick's front end.
REDIRECT_URI = "http://localhost/kick"
SCOPES = "user:read channel:read"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Kick:
    label = "Kick"
    flow = REDIRECT
    needs_secret = True
    hint = f"make an app at kick.com/settings/developer with the redirect URL {REDIRECT_URI}"
    validates_every_s: float | None = None

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def auth_url(self, app: App, state: str, challenge: str) -> str:
        return f"{OAUTH}/authorize?" + urlencode({
            "client_id": app.client_id, "response_type": "code", "redirect_uri": REDIRECT_URI,
            "state": state, "scope": SCOPES, "code_challenge": challenge,
            "code_challenge_method": "S256"})

    def redeem(self, app: App, code: str, verifier: str) -> Grant:
        return oauth.new_tokens(self.label, self._token(app, {
            "grant_type": "authorization_code", "redirect_uri": REDIRECT_URI,
            "code_verifier": verifier, "code": code}))

    def refresh(self, app: App, refresh_token: str) -> Grant:
        return oauth.new_tokens(self.label, self._token(app, {
            "grant_type": "refresh_token", "refresh_token": refresh_token}))

    def revoke(self, client_id: str, access_token: str, refresh_token: str | None) -> None:
        """Both tokens, each in the address: Kick's documents know no other place."""
        answers = [self._exchange.post(
            f"{OAUTH}/revoke?" + urlencode({"token": token, "token_hint_type": kind}), {}, FORM)
            for kind, token in (("refresh_token", refresh_token), ("access_token", access_token))
            if token]
        for answer in answers:
            if answer.status != 200:
                raise oauth.unexpected(self.label, answer)

    def identify(self, access_token: str) -> Identity:
        bearer = {"Authorization": f"Bearer {access_token}"}
        answer = self._exchange.get(USERS, bearer)
        if answer.status == 403:
            return self._introspect(bearer)  # a token that may do other things than this
        if answer.status == 401:
            raise _over()
        people = answer.data.get("data")
        if answer.status != 200 or not isinstance(people, list) or not people:
            raise oauth.unexpected(self.label, answer)
        return Identity(_named(people[0], "name"))

    def _introspect(self, bearer: dict[str, str]) -> Identity:
        answer = self._exchange.post(f"{OAUTH}/token/introspect", {}, bearer)
        data = answer.data.get("data")
        if answer.status == 401 or (isinstance(data, dict) and data.get("active") is False):
            raise _over()
        if answer.status != 200 or not isinstance(data, dict) or data.get("active") is not True:
            raise oauth.unexpected(self.label, answer)
        return Identity(client_id=oauth.name_of(data.get("client_id")),
                        scopes=oauth.scopes_of(data.get("scope")))

    def try_playback(self, secret: str, now: datetime) -> Identity:
        answer = self._exchange.get(SITE_USER, {"Authorization": f"Bearer {secret}"})
        if answer.status == 401:
            raise Rejected("Kick does not take the session token any more: copy it anew from a "
                           "browser that is logged in")
        if answer.status == 403:
            raise PlatformError("kick.com blocks this machine, so the session token cannot be "
                                "tried: it is used as it is", Trouble.BLOCKED)
        name = _named(answer.data, "username")
        if answer.status != 200 or name is None:
            raise oauth.unexpected(self.label, answer)
        return Identity(name)

    def _token(self, app: App, form: dict[str, str]) -> Answer:
        return self._exchange.post(f"{OAUTH}/token", {
            "client_id": app.client_id, "client_secret": app.client_secret or "", **form})


def _named(value: Any, name: str) -> str | None:
    return oauth.name_of(value.get(name)) if isinstance(value, dict) else None


def _over() -> Rejected:
    return Rejected("Kick does not take the token any more: log in again")
