"""How kept credentials are seen from outside: status and times, never a secret. Pure.

Used by `vault` and `credentials`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..store.credentials import Credential, Status
from .base import KINDS, KindView, LoginStatus, PlatformView

# What someone must act on comes first.
_WORST = (LoginStatus.EXPIRED, LoginStatus.UNVERIFIED, LoginStatus.CONNECTED)


def over(credential: Credential, now: datetime) -> bool:
    """Refused by its platform, or past its time with nothing to renew it by. The latter is
    never stored: a clock that was wrong must not end a login."""
    return credential.status is Status.EXPIRED or (
        credential.refresh_token is None and past(credential, now))


def past(credential: Credential, now: datetime) -> bool:
    return credential.expires_at is not None and credential.expires_at <= now


def platform_view(
    platform: str, credentials: Iterable[tuple[Credential, str | None]], now: datetime
) -> PlatformView:
    """`credentials` come with what a person should know of each."""
    seen = {kind: KindView() for kind in KINDS}
    for credential, problem in credentials:
        seen[credential.kind] = KindView(
            LoginStatus.EXPIRED if over(credential, now) else LoginStatus(credential.status),
            credential.username, credential.expires_at, credential.last_validated, problem)
    there = [view for view in seen.values() if view.status is not LoginStatus.NOT_CONNECTED]
    statuses = {view.status for view in there}
    return PlatformView(
        platform,
        next((status for status in _WORST if status in statuses), LoginStatus.NOT_CONNECTED),
        next((view.username for view in there if view.username), None),
        min((view.expires_at for view in there if view.expires_at), default=None),
        max((view.last_validated for view in there if view.last_validated), default=None),
        seen)
