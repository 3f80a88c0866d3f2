"""Tries what is kept of a platform by real requests, because a person asked for it.

Used by `credentials`.
"""

from __future__ import annotations

from ..errors import PlatformError
from ..store.credentials import API, PLAYBACK, Credential
from .base import Identity, Rejected, Tested
from .keeper import Keeper
from .vault import KIND_NAMES, Vault
from .views import past

NOTHING = "Nothing is kept for it: log in or enter a credential first"


class Trial:
    def __init__(self, vault: Vault, keeper: Keeper) -> None:
        self._vault = vault
        self._keeper = keeper

    def run(self, platform: str) -> Tested:
        """Both kinds, as far as they are kept; it works when each of them does. Raises
        PlatformNotFound, Unavailable."""
        self._vault.provider(platform)
        kept = [credential for kind in (API, PLAYBACK)
                if (credential := self._vault.store.find(platform, kind)) is not None]
        failed, said, names = not kept, [], []
        for credential in kept:
            try:
                names.append(self._one(credential).username or credential.username)
                said.append(f"The {KIND_NAMES[credential.kind]} works")
            except PlatformError as error:
                failed = True
                said.append(f"The {KIND_NAMES[credential.kind]} does not work: {error}")
        return Tested(platform, not failed, ". ".join(said) or NOTHING,
                      next(filter(None, names), None))

    def _one(self, credential: Credential) -> Identity:
        if credential.kind == PLAYBACK:
            return self._playback(credential)
        kept = credential
        if past(kept, self._vault.clock()) and kept.refresh_token is not None:
            kept = self._renewed(kept)
        try:
            identity = self._identified(kept)
        except Rejected as error:
            if kept.refresh_token is None:
                self._vault.expire(kept, str(error))
                raise
            if kept.id != credential.id:
                raise  # a token made a moment ago; another one would fare no better
            kept = self._renewed(kept)
            identity = self._identified(kept)
        self._vault.confirm(kept, identity)
        return identity

    def _identified(self, credential: Credential) -> Identity:
        return self._vault.provider(credential.platform).identify(credential.secret)

    def _renewed(self, credential: Credential) -> Credential:
        newer = self._keeper.refresh(credential)
        if newer is None:
            raise PlatformError("it was deleted meanwhile")
        return newer

    def _playback(self, credential: Credential) -> Identity:
        provider = self._vault.provider(credential.platform)
        try:
            identity = provider.try_playback(credential.secret, self._vault.clock())
        except Rejected as error:
            self._vault.expire(credential, str(error))
            raise
        self._vault.confirm(credential, identity)
        return identity
