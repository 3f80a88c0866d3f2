"""What the platforms know us by: entered, logged in, tried, kept good, and given to them.

Commanded by the API; `platforms` ask it for tokens (their `Logins`). Everything that is kept
is in the database, whose file is the daemon's alone; nothing that is answered, logged or
published holds a secret or a part of one.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from requests import Session

from ..config import Settings
from ..cookies import youtube_cookies
from ..events import EventBus
from ..models import new_id, utc_now
from ..platforms.base import App
from ..store import Store
from ..store.credentials import API, PLAYBACK, Credential
from ..workers import Worker
from .base import (
    KINDS, PLATFORMS, Availability, DeviceLogin, KeptCookies, PlatformView, Provider, RedirectLogin,
    Tested,
)
from .exchange import Exchange, new_session
from .flows import Flows
from .keeper import Keeper
from .kick import Kick
from .parts import Part
from .revocations import Revocations
from .trial import Trial
from .twitch import Twitch
from .values import entered
from .vault import KIND_NAMES, Vault
from .views import over, past, platform_view
from .youtube import YouTube

log = logging.getLogger(__name__)

# A request with the credential before it may still be under way: yt-dlp has 90 s with cookies.
REFUSAL_COUNTS_AFTER = timedelta(seconds=120)
# Two questions with the deadlines in them.
STEP_MAX_S = 300.0


class Credentials:
    """`on_updated` hears of a platform whose login is there, or another one. `session` makes
    the `requests` sessions; `clock` is for what platforms call a time,
    `monotonic` for waiting."""

    def __init__(
        self, settings: Callable[[], Settings], store: Store, bus: EventBus,
        clock: Callable[[], datetime] = utc_now,
        session: Callable[[], Session] = new_session,
        monotonic: Callable[[], float] = time.monotonic,
        on_updated: Callable[[str], None] = lambda platform: None,
    ) -> None:
        exchange = Exchange(session)
        twitch, youtube, kick = Twitch(exchange), YouTube(exchange), Kick(exchange)
        providers: dict[str, Provider] = {"twitch": twitch, "youtube": youtube, "kick": kick}
        self._clock = clock
        self._vault = Vault(settings, store, bus, clock, providers, on_updated)
        self._revocations = Revocations(self._vault)
        self._keeper = Keeper(self._vault, self._revocations.add, monotonic)
        self._flows = Flows(
            self._vault, store, {"twitch": twitch, "youtube": youtube}, {"kick": kick},
            self._keeper.stored, self._revocations.add, monotonic)
        self._trial = Trial(self._vault, self._keeper)
        self._monotonic = monotonic
        self._parts, self._turn = self._all_parts(), 0
        self.worker = Worker("credentials", self.step, STEP_MAX_S)

    def start(self) -> None:
        self.worker.start()

    def stop(self) -> None:
        """Ask to stop; returns at once, idempotent."""
        self.worker.stop()

    def join(self, deadline_s: float) -> bool:
        """False when a request is still under way after `deadline_s`."""
        return self.worker.join(deadline_s)

    def step(self) -> float:
        """Each part in its turn, up to the first that did something: one question, as a rule.
        Seconds until there is another."""
        wait_s = math.inf
        for _ in self._parts:
            part = self._parts[self._turn]
            self._turn = (self._turn + 1) % len(self._parts)
            wait_s = min(wait_s, part.turn(self._monotonic()))
            if wait_s <= 0:
                break
        return wait_s

    def _all_parts(self) -> list[Part]:
        parts = [Part("what was deleted", self._revocations.step),
                 Part("logging in", self._flows.step)]
        for platform in PLATFORMS:
            parts += [Part(f"the {KIND_NAMES[kind]} to {platform}",
                           partial(self._vault.announce, platform, kind)) for kind in KINDS]
            parts.append(Part(f"keeping the {KIND_NAMES[API]} to {platform}",
                              partial(self._keeper.step, platform)))
        return parts

    def problems(self) -> list[str]:
        """What of it fails, for health; the others go on."""
        return sorted(filter(None, (part.problem for part in self._parts)))

    # What is kept.

    def find_all(self) -> list[PlatformView]:
        return [self.get(platform) for platform in PLATFORMS]

    def get(self, platform: str) -> PlatformView:
        """Raises PlatformNotFound."""
        self._vault.provider(platform)
        found = [self._vault.store.find(platform, kind) for kind in KINDS]
        kept = [(credential, credential.problem or self._vault.misfit(credential))
                for credential in found if credential is not None]
        return platform_view(platform, kept, self._clock())

    def put(self, platform: str, values: Mapping[str, Any]) -> PlatformView:
        """Keep what a person entered, not tried yet. Raises PlatformNotFound, Invalid."""
        self._vault.provider(platform)
        self._keep(entered(platform, values, self._clock()))
        return self.get(platform)

    def put_cookies(self, content: str | bytes) -> KeptCookies:
        """Keep a cookies file for YouTube, repaired, not tried yet. Raises Invalid."""
        now = self._clock()
        file = youtube_cookies(content, now)
        self._keep([Credential(new_id("crd"), "youtube", PLAYBACK, file.text, now,
                               expires_at=file.expires_at)])
        return KeptCookies(self.get("youtube"), file.login, len(file.cookies), file.left_out,
                           file.expires_at)

    def _keep(self, credentials: list[Credential]) -> None:
        self._vault.store.put(*credentials)
        for credential in credentials:
            log.info("%s: another %s was entered", credential.platform,
                     KIND_NAMES[credential.kind])
            if credential.kind == API:
                self._keeper.stored(credential.platform)
            self._vault.updated(credential.platform, credential.kind)
        self.worker.wake()

    def delete(self, platform: str) -> None:
        """Both kinds, and logins under way; again does no harm. The platform is told later.
        Raises PlatformNotFound."""
        self._vault.provider(platform)
        login = self._find_readable(platform)
        for kind in self._vault.store.delete(platform):
            log.info("%s: the %s was deleted", platform, KIND_NAMES[kind])
            self._vault.updated(platform, kind)
        if login is not None:
            self._revocations.add(login)
            self.worker.wake()

    def _find_readable(self, platform: str) -> Credential | None:
        """The API login; what cannot be read can be deleted all the same."""
        try:
            return self._vault.store.find(platform, API)
        except ValueError:
            log.exception("%s: the login that is deleted cannot be read", platform)
            return None

    def test(self, platform: str) -> Tested:
        """Try what is kept by real requests. Raises PlatformNotFound, Unavailable."""
        return self._trial.run(platform)

    # Logging in.

    def availability(self) -> list[Availability]:
        return [Availability(platform, missing is None, self._vault.provider(platform).flow,
                             missing)
                for platform in PLATFORMS
                for missing in [self._vault.missing(platform)]]

    def begin(self, platform: str) -> DeviceLogin | RedirectLogin:
        """Raises PlatformNotFound, Conflict when no app is configured, PlatformError."""
        begun = self._flows.begin(platform)
        self.worker.wake()
        return begun

    def callback(
        self, platform: str, code: str | None = None, state: str | None = None,
        redirect_url: str | None = None,
    ) -> PlatformView:
        """The end of a login by redirect: `code` and `state`, or the address that holds both.
        Raises PlatformNotFound, Invalid, Conflict, PlatformError."""
        self._flows.callback(platform, code, state, redirect_url)
        return self.get(platform)

    # For the platforms.

    def app(self, platform: str) -> App | None:
        return self._vault.app(platform)

    def api_token(self, platform: str) -> str | None:
        """A token that is good now; None also while it cannot be renewed."""
        credential = self._usable(platform, API)
        if credential is None or past(credential, self._clock()):
            return None
        return None if self._vault.misfit(credential) else credential.secret

    def playback(self, platform: str) -> str | None:
        """Twitch's auth-token, Kick's session_token, or the text of YouTube's cookies file."""
        credential = self._usable(platform, PLAYBACK)
        return None if credential is None else credential.secret

    def _usable(self, platform: str, kind: str) -> Credential | None:
        credential = self._vault.store.find(platform, kind)
        return None if credential is None or over(credential, self._clock()) else credential

    def refused(self, platform: str, kind: str, reason: str) -> None:
        """A platform did not take a credential. An API login is looked at, since a refresh
        may help; a playback one is over until a person tries it or enters another."""
        credential = self._vault.store.find(platform, kind)
        if credential is None:
            return
        if kind == API:
            self._keeper.doubt(platform)
            self.worker.wake()
        elif abs(self._clock() - credential.stored_at) >= REFUSAL_COUNTS_AFTER:
            self._vault.expire(credential, reason)
