"""The credentials that are kept: what is found out about each, and the events of it.

Used by `flows`, `keeper`, `trial` and `credentials`. Whatever is noted is noted of the very
credential that was asked about; an event names platform and kind and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ..config import Settings
from ..errors import Conflict, PlatformError
from ..events import EventBus
from ..models import new_id
from ..platforms.base import App
from ..store import Store
from ..store.credentials import API, PLAYBACK, Credential, Status
from .base import Grant, Identity, PlatformNotFound, Provider, find_app
from .views import over

log = logging.getLogger(__name__)

PROBLEM_MAX = 300
LOOK_S = 60.0  # the clock may jump at any time
UPDATED, EXPIRED = "platform_auth_updated", "platform_auth_expired"
KIND_NAMES = {API: "API login", PLAYBACK: "playback login"}


class Vault:
    def __init__(
        self, settings: Callable[[], Settings], store: Store, bus: EventBus,
        clock: Callable[[], datetime], providers: Mapping[str, Provider],
        on_updated: Callable[[str], None],
    ) -> None:
        self.store = store.credentials
        self.clock = clock
        self._settings = settings
        self._bus = bus
        self._providers = providers
        self._on_updated = on_updated

    def provider(self, platform: str) -> Provider:
        """Raises PlatformNotFound."""
        if platform not in self._providers:
            raise PlatformNotFound(platform)
        return self._providers[platform]

    # The app that logins are for.

    def app(self, platform: str) -> App | None:
        return find_app(self._settings(), platform)

    def missing(self, platform: str) -> str | None:
        """What must be configured before anyone can log in; None: nothing."""
        app, provider = self.app(platform), self.provider(platform)
        names = [] if app and app.client_id else [f"{platform}_client_id"]
        if provider.needs_secret and not (app and app.client_secret):
            names.append(f"{platform}_client_secret")
        return f"Set {' and '.join(names)}: {provider.hint}" if names else None

    def need_app(self, platform: str) -> App:
        """Raises Conflict where none is configured."""
        missing, app = self.missing(platform), self.app(platform)
        if missing or app is None:
            raise Conflict(missing or "")
        return app

    def app_of(self, credential: Credential) -> App:
        """The app by which a login can be renewed. Raises PlatformError."""
        app = self.app(credential.platform)
        problem = self.missing(credential.platform) or self.misfit(credential)
        if app is None or problem:
            raise PlatformError(problem or "")
        return app

    def misfit(self, credential: Credential) -> str | None:
        """Why a token is not one of the app that is configured; None where it is."""
        app = self.app(credential.platform)
        if (credential.kind != API or credential.client_id is None or app is None
                or app.client_id in ("", credential.client_id)):
            return None
        return "It was issued for another client id than the configured one: log in again"

    # What is kept.

    def granted(self, platform: str, grant: Grant, client_id: str) -> Credential:
        """A login that a platform has just given, not kept yet."""
        now = self.clock()
        return Credential(
            new_id("crd"), platform, API, grant.access_token, now, Status.CONNECTED,
            refresh_token=grant.refresh_token, client_id=client_id, scopes=grant.scopes,
            expires_at=_after(now, grant.expires_in_s), last_validated=now)

    def renewed(
        self, credential: Credential, used: str, grant: Grant, client_id: str
    ) -> Credential | None:
        """Keep what a refresh with the token `used` brought; None when it was for nothing,
        because another login is kept now, or none."""
        newer = replace(
            self.granted(credential.platform, grant, client_id), username=credential.username,
            scopes=grant.scopes or credential.scopes,
            refresh_token=grant.refresh_token or used,
            older_refresh_token=used if grant.refresh_token not in (None, used) else None)
        if not self.store.replace(credential.id, newer):
            log.info("%s: its login was renewed and is not kept any more", credential.platform)
            return None
        log.info("%s: the API login was renewed", credential.platform)
        self.updated(credential.platform, API)
        return newer

    def abandon(
        self, platform: str, grant: Grant, client_id: str,
        on_orphan: Callable[[Credential], None],
    ) -> None:
        """A login came too late to be kept. Where another is kept it is left alone: some
        platforms end all of a person's logins with one."""
        if self.store.find(platform, API) is None:
            on_orphan(self.granted(platform, grant, client_id))

    def confirm(self, credential: Credential, identity: Identity) -> None:
        """The platform has just taken it."""
        now = self.clock()
        changes = {
            "status": Status.CONNECTED, "last_validated": now, "problem": None, "announced": False,
            "username": identity.username or credential.username,
            "client_id": identity.client_id or credential.client_id,
            "scopes": identity.scopes or credential.scopes,
            "expires_at": _after(now, identity.expires_in_s) or credential.expires_at,
        }
        there = self.store.change(credential.id, **changes)
        if there and credential.status is not Status.CONNECTED:
            log.info("%s: the %s works", credential.platform, KIND_NAMES[credential.kind])
            self.updated(credential.platform, credential.kind)

    def expire(self, credential: Credential, reason: str) -> None:
        """The platform does not take it and will not later."""
        there = self.store.change(
            credential.id, status=Status.EXPIRED, problem=self._bare(credential, reason))
        if there:
            self._announce(credential)

    def trouble(self, credential: Credential, reason: str) -> None:
        """It could not be renewed or tried now; that ends nothing."""
        problem = self._bare(credential, reason)
        if problem != credential.problem and self.store.change(credential.id, problem=problem):
            log.warning("%s: %s", credential.platform, problem)

    def announce(self, platform: str, kind: str) -> float:
        """Say of a credential that is over that it is; once, also across restarts. Seconds
        until the next look."""
        credential = self.store.find(platform, kind)
        if credential is not None:
            is_over = over(credential, self.clock())
            if is_over and not credential.announced:
                self._announce(credential)
            elif credential.announced and not is_over:
                self.store.change(credential.id, announced=False)  # the clock was wrong
        return LOOK_S

    def updated(self, platform: str, kind: str) -> None:
        self._bus.publish(UPDATED, {"platform": platform, "kind": kind})
        self._on_updated(platform)

    def _announce(self, credential: Credential) -> None:
        if self.store.announce(credential.id):
            log.warning("%s: the %s has expired: log in again", credential.platform,
                        KIND_NAMES[credential.kind])
            self._bus.publish(
                EXPIRED, {"platform": credential.platform, "kind": credential.kind})

    @staticmethod
    def _bare(credential: Credential, reason: str) -> str:
        """A reason may be a platform's words, and those may repeat what it was sent."""
        for secret in (credential.secret, credential.refresh_token,
                       credential.older_refresh_token):
            reason = reason.replace(secret, "***") if secret else reason
        return " ".join(reason.encode(errors="replace").decode().split())[:PROBLEM_MAX]


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)
