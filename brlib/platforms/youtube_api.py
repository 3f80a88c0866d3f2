"""YouTube's Data API: whether broadcasts that are known are still live, fifty for one unit.

Owned by the platform `youtube`, which finds broadcasts on pages and goes back to pages when
the API has nothing to say. A day has 10,000 units.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from requests import Response

from ..errors import PlatformError, Trouble
from ..models import Broadcast, utc_now
from .answers import address_at, ask, dig, moment_at, object_of, refused, text_at, whole_at
from .base import Logins
from .sessions import Sessions

log = logging.getLogger(__name__)

VIDEOS_URL = "https://www.googleapis.com/youtube/v3/videos"
IDS_MAX = 50
# For so long an answer serves the other channels that it told of, too.
FRESH_S = 60.0
# After an answer that is no answer; after a key that was refused. Another key is asked with at
# once.
PAUSE_S = 600.0
REFUSED_PAUSE_S = 3600.0
# Units are given anew at midnight in California, which is this hour or the one before.
NEW_DAY_UTC_HOUR = 8
WHAT = "YouTube's API"


@dataclass(frozen=True)
class _Known:
    at_s: float
    item: Any


class YouTubeApi:
    def __init__(
        self, sessions: Sessions, logins: Logins, clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._session = sessions.new()
        self._logins = logins
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._answers: dict[str, _Known] = {}
        self._paused_until_s = 0.0
        self._paused_for = b""

    def find_live(
        self, known: Broadcast, others: Iterable[str], fresh: bool = False
    ) -> Broadcast | None:
        """`known` as it is now; None when it is not live, or cannot be asked for.

        `others` are ids of further broadcasts, asked for along with it. `fresh`: what was said
        of it before will not do.
        """
        with self._lock:
            if not known.id:
                return None
            now_s = self._clock()
            self._answers = {one: kept for one, kept in self._answers.items()
                             if now_s - kept.at_s < FRESH_S and not (fresh and one == known.id)}
            if known.id not in self._answers:
                self._ask(list(dict.fromkeys(
                    [known.id, *(one for one in others if one not in self._answers)]))[:IDS_MAX])
            kept = self._answers.get(known.id)
            return _live(known, kept.item) if kept is not None else None

    def close(self) -> None:
        self._session.http.close()

    def _ask(self, ids: list[str]) -> None:
        """Learn of these videos; of none where the API is not to be asked or fails."""
        now_s = self._clock()
        login = self._login()
        if login is None:
            return
        # Not the login itself, which is never kept.
        login_of = hashlib.sha256(repr(login).encode()).digest()
        if now_s < self._paused_until_s and login_of == self._paused_for:
            return
        try:
            # Not followed: the key is for this host. In a header it stands in no log line.
            answer = ask(self._session, "GET", VIDEOS_URL, headers=login, allow_redirects=False,
                         params={"part": "snippet,liveStreamingDetails", "id": ",".join(ids)})
            items = self._good(answer).get("items")
            if not isinstance(items, list):
                raise PlatformError("it answers in a way that we do not know")
        except PlatformError as error:
            self._paused_until_s = now_s + (error.retry_after_s or PAUSE_S)
            self._paused_for = login_of
            log.warning("%s is not asked for a while: %s", WHAT, error)
            return
        for item in items:
            if video_id := text_at(item, "id"):
                self._answers[video_id] = _Known(now_s, item)

    def _login(self) -> dict[str, str] | None:
        app = self._logins.app("youtube")
        if app is not None and app.api_key:
            return {"X-Goog-Api-Key": app.api_key}
        token = self._logins.api_token("youtube")
        return {"Authorization": f"Bearer {token}"} if token else None

    def _good(self, answer: Response) -> dict[str, Any]:
        """Raises PlatformError, with how long not to ask."""
        if answer.ok:
            return object_of(answer, WHAT)
        try:
            said = dig(answer.json(), "error")
        except (ValueError, RecursionError):
            said = None
        reason = text_at(said, "errors", 0, "reason") or ""
        if reason == "quotaExceeded":
            raise PlatformError(
                "the day's units are used up", Trouble.RATE_LIMITED, self._until_new_day_s())
        invalid = "api key" in (text_at(said, "message") or "").lower()
        if answer.status_code == 401 or reason == "keyInvalid" or invalid:
            self._logins.refused("youtube", "api", f"{WHAT} does not take the key or login")
            raise PlatformError(
                "it does not take the key or login: check youtube_api_key",
                Trouble.LOGIN_EXPIRED, REFUSED_PAUSE_S)
        raise refused(answer, WHAT)

    def _until_new_day_s(self) -> float:
        now = self._now()
        new_day = now.replace(hour=NEW_DAY_UTC_HOUR, minute=0, second=0, microsecond=0)
        if new_day <= now:
            new_day += timedelta(days=1)
        return (new_day - now).total_seconds()


def _live(known: Broadcast, item: Any) -> Broadcast | None:
    details = dig(item, "liveStreamingDetails")
    if dig(item, "snippet", "liveBroadcastContent") != "live" or dig(details, "actualEndTime"):
        return None
    return replace(
        known,
        title=text_at(item, "snippet", "title") or known.title,
        # Absent where the channel hides it.
        viewers=whole_at(details, "concurrentViewers"),
        started_at=moment_at(details, "actualStartTime") or known.started_at,
        display_name=text_at(item, "snippet", "channelTitle") or known.display_name,
        thumbnail_url=(address_at(item, "snippet", "thumbnails", "maxres", "url")
                       or address_at(item, "snippet", "thumbnails", "high", "url")
                       or known.thumbnail_url))
