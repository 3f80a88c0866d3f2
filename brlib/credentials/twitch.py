"""Twitch: device login, refresh, and whom a token belongs to.

An app of the type "public" has no secret and can only log in by device code; one with a
secret needs it for every refresh.
"""

from __future__ import annotations

from datetime import datetime

from ..errors import PlatformError
from ..platforms.base import App
from ..store.credentials import DEVICE
from . import oauth
from .base import DeviceCode, Grant, Identity, Rejected, Wait
from .exchange import Answer, Exchange

HOST = "https://id.twitch.tv"
# Who someone is needs no scope.
SCOPES = ""


class Twitch:
    label = "Twitch"
    flow = DEVICE
    needs_secret = False
    hint = "make an app of the type Public at dev.twitch.tv/console"
    # Twitch asks this of everyone who keeps a login, and looks whether they do it.
    validates_every_s: float | None = 3600.0

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def begin(self, app: App) -> DeviceCode:
        return oauth.device_code(self.label, self._exchange.post(
            f"{HOST}/oauth2/device", {"client_id": app.client_id, "scopes": SCOPES}))

    def poll(self, app: App, device_code: str) -> Grant | Wait:
        return oauth.polled(self.label, self._token(app, {
            "scopes": SCOPES, "device_code": device_code, "grant_type": oauth.DEVICE_GRANT}))

    def refresh(self, app: App, refresh_token: str) -> Grant:
        return oauth.new_tokens(self.label, self._token(app, {
            **({"client_secret": app.client_secret} if app.client_secret else {}),
            "grant_type": "refresh_token", "refresh_token": refresh_token}), final_status=401)

    def revoke(self, client_id: str, access_token: str, refresh_token: str | None) -> None:
        if not client_id:
            raise PlatformError("nobody has said which client id it belongs to")
        answer = self._exchange.post(
            f"{HOST}/oauth2/revoke", {"client_id": client_id, "token": access_token})
        if answer.status != 200:
            raise oauth.unexpected(self.label, answer)

    def identify(self, access_token: str) -> Identity:
        answer = self._exchange.get(
            f"{HOST}/oauth2/validate", {"Authorization": f"OAuth {access_token}"})
        if answer.status == 401:
            raise Rejected("Twitch does not take the token any more: log in again")
        data = answer.data
        client_id = oauth.name_of(data.get("client_id"))
        if answer.status != 200 or client_id is None:
            raise oauth.unexpected(self.label, answer)
        return Identity(oauth.name_of(data.get("login")), client_id,
                        oauth.seconds(data.get("expires_in")),
                        oauth.scopes_of(data.get("scopes")))

    def try_playback(self, secret: str, now: datetime) -> Identity:
        """The website's own token is validated like any other."""
        return self.identify(secret)

    def _token(self, app: App, form: dict[str, str]) -> Answer:
        return self._exchange.post(
            f"{HOST}/oauth2/token", {"client_id": app.client_id, **form})
