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
from .sessions import Sessions

TOKEN_URL = "https://id.kick.com/oauth/token"
API_URL = "https://api.kick.com/public/v1"
IDS_MAX = 100
SLUGS_MAX = 50
# Requests of one check that look slugs up: Kick has allowed an app 20 a minute.
MISSING_S = 3600.0
LOOK_UPS_MAX = 15
# A token is not used in its last minute, and never for longer than a day.
TOKEN_EARLY_S = 60.0
TOKEN_MAX_S = 86_400.0
TOKEN_DEFAULT_S = 3600.0
WHAT = "Kick's API"
_BAD_APP = ("Kick does not take the app's client id and secret: "
            "check kick_client_id and kick_client_secret")


class KickApi:
    """`ids` is slug → user id, kept by whoever gives it; a slug is looked up once."""

    def __init__(
        self, sessions: Sessions, logins: Logins, ids: MutableMapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = sessions.new()
        self._logins = logins
        self._ids = ids
        self._clock = clock
        self._lock = threading.Lock()
        # Slugs that Kick does not know, until they are looked up again.
        self._missing: dict[str, float] = {}
        self._token = ""
        self._token_of = b""
        self._token_until_s = 0.0

    @property
    def usable(self) -> bool:
        """Whether there is an app with its secret."""
        return self._app() is not None

    def live(self, slugs: Sequence[str]) -> dict[str, Checked]:
        """What each of up to 100 channels is doing. Raises PlatformError as a whole."""
        now_s = self._clock()
        self._missing = {slug: until_s for slug, until_s in self._missing.items()
                         if until_s > now_s}
        found: dict[str, Checked] = {
            slug: _no_such(slug) for slug in slugs if slug in self._missing}
        strange = [slug for slug in slugs if slug not in self._ids and slug not in found]
        try:
            found |= self._look_up(strange)
        except PlatformError as error:
            # Those who are known are not made to wait for those who are not.
            if len(strange) + len(found) == len(slugs):
                raise
            found |= {slug: error for slug in strange if slug not in self._ids}
        ids = {slug: self._ids[slug] for slug in slugs if slug not in found}
        asked = sorted(set(ids.values()))
        live: dict[int, Any] = {}
        for start in range(0, len(asked), IDS_MAX):
            live |= self._streams(asked[start:start + IDS_MAX])
        for slug, user_id in ids.items():
            found[slug] = _broadcast(live[user_id]) if user_id in live else Offline()
        return found

    def profile(self, slug: str) -> Profile:
        """Raises PlatformError."""
        channel = dig(object_of(self._ask("/channels", [("slug", slug)]), WHAT), "data", 0)
        user_id = whole_at(channel, "broadcaster_user_id")
        if user_id is None:
            raise PlatformError(f"Kick has no channel {slug}", Trouble.NOT_FOUND)
        user = dig(object_of(self._ask("/users", [("id", str(user_id))]), WHAT), "data", 0)
        return Profile(text_at(user, "name"), address_at(user, "profile_picture"),
                       address_at(channel, "banner_picture"))

    def close(self) -> None:
        self._session.http.close()

    def _streams(self, user_ids: Sequence[int]) -> dict[int, Any]:
        """The live streams of these users, by user."""
        answer = self._ask("/users/livestreams", [("user_id", str(one)) for one in user_ids])
        items = object_of(answer, WHAT).get("data")
        streams = {whole_at(item, "broadcaster_user", "id"): item
                   for item in items} if isinstance(items, list) else None
        # Absent means offline: an answer that we read wrongly must not look like that.
        if streams is None or not streams.keys() <= set(user_ids):
            raise PlatformError(f"{WHAT} answers in a way that we do not know")
        return {user_id: item for user_id, item in streams.items() if user_id is not None}

    def _look_up(self, slugs: Sequence[str]) -> dict[str, PlatformError]:
        """Learn the users of these slugs; the errors of those that Kick does not know.

        One unknown slug makes a request fail whole, and answers for many leave channels out:
        what is missing is asked for again in halves.
        """
        unknown: dict[str, PlatformError] = {}
        waiting = [slugs[i:i + SLUGS_MAX] for i in range(0, len(slugs), SLUGS_MAX)]
        for _ in range(LOOK_UPS_MAX):
            if not waiting:
                break
            some = waiting.pop(0)
            answer = self._ask("/channels", [("slug", slug) for slug in some])
            if answer.status_code not in (400, 404):
                self._learn(object_of(answer, WHAT).get("data"), some)
            left = [slug for slug in some if slug not in self._ids]
            if left and len(some) == 1:
                unknown[left[0]] = _no_such(left[0])
                self._missing[left[0]] = self._clock() + MISSING_S
            elif left:
                half = (len(left) + 1) // 2
                waiting += [part for part in (left[:half], left[half:]) if part]
        return unknown | {
            slug: PlatformError(f"Kick has not said yet who {slug} is; it is asked again")
            for some in waiting for slug in some}

    def _learn(self, items: Any, asked: Sequence[str]) -> None:
        for item in items if isinstance(items, list) else ():
            slug = (text_at(item, "slug") or "").lower()
            user_id = whole_at(item, "broadcaster_user_id")
            if slug in asked and user_id is not None:
                self._ids[slug] = user_id

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


def _no_such(slug: str) -> PlatformError:
    return PlatformError(f"Kick has no channel {slug}: check its name", Trouble.NOT_FOUND)


def _broadcast(item: Any) -> Broadcast:
    stream_id = dig(item, "id")
    return Broadcast(
        id=str(stream_id) if isinstance(stream_id, (str, int)) and stream_id else None,
        title=text_at(item, "title"),
        category=text_at(item, "category", "name"),
        viewers=whole_at(item, "viewer_count"),
        started_at=moment_at(item, "started_at"),
        display_name=text_at(item, "broadcaster_user", "username"),
        thumbnail_url=address_at(item, "thumbnail"))
