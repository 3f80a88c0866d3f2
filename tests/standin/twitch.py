"""Twitch for tests: users, who is live, and what each of its hosts answers about them.

State changes by method calls, from any thread; refusals and silence come from `StandIn.fail`.
Media is what `publish` was given, advertisements included, or an Origin's (`go_live(origin=
True)` with `StandIn.forward(port, WEAVER)`). Of id.twitch.tv only app tokens and `validate`
are here; what gives None is another host's.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.standin.base import Reply, Request, StandIn
from tests.standin.twitch_media import (
    LIST_TYPE, ORIGIN_VARIANTS, VARIANTS, WEAVER, Live, Piece, master, playlist, stamp,
)

GQL, HELIX, ID, USHER = "gql.twitch.tv", "api.twitch.tv", "id.twitch.tv", "usher.ttvnw.net"
IMAGES = "static-cdn.jtvnw.net"
NAMES = (GQL, HELIX, ID, USHER, WEAVER, IMAGES)
WEB_CLIENT_ID = "kimne78kx3ncx6brgo4mv6wki5h1ko"
BATCH_MAX = 100


@dataclass
class User:
    login: str
    id: str
    display_name: str
    title: str | None = None
    banner: str | None = None
    live: Live | None = None


class TwitchHost:
    """`apps`: client id → secret. `users_by_token`: a user's API token → (client id, login).
    `auth_tokens`: what the web site's login gave out → the logins it is subscribed to."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ids = itertools.count(40_000_000_001)
        self.users: dict[str, User] = {}
        self.apps: dict[str, str] = {}
        self.app_tokens: dict[str, str] = {}
        self.users_by_token: dict[str, tuple[str, str]] = {}
        self.auth_tokens: dict[str, set[str]] = {}
        self.app_token_life_s = 5_000_000
        # How long an address of a playlist is good, once this is set.
        self.address_life_s: float | None = None
        # Raised by `expire_addresses`: older addresses of playlists are answered 403.
        self._epoch = 0

    def join(self, standin: StandIn) -> None:
        standin.add(self.answer, *NAMES)

    # What happens.

    def add(self, login: str, **more: Any) -> User:
        with self._lock:
            user = User(login, str(next(self._ids)), more.pop("display_name", login.title()),
                        **more)
            self.users[login] = user
            return user

    def go_live(self, login: str, title: str | None = "A title",
                category: str | None = "Chess", viewers: int | None = 12,
                media: Sequence[bytes] | None = None, **more: Any) -> Live:
        """A new broadcast with an id of its own, and three segments where it is no Origin's;
        or those of `media`, each of half a second."""
        with self._lock:
            user = self.users.get(login) or self.add(login)
            variants = ORIGIN_VARIANTS if more.get("origin") else VARIANTS
            user.live = Live(str(next(self._ids)), title, category, viewers, datetime.now(UTC),
                             **{"variants": variants, **more})
            for body in media or ():
                self.publish(login, body, 0.5)
            for number in range(3 if media is None else 0):
                self.publish(login, b"segment %d of %s" % (number, user.live.id.encode()))
            return user.live

    def go_offline(self, login: str) -> None:
        with self._lock:
            self.users[login].live = None

    def drop(self, login: str) -> None:
        """The streamer's line fails: offline, until `come_back`."""
        self.go_offline(login)

    def come_back(
        self, login: str, title: str | None = "A title", media: Sequence[bytes] | None = None
    ) -> Live:
        """After a drop Twitch counts it as another stream, with another id."""
        return self.go_live(login, title, media=media)

    def publish(self, login: str, body: bytes, duration_s: float = 2.0, ad: bool = False) -> int:
        """Add a segment to every variant; its media sequence number."""
        with self._lock:
            live = self.users[login].live
            assert live is not None
            last = live.pieces[-1] if live.pieces else None
            at = last.at + timedelta(seconds=last.duration_s) if last else live.started_at
            live.pieces.append(Piece(last.num + 1 if last else 0, body, duration_s, ad, at))
            return live.pieces[-1].num

    def expire_app_tokens(self) -> None:
        self.app_tokens.clear()

    def expire_addresses(self) -> None:
        """From now on playlists have to be resolved anew."""
        self._epoch += 1

    # What its hosts answer.

    def answer(self, request: Request) -> Reply | None:
        known = {GQL: self._gql, HELIX: self._helix, ID: self._id, USHER: self._usher,
                 WEAVER: self._media}.get(request.host)
        with self._lock:
            return known(request) if known else None

    def _gql(self, request: Request) -> Reply | None:
        if request.path != "/gql":
            return None
        if request.headers.get("Client-ID") != WEB_CLIENT_ID:
            return refused(400, "Bad Request", 'The "Client-ID" header is invalid.')
        said = request.headers.get("Authorization")
        token = said.removeprefix("OAuth ") if said else None
        if token is not None and token not in self.auth_tokens:
            return refused(401, "Unauthorized", 'The "Authorization" token is invalid.')
        asked = request.json()
        if isinstance(asked, list):
            return Reply.json([self._operation(one) for one in asked])
        if asked.get("operationName") == "PlaybackAccessToken":
            return self._playback(asked["variables"]["login"], token)
        if "users(logins:" in asked.get("query", ""):
            logins = asked["variables"]["logins"]
            if len(logins) > BATCH_MAX:
                return Reply.json({"errors": [{"message": "too many logins"}]})
            return Reply.json({"data": {"users": [self._gql_user(login) for login in logins]}})
        return None

    def _gql_user(self, login: str) -> dict[str, Any] | None:
        user = self.users.get(login)
        if user is None:
            return None
        live = user.live
        return {
            "id": user.id, "login": login, "displayName": user.display_name,
            "profileImageURL": f"https://{IMAGES}/jtv_user_pictures/{login}-profile-300x300.png",
            "bannerImageURL": user.banner, "broadcastSettings": {"title": user.title},
            "stream": None if live is None else {
                "id": live.id, "title": live.title, "type": live.kind,
                "viewersCount": live.viewers, "createdAt": stamp(live.started_at),
                "previewImageURL": f"https://{IMAGES}/previews-ttv/live_user_{login}-1280x720.jpg",
                "game": live.category and {"name": live.category, "displayName": live.category}}}

    def _operation(self, asked: dict[str, Any]) -> dict[str, Any]:
        variables = asked["variables"]
        user = self.users.get(variables.get("channelLogin") or variables["login"])
        if asked["operationName"] == "ChannelShell":
            return {"data": {"userOrError": user and {"displayName": user.display_name}}}
        live = user.live if user else None
        return {"data": {"user": user and {
            "lastBroadcast": {"title": live.title if live else None},
            "stream": live and {
                "id": live.id, "game": live.category and {"name": live.category}}}}}

    def _playback(self, login: str, token: str | None) -> Reply:
        user = self.users.get(login)
        live = user.live if user else None
        if live is None:
            return Reply.json({"data": {"streamPlaybackAccessToken": None}})
        subscriber = token is not None and login in self.auth_tokens[token]
        value = json.dumps({"channel": login, "subscriber": subscriber, "chansub": {
            "restricted_bitrates": [] if subscriber else list(live.restricted)}})
        return Reply.json({"data": {"streamPlaybackAccessToken": {
            "value": value, "signature": f"sig-{login}-{live.id}"}}})

    def _helix(self, request: Request) -> Reply | None:
        client = request.headers.get("Client-Id", "")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        owner = self.app_tokens.get(token) or self.users_by_token.get(token, ("",))[0]
        if not owner or owner != client:
            return refused(401, "Unauthorized", "Invalid OAuth token" if not owner else
                           "Client ID and OAuth token do not match")
        key = {"/helix/streams": "user_login", "/helix/users": "login"}.get(request.path)
        if key is None:
            return None
        logins = request.values(key)
        if len(logins) > BATCH_MAX or not all(re.fullmatch(r"\w{1,25}", one) for one in logins):
            return refused(400, "Bad Request", "Invalid login names, emails or IDs in request")
        users = [self.users[login] for login in logins if login in self.users]
        data = [_helix_stream(user, user.live) for user in users if user.live] \
            if key == "user_login" else [
                {"id": user.id, "login": user.login, "display_name": user.display_name}
                for user in users]
        # Of streams 20 unless more are asked for.
        size = int(request.query.get("first", "20")) if key == "user_login" else BATCH_MAX
        return Reply.json({"data": data[:size], "pagination": {}})

    def _id(self, request: Request) -> Reply | None:
        form = request.form() if request.method == "POST" else {}
        if request.path == "/oauth2/token" and form.get("grant_type") == "client_credentials":
            client = form.get("client_id", "")
            if client not in self.apps:
                return Reply.json({"status": 400, "message": "invalid client"}, 400)
            if form.get("client_secret") != self.apps[client]:
                return Reply.json({"status": 403, "message": "invalid client secret"}, 403)
            token = f"apptoken{next(self._ids)}"
            self.app_tokens[token] = client
            return Reply.json({"access_token": token, "token_type": "bearer",
                               "expires_in": self.app_token_life_s})
        if request.path == "/oauth2/validate":
            token = request.headers.get("Authorization", "").removeprefix("OAuth ")
            if token not in self.users_by_token:
                return Reply.json({"status": 401, "message": "invalid access token"}, 401)
            client, login = self.users_by_token[token]
            return Reply.json({"client_id": client, "login": login, "scopes": None,
                               "user_id": self.users[login].id, "expires_in": 14_000})
        return None

    def _usher(self, request: Request) -> Reply | None:
        found = re.fullmatch(r"/api/v2/channel/hls/(\w+)\.m3u8", request.path)
        if not found:
            return None
        user = self.users.get(found[1])
        live = user.live if user else None
        # Once it has ended the site calls it live for a while yet, usher does not.
        if live is None or live.ended or (
                request.query.get("sig") != f"sig-{found[1]}-{live.id}"):
            return usher_error(404, "twirp error not_found: transcode does not exist",
                               "transcode_does_not_exist")
        token = json.loads(request.query["token"])
        if live.subscribers_only and not token["subscriber"]:
            return usher_error(403, "Content Restricted", "unauthorized_entitlements")
        epoch = self._epoch if self.address_life_s is None else round(time.monotonic() * 1000)
        return Reply(200, master(live, found[1], epoch, token["chansub"][
            "restricted_bitrates"]), LIST_TYPE)

    def _media(self, request: Request) -> Reply | None:
        found = re.fullmatch(r"/v1/(\d+)/(\w+)/(\d+)/(\w+)\.(m3u8|ts)", request.path)
        if not found:
            return None
        epoch, login, stream_id, name, kind = found.groups()
        user = self.users.get(login)
        live = user.live if user else None
        if live is None or live.id != stream_id:
            return Reply(404)
        if kind == "ts":
            bodies = [one.body for one in live.pieces if str(one.num) == name]
            return Reply(200, bodies[0], "video/mp2t") if bodies else Reply(404)
        if self._expired(int(epoch)):
            return Reply(403)
        return Reply(live.broken.get(name, 200), playlist(live), LIST_TYPE)

    def _expired(self, epoch: int) -> bool:
        if self.address_life_s is None:
            return epoch != self._epoch
        return time.monotonic() - epoch / 1000 > self.address_life_s


def _helix_stream(user: User, live: Live) -> dict[str, Any]:
    return {
        "id": live.id, "user_id": user.id, "user_login": user.login,
        "user_name": user.display_name, "game_id": "743", "game_name": live.category or "",
        "type": live.kind, "title": live.title or "", "tags": [], "viewer_count": live.viewers,
        "started_at": stamp(live.started_at), "language": "en", "is_mature": False,
        "thumbnail_url":
            f"https://{IMAGES}/previews-ttv/live_user_{user.login}-{{width}}x{{height}}.jpg"}


def refused(status: int, error: str, message: str) -> Reply:
    return Reply.json({"error": error, "status": status, "message": message}, status)


def usher_error(status: int, error: str, code: str) -> Reply:
    return Reply.json([{"type": "error", "error": error, "error_code": code}], status)
