"""Platform `twitch`: who is live by Helix or GQL, 100 channels a request; the streams themselves
by streamlink's plugin.

Owns the connections to Twitch's APIs, and a streamlink session for each channel that was
recorded. A rerun counts as offline: what it shows was live before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ..errors import PlatformError
from ..models import Broadcast, Channel, utc_now
from . import twitch_api as api
from .base import Address, Checked, Logins, Offline, Opened, Profile
from .kept import Kept
from .sessions import Sessions
from .twitch_helix import PLATFORM, Helix
from .twitch_playback import Playback, TokenRefused
from .twitch_web import Web

log = logging.getLogger(__name__)


class Twitch:
    name = PLATFORM
    batch_size = api.BATCH_SIZE

    def __init__(
        self, sessions: Sessions, logins: Logins,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._logins = logins
        self._web = Web(sessions, now)
        self._helix = Helix(self._web, logins, clock)
        self._kept = Kept(lambda channel: Playback(sessions, channel.url, now))

    def address(self, name: str) -> Address:
        """The login, lower-case, of a name or a channel's address. Raises Invalid."""
        return api.address(name)

    def check(self, channel: Channel) -> Broadcast | None:
        """`check_many` for one; None is a healthy 'offline'. Raises PlatformError."""
        checked = self.check_many([channel])[channel.id]
        if isinstance(checked, PlatformError):
            raise checked
        return None if isinstance(checked, Offline) else checked

    def check_many(
        self, channels: Sequence[Channel], fresh: bool = False
    ) -> Mapping[str, Checked]:
        """By channel id. More than `batch_size` take more requests; the first that fails is
        the answer for all that were not asked for yet. Raises PlatformError when none is."""
        logins = list(dict.fromkeys(channel.name for channel in channels))
        answers: dict[str, Checked] = {}
        for start in range(0, len(logins), self.batch_size):
            try:
                answers |= self._check_batch(
                    logins[start:start + self.batch_size], fresh)
            except PlatformError as error:
                if not answers:
                    raise
                answers |= dict.fromkeys(logins[start:], error)
                break
        return {channel.id: answers[channel.name] for channel in channels}

    def _check_batch(self, logins: Sequence[str], fresh: bool) -> dict[str, Checked]:
        checked = self._helix.check(logins, fresh)
        if checked is None:
            users = self._web.users(api.LIVE_QUERY, logins)
            checked = {login: api.gql_checked(login, user) for login, user in zip(logins, users)}
        return checked

    def open(self, channel: Channel) -> Opened | None:
        """By streamlink's plugin, with the stored auth-token where there is one: then without
        advertisements, and with what its account is subscribed to. Raises PlatformError."""
        playback = self._kept.get(channel)
        try:
            return playback.open(channel.quality, self._logins.playback(self.name))
        except TokenRefused as refused:
            # With a token that it does not take Twitch refuses public streams, too.
            # In our words: a platform's may repeat what it was sent.
            log.warning("Twitch does not take the stored auth-token; %s is opened without it",
                        channel.display_name)
            self._logins.refused(self.name, "playback", str(refused))
        return playback.open(channel.quality, None)

    def profile(self, channel: Channel) -> Profile:
        """By GQL, which alone knows banners. Raises PlatformError."""
        users = self._web.users(api.PROFILE_QUERY, [channel.name])
        return api.gql_profile(channel.name, users[0])

    def forget(self, channel_id: str) -> None:
        self._kept.drop(channel_id)

    def close(self) -> None:
        self._kept.close()
        self._web.close()
