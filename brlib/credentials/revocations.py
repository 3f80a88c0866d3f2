"""Takes tokens back at their platforms once their login was deleted here, also those that came
too late to be kept.

Commanded by `credentials`, whose worker calls `step`: nobody waits for it. Tried once: who
deletes a login is rid of it here, whatever the platform says. What waits is in memory alone,
since a deleted secret is on no disk.
"""

from __future__ import annotations

import logging
import math
from collections import deque

from ..errors import PlatformError
from ..store.credentials import API, Credential, Status
from .vault import Vault

log = logging.getLogger(__name__)

# Each platform has one login.
WAITING_MAX = 20


class Revocations:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._waiting: deque[Credential] = deque(maxlen=WAITING_MAX)

    def add(self, credential: Credential) -> None:
        """Of websites' own tokens and cookies there is nothing to take back: that would end the
        person's login in a browser."""
        if credential.kind == API and credential.status is not Status.EXPIRED:
            self._waiting.append(credential)

    def step(self) -> float:
        """Take one back; seconds until the next, infinite when there is none."""
        try:
            credential = self._waiting.popleft()
        except IndexError:
            return math.inf
        platform, app = credential.platform, self._vault.app(credential.platform)
        client_id = credential.client_id or (app.client_id if app is not None else "")
        try:
            self._vault.provider(platform).revoke(
                client_id, credential.secret, credential.refresh_token)
        except PlatformError as error:
            log.warning("%s: the login that was deleted here may still be good there: remove the "
                        "app in the account's settings (%s)", platform, error)
        else:
            log.info("%s: the deleted login was taken back there, too", platform)
        return 0.0
