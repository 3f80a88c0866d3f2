"""The logins of all three platforms: who confirms a code, whose a token is, which are over.

Answers for id.twitch.tv, Google, id.kick.com, and what tells whose a token is; the platforms'
own hosts answer for the rest. Used by the black-box tests.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.standin.base import Reply, Request, StandIn
from tests.standin.kick import KickHost
from tests.standin.twitch import ID, TwitchHost
from tests.standin.youtube import DATA_API, SITE, YouTubeHost

GOOGLE = "oauth2.googleapis.com"
KICK_LOGIN, KICK_API, KICK_SITE = "id.kick.com", "api.kick.com", "kick.com"
OF_CODE = "urn:ietf:params:oauth:grant-type:device_code"
# Seconds between two questions: the least that there is, for the time of tests.
INTERVAL_S = 1


class Accounts:
    """`mark` is part of every secret that is given out; all of those are in `given`, by name.
    `taken` are the Google and Kick tokens that are good, with their owners; `revoked` those
    that were taken back."""

    def __init__(
        self, twitch: TwitchHost, youtube: YouTubeHost, kick: KickHost, mark: str
    ) -> None:
        self._twitch, self._youtube, self._kick, self._mark = twitch, youtube, kick, mark
        self._lock = threading.Lock()
        self._confirmed: set[str] = set()
        self._slow_down = {"google": 1}
        self.asked = {"twitch": 0, "google": 0}
        self.given: dict[str, str] = {}
        self.taken: dict[str, str] = {}
        self.revoked: list[str] = []
        # What a person's browser brings back from Kick, and the challenge it came with.
        self._codes: dict[str, str] = {}

    def join(self, standin: StandIn) -> None:
        """Before the platforms, which are asked for what is not known here."""
        standin.add(self.answer, ID, GOOGLE, DATA_API, SITE, KICK_LOGIN, KICK_API, KICK_SITE)

    def confirm(self, where: str) -> None:
        """The person enters the code: "twitch" or "google"."""
        with self._lock:
            self._confirmed.add(where)

    def consent(self, auth_url: str) -> str:
        """The person logs in at Kick and says yes; the address that the browser ends at."""
        query = parse_qs(urlsplit(auth_url).query)
        code = self._give("kick-code")
        with self._lock:
            self._codes[code] = query["code_challenge"][0]
        return f"{query['redirect_uri'][0]}?code={code}&state={query['state'][0]}"

    def _give(self, name: str) -> str:
        with self._lock:
            number = 1 + sum(one.startswith(name) for one in self.given)
            text = f"{name}{number}-{self._mark}"
            self.given[f"{name}{number}"] = text
            return text

    def answer(self, request: Request) -> Reply | None:
        known = {
            (ID, "/oauth2/device"): lambda form: self._device("twitch", "verification_uri"),
            (ID, "/oauth2/token"): self._twitch_token,
            (GOOGLE, "/device/code"): lambda form: self._device("google", "verification_url"),
            (GOOGLE, "/token"): self._google_token,
            (KICK_LOGIN, "/oauth/token"): self._kick_token,
            (ID, "/oauth2/revoke"): self._revoke,
            (GOOGLE, "/revoke"): self._revoke,
        }.get((request.host, request.path))
        if known is not None:
            return known(request.form())
        whose = {
            (DATA_API, "/youtube/v3/channels"): self._google_owner,
            (SITE, "/account"): self._account,
            (KICK_API, "/public/v1/users"): self._kick_owner,
            (KICK_SITE, "/api/v1/user"): self._kick_session,
            (KICK_LOGIN, "/oauth/revoke"): self._kick_revoke,
        }.get((request.host, request.path))
        return whose(request) if whose is not None else None

    def _device(self, where: str, link: str) -> Reply:
        return Reply.json({
            "device_code": self._give(f"{where}-device"), "user_code": "ABCD-EFGH",
            "expires_in": 1800, "interval": INTERVAL_S, link: f"https://{where}.example/enter"})

    def _twitch_token(self, form: dict[str, str]) -> Reply | None:
        kind = form.get("grant_type")
        if kind == OF_CODE and not self._ready("twitch"):
            return Reply.json({"status": 400, "message": "authorization_pending"}, 400)
        if kind == "refresh_token" and form["refresh_token"] not in self.given.values():
            return Reply.json({"status": 400, "message": "Invalid refresh token"}, 400)
        if kind not in (OF_CODE, "refresh_token"):
            return None
        granted = self._grant("twitch", 14_000)
        self._twitch.users_by_token[granted["access_token"]] = (form["client_id"], "anna")
        return Reply.json({**granted, "token_type": "bearer", "scope": []})

    def _google_token(self, form: dict[str, str]) -> Reply:
        if form.get("grant_type") == OF_CODE and not self._ready("google"):
            with self._lock:
                slower, self._slow_down["google"] = self._slow_down["google"], 0
            if slower:
                return Reply.json({"error": "slow_down"}, 403)
            return Reply.json({"error": "authorization_pending"}, 428)
        granted = self._grant("google", 3599)
        self.taken[granted["access_token"]] = "Anna's videos"
        return Reply.json({**granted, "token_type": "Bearer", "scope": "youtube.readonly"})

    def _kick_token(self, form: dict[str, str]) -> Reply | None:
        if form.get("grant_type") != "authorization_code":
            return None
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        with self._lock:
            challenge = self._codes.pop(form["code"], None)
        if challenge != base64.urlsafe_b64encode(digest).decode().rstrip("="):
            return Reply.json({"error": "invalid_grant"}, 400)
        granted = self._grant("kick", 7200)
        self.taken[granted["access_token"]] = "Anna"
        return Reply.json({**granted, "token_type": "Bearer", "scope": "user:read channel:read"})

    def _revoke(self, form: dict[str, str]) -> Reply:
        """Nobody's token any more; what never was one is an error."""
        token = form.get("token")
        if token is None or token not in self.given.values():
            return Reply.json({"error": "invalid_token", "message": "Invalid token"}, 400)
        with self._lock:
            self.revoked.append(token)
        self.taken.pop(token, None)
        self._twitch.users_by_token.pop(token, None)
        return Reply(200, b"OK")

    def _kick_revoke(self, request: Request) -> Reply:
        """Its parameters are in the address."""
        return self._revoke(request.query)

    def _ready(self, where: str) -> bool:
        with self._lock:
            self.asked[where] += 1
            return where in self._confirmed

    def _grant(self, where: str, lasts_s: int) -> dict[str, Any]:
        return {"access_token": self._give(f"{where}-access"), "expires_in": lasts_s,
                "refresh_token": self._give(f"{where}-refresh")}

    def _owner(self, request: Request) -> str | None:
        return self.taken.get(request.headers.get("Authorization", "").removeprefix("Bearer "))

    def _google_owner(self, request: Request) -> Reply:
        owner = self._owner(request)
        if owner is None:
            return Reply.json({"error": {"code": 401, "message": "Invalid Credentials"}}, 401)
        return Reply.json({"items": [{"snippet": {"title": owner}}]})

    def _kick_owner(self, request: Request) -> Reply | None:
        owner = self._owner(request)
        if owner is None:
            return None
        return Reply.json({"data": [{"user_id": 7, "name": owner}], "message": "OK"})

    def _kick_session(self, request: Request) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {self._kick.session_token}":
            return Reply.json({"message": "Unauthenticated."}, 401)
        return Reply.json({"id": 7, "username": "anna"})

    def _account(self, request: Request) -> Reply:
        if f"SAPISID={self._youtube.member}" not in request.headers.get("Cookie", ""):
            return Reply(302, headers={"Location": "https://accounts.google.com/ServiceLogin"})
        return Reply(200, b'<script>ytcfg.set({"LOGGED_IN":true});</script>', "text/html")
