"""What the package shares: what a login is seen as, and what a platform must be able to do.

The dataclasses are what `Credentials` answers. `Provider` is implemented by `twitch`,
`youtube` and `kick`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Protocol

from ..config import Settings
from ..errors import NotFound, PlatformError, Trouble
from ..platforms.base import App
from ..store.credentials import API, DEVICE, PLAYBACK, REDIRECT

PLATFORMS = ("twitch", "youtube", "kick")
KINDS = (API, PLAYBACK)
TOKEN_MAX = 4096
# Visible ASCII alone: it goes into a header.
_TOKEN = re.compile(r"[\x21-\x7e]{1,%d}" % TOKEN_MAX)


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


class PlatformNotFound(NotFound):
    code = "PLATFORM_NOT_FOUND"

    def __init__(self, platform: str) -> None:
        super().__init__(f"{platform} is no platform with logins; there are "
                         + ", ".join(PLATFORMS))


class Rejected(PlatformError):
    """The platform does not take a token or a code, and will not later."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Trouble.LOGIN_EXPIRED)


def find_app(settings: Settings, platform: str) -> App | None:
    """What a platform knows this installation by; None: nothing is configured."""
    values = [getattr(settings, f"{platform}_{name}", None) or None
              for name in ("client_id", "client_secret", "api_key")]
    return App(values[0] or "", values[1], values[2]) if any(values) else None


# What the API shows.

class LoginStatus(StrEnum):
    CONNECTED = "connected"
    UNVERIFIED = "unverified"
    EXPIRED = "expired"
    NOT_CONNECTED = "not_connected"


@dataclass(frozen=True)
class KindView:
    """One of a platform's two credentials. `problem` says what a person can do."""

    status: LoginStatus = LoginStatus.NOT_CONNECTED
    username: str | None = None
    expires_at: datetime | None = None
    last_validated: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True)
class PlatformView:
    """A platform's logins. `status` is the worst of what is kept, `expires_at` the earliest;
    `credentials` has both kinds, `api` and `playback`."""

    platform: str
    status: LoginStatus
    username: str | None
    expires_at: datetime | None
    last_validated: datetime | None
    credentials: Mapping[str, KindView]


@dataclass(frozen=True)
class Tested:
    """What a real request came to; `message` is for a person."""

    platform: str
    success: bool
    message: str
    username: str | None


@dataclass(frozen=True)
class Availability:
    """Whether a person can begin a login here; `reason` says what is missing."""

    platform: str
    available: bool
    flow: str
    reason: str | None


@dataclass(frozen=True)
class DeviceLogin:
    """A person enters `user_code` at `verification_uri`; whole seconds."""

    user_code: str
    verification_uri: str
    expires_in: int
    interval: int
    flow: str = DEVICE


@dataclass(frozen=True)
class RedirectLogin:
    """A person opens `auth_url` and brings back the address that it ends at."""

    auth_url: str = field(repr=False)
    state: str = field(repr=False)
    flow: str = REDIRECT


@dataclass(frozen=True)
class KeptCookies:
    """What became of a cookies file: the login's cookies by name, lines not taken."""

    view: PlatformView
    login: tuple[str, ...]
    kept: int
    left_out: int
    expires_at: datetime | None


# What a platform answers.

class Wait(Enum):
    """A device login that nobody has confirmed yet."""

    PENDING = "pending"
    SLOWER = "slower"


@dataclass(frozen=True)
class DeviceCode:
    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    expires_in_s: int
    interval_s: int


@dataclass(frozen=True)
class Grant:
    """New tokens. Without a refresh token the one before stays good."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in_s: int | None
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """Whom a token belongs to, as far as the platform says."""

    username: str | None = None
    client_id: str | None = None
    expires_in_s: int | None = None
    scopes: tuple[str, ...] = ()


class Provider(Protocol):
    """All requests raise PlatformError, and Rejected where a token or code is no good."""

    label: str
    flow: str
    needs_secret: bool
    hint: str                          # where a person makes an app
    validates_every_s: float | None    # how often the platform wants to be asked

    def refresh(self, app: App, refresh_token: str) -> Grant: ...

    def revoke(self, client_id: str, access_token: str, refresh_token: str | None) -> None:
        """End a login at the platform; one that is over already is fine."""

    def identify(self, access_token: str) -> Identity: ...

    def try_playback(self, secret: str, now: datetime) -> Identity: ...


class DeviceProvider(Provider, Protocol):
    def begin(self, app: App) -> DeviceCode: ...

    def poll(self, app: App, device_code: str) -> Grant | Wait: ...


class RedirectProvider(Provider, Protocol):
    def auth_url(self, app: App, state: str, challenge: str) -> str: ...

    def redeem(self, app: App, code: str, verifier: str) -> Grant: ...
