"""Keeps API logins good: renewed before they end, asked about where the platform wants that.

Commanded by `credentials`, whose worker calls `step`. A new refresh token is on disk before
anything uses it. Only a platform's own no ends a login: whatever else fails is tried again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from ..errors import PlatformError, Unavailable
from ..store.credentials import API, Credential, Status
from .base import PLATFORMS, Grant, Rejected
from .vault import LOOK_S, Vault

EARLY = timedelta(minutes=10)
# Tokens that last shorter than EARLY, and platforms that say no to a good token.
PAUSE_S = 60.0
BACKOFF_S, BACKOFF_MAX_S = 30.0, 900.0
# One refresh of someone else's, two requests at the worst.
TURN_MAX_S = 60.0


@dataclass
class _Plan:
    """When, on the monotonic clock, something may be tried again."""

    refresh_s: float = 0.0
    validate_s: float = math.inf
    validated_s: float = -math.inf
    failures: int = 0
    forced: bool = False


class Keeper:
    """`on_orphan` is given what a refresh brought for a login that was deleted meanwhile."""

    def __init__(
        self, vault: Vault, on_orphan: Callable[[Credential], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._vault = vault
        self._on_orphan = on_orphan
        self._monotonic = monotonic
        self._turns = {platform: threading.Lock() for platform in PLATFORMS}
        self._plans = {platform: _Plan() for platform in PLATFORMS}
        # What could not be written; some platforms take a refresh token once only.
        self._unsaved: dict[str, tuple[str, str, Grant, str]] = {}
        for platform, plan in self._plans.items():
            if vault.provider(platform).validates_every_s is not None:
                plan.validate_s = -math.inf  # at the start

    def stored(self, platform: str) -> None:
        """Another login is kept now: what was planned for the one before is void."""
        every_s = self._vault.provider(platform).validates_every_s
        now_s = self._monotonic()
        self._plans[platform] = _Plan(
            validate_s=now_s + (math.inf if every_s is None else every_s))

    def doubt(self, platform: str) -> None:
        """Someone says that the token was not taken: look soon, once a minute at most."""
        plan = self._plans[platform]
        plan.validate_s = min(plan.validate_s, max(self._monotonic(),
                                                   plan.validated_s + PAUSE_S))

    def step(self, platform: str) -> float:
        """Do one thing that is due; seconds until the next is, 0 when there may be one now."""
        credential = self._vault.store.find(platform, API)
        if credential is None or credential.status is Status.EXPIRED:
            return LOOK_S
        plan, now_s = self._plans[platform], self._monotonic()
        refresh_s = max(self._refresh_in_s(credential, plan), plan.refresh_s - now_s)
        validate_s = plan.validate_s - now_s
        if refresh_s <= 0:
            self._renew(credential, plan)
        elif validate_s <= 0:
            self._validate(credential, plan)
        return max(0.0, min(LOOK_S, refresh_s, validate_s))

    def _refresh_in_s(self, credential: Credential, plan: _Plan) -> float:
        if credential.refresh_token is None:
            return math.inf
        if plan.forced:
            return 0.0
        if credential.expires_at is None:
            return math.inf
        return (credential.expires_at - self._vault.clock() - EARLY).total_seconds()

    def _renew(self, credential: Credential, plan: _Plan) -> None:
        try:
            self.refresh(credential)
        except (Rejected, Unavailable):
            # Expired, which is said where it is noted; or someone else is at it.
            plan.refresh_s = self._monotonic() + PAUSE_S
        except PlatformError as error:
            plan.failures += 1
            plan.refresh_s = self._monotonic() + self._backoff_s(plan, error)
            self._vault.trouble(credential, str(error))

    def refresh(self, credential: Credential) -> Credential | None:
        """A login with a new token: what is kept then, also where someone else was faster.

        Raises Rejected, and it has expired; PlatformError, and it is as it was; Unavailable.
        """
        platform = credential.platform
        with self._turn(platform):
            kept = self._vault.store.find(platform, API)
            if kept is None or kept.id != credential.id:
                self._unsaved.pop(platform, None)
                return kept
            unsaved = self._unsaved.get(platform)
            if unsaved is None or unsaved[0] != kept.id:
                unsaved = self._unsaved[platform] = (kept.id, *self._asked(kept))
            newer = self._vault.renewed(kept, *unsaved[1:])
            del self._unsaved[platform]
            if newer is None:
                self._vault.abandon(platform, *unsaved[2:], self._on_orphan)
            plan = self._plans[platform]
            plan.failures, plan.forced = 0, False
            plan.refresh_s = self._monotonic() + PAUSE_S
            return newer or self._vault.store.find(platform, API)

    def _asked(self, credential: Credential) -> tuple[str, Grant, str]:
        """The refresh token that was taken, what it brought, and the app's client id."""
        app, provider = (self._vault.app_of(credential),
                         self._vault.provider(credential.platform))
        tokens = [credential.refresh_token, credential.older_refresh_token]
        refusal = Rejected("The login cannot be renewed: log in again")
        for token in filter(None, tokens):
            try:
                return token, provider.refresh(app, token), app.client_id
            except Rejected as error:
                refusal = error
        self._vault.expire(credential, str(refusal))
        raise refusal

    def _validate(self, credential: Credential, plan: _Plan) -> None:
        provider = self._vault.provider(credential.platform)
        now_s = plan.validated_s = self._monotonic()
        every_s = provider.validates_every_s
        plan.validate_s = math.inf if every_s is None else now_s + every_s
        try:
            identity = provider.identify(credential.secret)
        except Rejected as error:
            if credential.refresh_token is None:
                self._vault.expire(credential, str(error))
            else:
                plan.forced = True
        except PlatformError as error:
            plan.failures += 1
            plan.validate_s = now_s + self._backoff_s(plan, error)
            self._vault.trouble(credential, str(error))
        else:
            plan.failures = 0
            self._vault.confirm(credential, identity)

    @staticmethod
    def _backoff_s(plan: _Plan, error: PlatformError) -> float:
        wait_s = min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(plan.failures - 1, 10))
        return max(wait_s, error.retry_after_s or 0.0)

    @contextmanager
    def _turn(self, platform: str) -> Iterator[None]:
        turn = self._turns[platform]
        if not turn.acquire(timeout=TURN_MAX_S):
            raise Unavailable(f"The login to {platform} is being renewed: try again in a minute")
        try:
            yield
        finally:
            turn.release()
