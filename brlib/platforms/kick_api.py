"""Kick's official API, asked with the token of an app (client credentials).

Owned by the platform `kick`. It tells who is live and what a channel shows; it has no
playback. A channel is asked for by its user id: by slug, one unknown name spoils a request.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from requests import Response

from ..errors import PlatformError, Trouble
from ..models import Broadcast
from .answers import address_at, ask, dig, moment_at, object_of, refused, text_at, whole_at
from .base import App, Checked, Logins, Offline, Profile
from .kick_names import KickNames, no_such
from .sessions import Sessions

TOKEN_URL = "https://id.kick.com/oauth/token"
API_URL = "https://api.kick.com/public/v1"
IDS_MAX = 100
# What it answers where a slug is unknown.
UNKNOWN = (400, 404)
# What it says along with a list that can be believed.
HEALTHY = ("ok", "success")
# A token is not used in its last minute, and never for longer than a day.
TOKEN_EARLY_S = 60.0
TOKEN_MAX_S = 86_400.0
TOKEN_DEFAULT_S = 3600.0
WHAT = "Kick's API"
_BAD_APP = ("Kick does not take the app's client id and secret: "
            "check kick_client_id and kick_client_secret")


class KickApi:
    """`ids` is what `KickNames` keeps."""

    def __init__(
        self, sessions: Sessions, logins: Logins, ids: MutableMapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = sessions.new()
        self._logins = logins
        self._names = KickNames(self._who, ids, clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._token_of = b""
        self._token_until_s = 0.0

    @property
    def usable(self) -> bool:
        """Whether there is an app with its secret."""
        return self._app() is not None

    def live(self, slugs: Sequence[str], fresh: bool = False) -> dict[str, Checked]:
        """What each of up to 100 channels is doing; its broadcasts have no ids yet. Raises
        PlatformError as a whole."""
        failure: PlatformError | None = None
        if fresh:
            self._names.doubt(slugs)
        try:
            self._names.look_up(slugs)
        except PlatformError as error:
            failure = error
        ids = {slug: user_id for slug in slugs
               if (user_id := self._names.find(slug)) is not None}
        # Those who are known are not made to wait for those who are not.
        if failure is not None and not ids:
            raise failure
        streams: dict[int, Any] = {}
        asked = sorted(set(ids.values()))
        for start in range(0, len(asked), IDS_MAX):
            streams |= self._streams(asked[start:start + IDS_MAX])
        found: dict[str, Checked] = {}
        for slug in slugs:
            stream = streams.get(ids[slug]) if slug in ids else None
            if stream is not None:
                found[slug] = self._live(slug, ids[slug], stream)
            elif self._names.is_gone(slug):
                found[slug] = no_such(slug)
            else:
                found[slug] = Offline() if slug in ids else failure or PlatformError(
                    f"Kick has not said yet who {slug} is; it is asked again")
        self._names.confirm([slug for slug in ids if ids[slug] not in streams])
        return found

    def profile(self, slug: str) -> Profile:
        """Raises PlatformError."""
        answer = self._ask("/channels", [("slug", slug)])
        channel = None if answer.status_code in UNKNOWN else dig(_items(answer), 0)
        user_id = whole_at(channel, "broadcaster_user_id")
        if user_id is None:
            raise no_such(slug)
        user = dig(_items(self._ask("/users", [("id", str(user_id))])), 0)
        return Profile(text_at(user, "name"), address_at(user, "profile_picture"),
                       address_at(channel, "banner_picture"))

    def close(self) -> None:
        self._session.http.close()

    def _live(self, slug: str, user_id: int, stream: Any) -> Checked:
        called = (text_at(stream, "channel", "slug") or slug).lower()
        try:
            if called == slug:
                self._names.seen(slug)
            else:
                self._names.seen_as_another(slug)
        except PlatformError as error:
            return error
        if called != slug and self._names.is_gone(slug):
            return PlatformError(
                f"Kick has no channel {slug}: whose it was is called {called} now",
                Trouble.NOT_FOUND)
        if self._names.find(slug) != user_id:
            return PlatformError(f"Kick's channel {slug} is somebody else's now; it is asked again")
        return _broadcast(stream)

    def _streams(self, user_ids: Sequence[int]) -> dict[int, Any]:
        """The live streams of these users, by user."""
        items = _items(self._ask(
            "/users/livestreams", [("user_id", str(one)) for one in user_ids]))
        streams = {whole_at(item, "broadcaster_user", "id"): item for item in items}
        # Absent means offline: an answer that we read wrongly must not look like that.
        if not streams.keys() <= set(user_ids):
            raise PlatformError(f"{WHAT} answers in a way that we do not know")
        return {user_id: item for user_id, item in streams.items() if user_id is not None}

    def _who(self, slugs: Sequence[str]) -> dict[str, int]:
        answer = self._ask("/channels", [("slug", slug) for slug in slugs])
        items = [] if answer.status_code in UNKNOWN else _items(answer)
        named = {(text_at(item, "slug") or "").lower(): whole_at(item, "broadcaster_user_id")
                 for item in items}
        return {slug: user_id for slug in slugs if (user_id := named.get(slug))}

    def _ask(self, path: str, query: list[tuple[str, str]]) -> Response:
        """One answer, with a token that Kick takes. Raises PlatformError."""
        app = self._app()
        if app is None:
            raise PlatformError("Kick's API needs kick_client_id and kick_client_secret")
        for last in (False, True):
            token = self._get_token(app)
            # Not followed: the token is for this host.
            answer = ask(self._session, "GET", API_URL + path, params=query,
                         headers={"Authorization": f"Bearer {token}"}, allow_redirects=False)
            if answer.status_code != 401:
                break
            self._drop(token)
            if last:
                self._logins.refused("kick", "api", "Kick's API does not take the app's token")
                raise PlatformError(_BAD_APP, Trouble.LOGIN_EXPIRED)
        return answer

    def _app(self) -> App | None:
        app = self._logins.app("kick")
        return app if app is not None and app.client_id and app.client_secret else None

    def _get_token(self, app: App) -> str:
        of = hashlib.sha256(f"{app.client_id}\0{app.client_secret}".encode()).digest()
        with self._lock:
            if of != self._token_of or self._clock() >= self._token_until_s:
                self._token, lasts_s = self._new_token(app)
                self._token_of = of
                self._token_until_s = self._clock() + lasts_s
            return self._token

    def _drop(self, token: str) -> None:
        with self._lock:
            if token == self._token:
                self._token_until_s = 0.0

    def _new_token(self, app: App) -> tuple[str, float]:
        """(token, seconds that it may be used). Raises PlatformError."""
        answer = ask(
            self._session, "POST", TOKEN_URL, allow_redirects=False,
            data={"grant_type": "client_credentials", "client_id": app.client_id,
                  "client_secret": app.client_secret})
        if answer.status_code in (400, 401):
            self._logins.refused("kick", "api", "Kick does not take the client id and secret")
            raise PlatformError(_BAD_APP, Trouble.LOGIN_EXPIRED)
        if not answer.ok:
            raise refused(answer, "Kick's login")
        given = object_of(answer, "Kick's login")
        token = text_at(given, "access_token")
        if token is None:
            raise PlatformError("Kick's login gives no token")
        # Sources disagree on an hour or sixty days, and on number or text.
        lasts_s = float(whole_at(given, "expires_in") or TOKEN_DEFAULT_S)
        return token, max(0.0, min(lasts_s, TOKEN_MAX_S) - TOKEN_EARLY_S)


def _items(answer: Response) -> list[Any]:
    """What a healthy answer lists. Raises PlatformError for any other."""
    said = object_of(answer, WHAT)
    message, items = said.get("message") or "ok", said.get("data")
    # An empty list beside the news of a failure does not mean that nobody is live.
    if not isinstance(message, str) or message.strip(" .!").lower() not in HEALTHY:
        raise PlatformError(f"{WHAT} answers: {message}"[:200])
    if not isinstance(items, list):
        raise PlatformError(f"{WHAT} answers in a way that we do not know")
    return items


def _broadcast(item: Any) -> Broadcast:
    return Broadcast(
        title=text_at(item, "title"),
        category=text_at(item, "category", "name"),
        viewers=whole_at(item, "viewer_count"),
        started_at=moment_at(item, "started_at"),
        display_name=text_at(item, "broadcaster_user", "username"),
        thumbnail_url=address_at(item, "thumbnail"))
