"""YouTube: Google's device login and refresh, and whether a cookies file is still logged in.

Google's login gives the Data API alone; what only members see is played with cookies.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from .. import cookies
from ..errors import PlatformError, Trouble
from ..platforms.base import App
from ..store.credentials import DEVICE
from . import oauth
from .base import DeviceCode, Grant, Identity, Rejected, Wait
from .exchange import Answer, Exchange

OAUTH = "https://oauth2.googleapis.com"
CHANNELS = "https://www.googleapis.com/youtube/v3/channels?part=snippet&mine=true"
SITE = "www.youtube.com"
ACCOUNT = f"https://{SITE}/account"
SCOPES = "https://www.googleapis.com/auth/youtube.readonly"
PAGE_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html", "Accept-Language": "en",
}
# Skips the page that asks Europeans for consent, as yt-dlp does.
CONSENT = "SOCS=CAI"
# As the page's own settings say it.
LOGGED_IN = re.compile(rb'"LOGGED_IN"\s*:\s*(true|false)')


class YouTube:
    label = "YouTube"
    flow = DEVICE
    needs_secret = True
    hint = ("make a client of the type \"TVs and Limited Input devices\" at "
            "console.cloud.google.com and publish it: in testing its logins last 7 days")
    validates_every_s: float | None = None

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def begin(self, app: App) -> DeviceCode:
        return oauth.device_code(self.label, self._exchange.post(
            f"{OAUTH}/device/code", {"client_id": app.client_id, "scope": SCOPES}))

    def poll(self, app: App, device_code: str) -> Grant | Wait:
        return oauth.polled(self.label, self._token(app, {
            "device_code": device_code, "grant_type": oauth.DEVICE_GRANT}))

    def refresh(self, app: App, refresh_token: str) -> Grant:
        return oauth.new_tokens(self.label, self._token(app, {
            "grant_type": "refresh_token", "refresh_token": refresh_token}))

    def revoke(self, client_id: str, access_token: str, refresh_token: str | None) -> None:
        """Either token ends the whole login; the one for refreshing lasts longer."""
        answer = self._exchange.post(f"{OAUTH}/revoke", {"token": refresh_token or access_token})
        if answer.status != 200 and "invalid_token" not in oauth.words_of(answer):
            raise oauth.unexpected(self.label, answer)

    def identify(self, access_token: str) -> Identity:
        answer = self._exchange.get(CHANNELS, {"Authorization": f"Bearer {access_token}"})
        if answer.status == 401:
            raise Rejected("YouTube does not take the token any more: log in again")
        if answer.status == 403:
            raise _forbidden(answer)
        items = answer.data.get("items", [])
        if answer.status != 200 or not answer.data or not isinstance(items, list):
            raise oauth.unexpected(self.label, answer)
        # An account need not have a channel.
        return Identity(oauth.name_of(_dig(items[0] if items else None, "snippet", "title")))

    def try_playback(self, secret: str, now: datetime) -> Identity:
        found, _ = cookies.read(secret, now)
        alive = [cookie for cookie in found
                 if cookie.expires_s > now.timestamp() and cookie.name != "SOCS"]
        sent = cookies.cookie_header(alive, SITE)
        answer = self._exchange.get(
            ACCOUNT, {**PAGE_HEADERS, "Cookie": "; ".join(filter(None, (sent, CONSENT)))})
        target = urlsplit(answer.location or "")
        said = LOGGED_IN.search(answer.body) if answer.status == 200 else None
        if said and said[1] == b"true":
            return Identity()
        if said or target.hostname == "accounts.google.com":
            raise Rejected("YouTube has ended the login of the cookies: export them again from "
                           "a private window")
        if target.path.startswith("/sorry"):
            raise PlatformError("YouTube takes this machine for a bot: try again in an hour",
                                Trouble.BLOCKED)
        raise oauth.unexpected(self.label, answer)

    def _token(self, app: App, form: dict[str, str]) -> Answer:
        return self._exchange.post(f"{OAUTH}/token", {
            "client_id": app.client_id, "client_secret": app.client_secret or "", **form})


def _forbidden(answer: Answer) -> PlatformError:
    errors = _dig(answer.data, "error", "errors")
    reasons = {str(_dig(error, "reason")) for error in errors} if isinstance(
        errors, list) else set()
    if reasons & {"quotaExceeded", "rateLimitExceeded", "dailyLimitExceeded"}:
        return PlatformError("The quota of the YouTube Data API is used up: it is full again at "
                             "midnight in California", Trouble.RATE_LIMITED)
    return PlatformError("The login may not use the YouTube Data API: switch the API on in the "
                         "app's project, or log in again", Trouble.RESTRICTED)


def _dig(value: Any, *names: str) -> Any:
    """A value inside objects; None where something on the way is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
