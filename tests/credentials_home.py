"""Credentials over a store of their own, with clocks that stand and platforms that answer as
told, for tests; every secret in them is marked, so that each place can be searched for it."""

from __future__ import annotations

import functools
import io
import json
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from brlib.config import Settings
from brlib.cookies import HEADER
from brlib.credentials import Credentials, LoginStatus, PlatformView
from brlib.credentials.exchange import CONNECT_MAX_S, SILENCE_MAX_S
from brlib.events import EventBus
from brlib.store import Store, open_store
from brlib.store.credentials import Credential

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# Part of every secret, and of nothing else.
MARK = "5EcReT"
STEPS_MAX = 200

VALIDATE = "https://id.twitch.tv/oauth2/validate"
TWITCH_TOKEN = "https://id.twitch.tv/oauth2/token"
TWITCH_DEVICE = "https://id.twitch.tv/oauth2/device"
GOOGLE_TOKEN = "https://oauth2.googleapis.com/token"
GOOGLE_DEVICE = "https://oauth2.googleapis.com/device/code"
TWITCH_REVOKE = "https://id.twitch.tv/oauth2/revoke"
GOOGLE_REVOKE = "https://oauth2.googleapis.com/revoke"
KICK_REVOKE = "https://id.kick.com/oauth/revoke"
CHANNELS = "https://www.googleapis.com/youtube/v3/channels"
ACCOUNT = "https://www.youtube.com/account"
KICK_TOKEN = "https://id.kick.com/oauth/token"
KICK_INTROSPECT = "https://id.kick.com/oauth/token/introspect"
KICK_USERS = "https://api.kick.com/public/v1/users"
KICK_SITE = "https://kick.com/api/v1/user"
OF_PLATFORM = {
    "twitch": ("id.twitch.tv",),
    "youtube": ("oauth2.googleapis.com", "www.googleapis.com", "www.youtube.com"),
    "kick": ("id.kick.com", "api.kick.com", "kick.com"),
}
HOSTS = {host for hosts in OF_PLATFORM.values() for host in hosts}

VALID = (200, {"client_id": "tw-app", "login": "anna", "scopes": None, "user_id": "1",
               "expires_in": 14000})
INVALID = (401, {"status": 401, "message": "invalid access token"})
CHANNEL = (200, {"items": [{"snippet": {"title": "Anna's"}}]})


@functools.cache
def empty_database() -> bytes:
    """Made once: to make all tables anew for each test takes longer than the tests."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "db"
        open_store(path).close()
        return path.read_bytes()


def secret(name: str) -> str:
    return f"{name}-{MARK}"


LATER = int((NOW + timedelta(days=30)).timestamp())
COOKIES = "\n".join((
    HEADER,
    f".youtube.com\tTRUE\t/\tTRUE\t{LATER}\tLOGIN_INFO\t{secret('info')}",
    f".youtube.com\tTRUE\t/\tTRUE\t{LATER}\tSAPISID\t{secret('sap')}",
    f".google.com\tTRUE\t/\tTRUE\t{LATER}\tSID\t{secret('google')}",
    f".youtube.com\tTRUE\t/\tTRUE\t{LATER}\tSOCS\tCAE"))


@dataclass(frozen=True)
class Options(Settings):
    """The settings with an app for each platform."""

    twitch_client_id: str | None = "tw-app"
    twitch_client_secret: str | None = None
    youtube_client_id: str | None = "yt-app"
    youtube_client_secret: str | None = secret("yt-app")
    kick_client_id: str | None = "ki-app"
    kick_client_secret: str | None = secret("ki-app")
    youtube_api_key: str | None = None


@dataclass(frozen=True)
class Asked:
    url: str
    headers: Mapping[str, str]
    form: dict[str, str]


Reply = tuple[Any, ...] | Exception | Callable[[Asked], Any]


class Web(HTTPAdapter):
    """Answers instead of the network: what is told of an address, one after the other, the
    last one again and again. An address that nobody told of fails the test."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._replies: dict[str, list[Reply]] = {}

    def tell(self, url: str, *replies: Reply) -> None:
        """(status, body) or (status, body, headers), an exception, or what makes either."""
        with self._lock:
            self._replies[url] = list(replies)

    def of(self, url: str) -> list[Asked]:
        return [one for one in self.asked if one.url.split("?")[0] == url]

    def send(
        self, request: requests.PreparedRequest, *_: Any, **options: Any
    ) -> requests.Response:
        assert options["timeout"] == (CONNECT_MAX_S, SILENCE_MAX_S)
        assert options["stream"] is False
        body = request.body or b""
        text = body.decode() if isinstance(body, bytes) else body
        asked = Asked(str(request.url), dict(request.headers), dict(parse_qsl(text)))
        with self._lock:
            self.asked.append(asked)
            replies = self._replies.get(asked.url.split("?")[0])
            assert replies, f"nobody answers {asked.url}"
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply):
            reply = reply(asked)
        if isinstance(reply, Exception):
            raise reply
        status, content, *more = reply
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.build_response(request, HTTPResponse(
            io.BytesIO(raw), headers=more[0] if more else {}, status=status,
            preload_content=False))


class Home:
    """`credentials` of the database in `directory`; time passes by hand only."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.settings: Settings = Options(data_directory=directory, **options)
        self.now, self.monotonic_s = NOW, 1000.0
        self.web = Web()
        for url in (TWITCH_REVOKE, GOOGLE_REVOKE, KICK_REVOKE):
            self.web.tell(url, (200, b"OK"))
        self.bus = EventBus()
        self._subscription = self.bus.subscribe()
        self.settings.database_path.write_bytes(empty_database())
        self._open()

    def _open(self) -> None:
        self.store: Store = open_store(self.settings.database_path)
        self.credentials = Credentials(
            lambda: self.settings, self.store, self.bus, lambda: self.now, self._session,
            lambda: self.monotonic_s)

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.mount("https://", self.web)
        return session

    def restart(self, wait_s: float = 0.0) -> None:
        """As after `wait_s` without a daemon, on a machine that was off, too."""
        self.store.close()
        self.now += timedelta(seconds=wait_s)
        self.monotonic_s = 5.0
        self._open()

    def close(self) -> None:
        self.credentials.stop()
        assert self.credentials.join(20.0)
        self.store.close()

    def set(self, **options: Any) -> None:
        self.settings = replace(self.settings, **options)

    def pass_time(self, seconds: float) -> None:
        """What is due in between is done when it is due."""
        while True:
            wait_s = min(self.run(), seconds)
            self.now += timedelta(seconds=wait_s)
            self.monotonic_s += wait_s
            seconds -= wait_s
            if seconds <= 0:
                self.run()
                return

    def run(self) -> float:
        """Everything that is due now; seconds until the next is."""
        for _ in range(STEPS_MAX):
            wait_s = self.credentials.step()
            if wait_s > 0:
                return wait_s
        raise AssertionError("there is always something due")

    def events(self) -> list[tuple[str, str, str]]:
        """Those since the last call: type, platform, kind."""
        found = []
        while (event := self._subscription.get(0)) is not None:
            assert set(event.data) == {"platform", "kind"}
            found.append((event.type, event.data["platform"], event.data["kind"]))
        return found

    def view(self, platform: str) -> PlatformView:
        return self.credentials.get(platform)

    def kept(self, platform: str, kind: str = "api") -> Credential:
        found = self.store.credentials.find(platform, kind)
        assert found is not None
        return found

    def put(self, platform: str, values: Mapping[str, Any]) -> PlatformView:
        """Credentials that a person enters, which is told of; nothing before it is left."""
        view = self.credentials.put(platform, values)
        kinds = [kind for kind, names in (("api", ("access_token",)),
                                          ("playback", ("auth_token", "session_token")))
                 if any(values.get(name) is not None for name in names)]
        told = self.events()
        assert told[-len(kinds):] == [("platform_auth_updated", platform, kind) for kind in kinds]
        return view

    def enter(self, platform: str, lasts_s: float | None = 4 * 3600, **more: Any) -> None:
        """An API login that can be refreshed."""
        self.put(platform, {
            "access_token": secret("access0"), "refresh_token": secret("refresh0"),
            "expires_at": None if lasts_s is None else self.now + timedelta(seconds=lasts_s),
            **more})


@contextmanager
def home(directory: Path, **options: Any) -> Iterator[Home]:
    """Every request in it went to a platform by https, and no secret that is still good into an
    address. What was deleted is taken back by the platforms."""
    one = Home(directory, **options)
    try:
        yield one
    finally:
        one.close()
        for asked in one.web.asked:
            assert asked.url.startswith("https://")
            assert urlsplit(asked.url).hostname in HOSTS
            # Kick wants a token that is to end in the address.
            assert MARK not in asked.url or asked.url.startswith(f"{KICK_REVOKE}?")


@contextmanager
def searched(directory: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Home]:
    """Nothing that is shown or logged, at any level, holds a secret."""
    caplog.set_level(logging.DEBUG)
    with home(directory) as one:
        yield one
        for shown in (one.credentials.find_all(), one.store.credentials.find_all(),
                      one.store.login_flows.find_all()):
            assert MARK not in repr(shown)
    assert MARK not in caplog.text


def granted(number: int, expires_in: Any = 14400, **more: Any) -> tuple[int, dict[str, Any]]:
    """Tokens as a platform gives them: access1 and refresh1, and so on."""
    return 200, {"access_token": secret(f"access{number}"), "expires_in": expires_in,
                 "refresh_token": secret(f"refresh{number}"), "token_type": "bearer",
                 "scope": [], **more}


def not_taken(message: str = "Invalid refresh token") -> tuple[int, dict[str, Any]]:
    return 400, {"status": 400, "message": message}


def status(world: Home, platform: str, kind: str | None = None) -> LoginStatus:
    view = world.view(platform)
    return view.credentials[kind].status if kind else view.status
