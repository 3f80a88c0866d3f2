"""The stand-in's Kick: kick.com's own endpoints, the API, its login and a playback host.

Owns the channels and what of Kick is broken; `tests/test_kick.py` and the black-box tests
change both.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.standin.base import Reply, Request, StandIn

SITE = "kick.com"
API = "api.kick.com"
LOGIN = "id.kick.com"
PLAYBACK = "stand-in.playback.live-video.net"
STARTED = "2026-03-04T05:06:07Z"
MASTER = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=6000000,RESOLUTION=1920x1080,FRAME-RATE=60.000
/1080p60/live.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,FRAME-RATE=30.000
/720p/live.m3u8
"""


@dataclass
class KickChannel:
    """A channel; `live` or not. `started` is what the API says of its stream; `shape` is laid
    over what kick.com says of it."""

    slug: str
    user_id: int
    live: bool = False
    stream_id: int = 5
    title: str | None = "Blitz"
    category: str | None = "Chess"
    viewers: int = 12
    needs_token: bool = False
    started: str | None = STARTED
    shape: dict[str, Any] = field(default_factory=dict)


class KickHost:
    """`api_tokens` are those that the API takes; `session_token` the only one of kick.com's
    that it takes, where one comes."""

    def __init__(self, client_id: str = "kick-app", client_secret: str = "kick-app-secret") -> None:
        self.client_id, self.client_secret = client_id, client_secret
        self.session_token = "12|session-secret"
        self.token_lasts_s: int | str = 7200
        self.channels: dict[str, KickChannel] = {}
        self.master = MASTER
        self.api_tokens: set[str] = set()
        self._issued, self._users = 0, 1000
        self._lock = threading.Lock()

    def join(self, standin: StandIn) -> None:
        """Answer for all of Kick's names."""
        standin.add(self.answer, SITE, API, LOGIN, PLAYBACK)

    def add(self, slug: str, live: bool = False, **more: Any) -> KickChannel:
        channel = KickChannel(slug, self._new_id(), live, **more)
        self.channels[slug] = channel
        return channel

    def _new_id(self) -> int:
        self._users += 1
        return self._users

    def rename(self, slug: str, newer: str) -> None:
        """The same user; nobody is called `slug` then."""
        self.channels[newer] = self.channels.pop(slug)
        self.channels[newer].slug = newer

    def answer(self, request: Request) -> Reply | None:
        if request.host == SITE:
            return self._site(request)
        if request.host == LOGIN:
            return self._login(request)
        if request.host == API:
            return self._api(request)
        return self._playback(request)

    def _site(self, request: Request) -> Reply | None:
        steps = request.path.strip("/").split("/")
        if steps[:3] != ["api", "v2", "channels"] or len(steps) not in (4, 5):
            return None
        said = request.headers.get("Authorization")
        if said is not None and said != f"Bearer {self.session_token}":
            return Reply.json({"message": "Unauthenticated."}, 401)
        channel = self.channels.get(steps[3])
        if channel is None:
            return Reply.json({"message": "No query results for model."}, 404)
        if len(steps) == 5:
            return Reply.json({"data": self._livestream(channel, said is not None)})
        return Reply.json({
            "id": channel.user_id + 1, "user_id": channel.user_id, "slug": channel.slug,
            "playback_url": f"https://{PLAYBACK}/master.m3u8?token=jwt",
            "user": {"username": channel.slug.title(), "bio": "",
                     "profile_pic": f"https://files.kick.com/{channel.slug}/avatar.webp"},
            "banner_image": {"url": f"https://files.kick.com/{channel.slug}/banner.webp"},
            "livestream": None})

    def _livestream(self, channel: KickChannel, known: bool) -> dict[str, Any] | None:
        if not channel.live:
            return None
        shown = known or not channel.needs_token
        return {
            "id": channel.stream_id, "session_title": channel.title, "viewers": channel.viewers,
            "created_at": "2026-03-04 05:06:07", "language": "en",
            "category": {"name": channel.category} if channel.category else None,
            "playback_url": f"https://{PLAYBACK}/master.m3u8?token=jwt" if shown else None,
            "thumbnail": {"src": "https://images.kick.com/thumb.webp", "srcset": ""},
            **channel.shape}

    def _login(self, request: Request) -> Reply | None:
        if (request.method, request.path) != ("POST", "/oauth/token"):
            return None
        form = request.form()
        given = (form.get("client_id"), form.get("client_secret"))
        if form.get("grant_type") != "client_credentials":
            return None
        if given != (self.client_id, self.client_secret):
            return Reply.json({"error": "invalid_client"}, 401)
        with self._lock:
            self._issued += 1
            token = f"kick-app-token-{self._issued}"
            self.api_tokens.add(token)
        return Reply.json({"access_token": token, "token_type": "Bearer",
                           "expires_in": self.token_lasts_s})

    def _api(self, request: Request) -> Reply | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.api_tokens:
            return Reply.json({"message": "Unauthorized", "data": None}, 401)
        if request.path == "/public/v1/channels":
            return self._channels(request.values("slug"))
        ids = {int(one) for one in request.values("user_id") + request.values("id")}
        known = [one for one in self.channels.values() if one.user_id in ids]
        if request.path == "/public/v1/users":
            return _good([{
                "user_id": one.user_id, "name": one.slug.title(),
                "profile_picture": f"https://files.kick.com/{one.slug}/avatar.webp"}
                for one in known])
        if request.path == "/public/v1/users/livestreams" and len(ids) <= 100:
            return _good([_stream(one) for one in known if one.live])
        return None

    def _channels(self, slugs: list[str]) -> Reply:
        # One that is unknown spoils the whole request.
        if len(slugs) > 50 or any(slug not in self.channels for slug in slugs):
            return Reply.json({"message": "Invalid request", "data": None}, 400)
        return _good([{
            "broadcaster_user_id": self.channels[slug].user_id, "slug": slug,
            "stream_title": "", "banner_picture": f"https://files.kick.com/{slug}/banner.webp",
            "stream": {"is_live": False, "start_time": "0001-01-01T00:00:00Z"}}
            for slug in slugs])

    def _playback(self, request: Request) -> Reply | None:
        if request.path != "/master.m3u8":
            return None
        return Reply(200, self.master.encode(), "application/vnd.apple.mpegurl")


def _good(data: Any) -> Reply:
    return Reply(200, json.dumps({"data": data, "message": "OK"}).encode())


def _stream(channel: KickChannel) -> dict[str, Any]:
    return {
        "id": f"uuid-{channel.stream_id}", "title": channel.title or "",
        "viewer_count": channel.viewers, "started_at": channel.started,
        "thumbnail": "https://images.kick.com/thumb.webp", "language_code": "en",
        "broadcaster_user": {"id": channel.user_id, "username": channel.slug.title()},
        "channel": {"slug": channel.slug},
        "category": {"id": 1, "name": channel.category} if channel.category else None}
