"""What the engine asks of a platform. Each platform is a module beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ..errors import PlatformError
from ..models import Broadcast, Channel


@dataclass(frozen=True)
class Address:
    """A channel's name as we keep it, what people are shown, and where it is."""

    name: str
    display_name: str
    url: str


@dataclass(frozen=True)
class Opened:
    """A stream that is ready to be read: one of streamlink's that `streams` calls recordable,
    and which it is."""

    stream: Any
    quality: str


@dataclass(frozen=True)
class Profile:
    """What a platform shows of a channel. Addresses are http or https; None: it has none."""

    display_name: str | None = None
    profile_image_url: str | None = None
    banner_image_url: str | None = None


@dataclass(frozen=True)
class Offline:
    """A healthy answer: not live. `upcoming_at` and `title` where the platform announces one."""

    upcoming_at: datetime | None = None
    title: str | None = None


# What a check says of one channel.
Checked = Broadcast | Offline | PlatformError


@dataclass(frozen=True)
class App:
    """An application registered with a platform, from the settings."""

    client_id: str = ""
    client_secret: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)


class Logins(Protocol):
    """Credentials as platforms see them; never kept longer than a request."""

    def app(self, platform: str) -> App | None: ...

    def api_token(self, platform: str) -> str | None:
        """A user's access token, valid now, issued for the app's client id."""

    def playback(self, platform: str) -> str | None:
        """Twitch's auth-token, Kick's session_token, or the text of YouTube's cookies file."""

    def refused(self, platform: str, kind: str, reason: str) -> None:
        """The platform did not take a credential; `kind` is `api` or `playback`."""


class Platform(Protocol):
    name: str

    @property
    def batch_size(self) -> int:
        """Channels that one `check_many` may ask for."""

    def address(self, name: str) -> Address:
        """The canonical address of what a person typed. Raises Invalid."""

    def check(self, channel: Channel) -> Broadcast | None:
        """Whether the channel is live; None is a healthy 'offline'. Raises PlatformError."""

    def check_many(
        self, channels: Sequence[Channel], fresh: bool = False
    ) -> Mapping[str, Checked]:
        """By channel id, an answer for each. `fresh`: a person asks, to whom what was said
        before is no answer. Raises PlatformError when it was the request that failed and not
        a channel."""

    def open(self, channel: Channel) -> Opened | None:
        """The stream to record, resolved anew; None is a healthy 'offline'.

        Raises PlatformError.
        """

    def profile(self, channel: Channel) -> Profile:
        """What it shows of the channel; safe while the channel is checked or recorded.

        Raises PlatformError, also where it cannot be told whether there is an image.
        """

    def forget(self, channel_id: str) -> None:
        """The channel is no longer watched: drop what was kept for it."""

    def close(self) -> None:
        """Give back every connection; the platform is not used any more."""
