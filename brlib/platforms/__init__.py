"""The platforms that can be watched, each a module of its own behind one contract."""

from collections.abc import Callable, MutableMapping, Sequence

from .base import (
    Address, App, Checked, Logins, Offline, Opened, Platform, Profile,
)
from .kick import Kick
from .sessions import Sessions
from .twitch import Twitch
from .url import UrlPlatform
from .youtube import YouTube

# What channels can be added for.
NAMES = (Twitch.name, YouTube.name, Kick.name, UrlPlatform.name)

__all__ = [
    "NAMES", "Address", "App", "Checked", "Logins", "Offline", "Opened", "Platform", "Profile",
    "Sessions", "UrlPlatform", "all_platforms",
]


class Nobody:
    """No login anywhere."""

    def app(self, platform: str) -> App | None:
        return None

    def api_token(self, platform: str) -> str | None:
        return None

    def playback(self, platform: str) -> str | None:
        return None

    def refused(self, platform: str, kind: str, reason: str) -> None:
        """There was none to refuse."""


def all_platforms(
    logins: Logins | None = None, runtimes: Callable[[], Sequence[str]] = tuple,
    kick_ids: MutableMapping[str, int] | None = None,
) -> dict[str, Platform]:
    """Every platform by name, on one set of streamlink plugins. `runtimes` are those that
    yt-dlp may run YouTube's JavaScript with, as `name:path`; `kick_ids` keeps what Kick's
    channels are called inside."""
    sessions, logins = Sessions(), logins or Nobody()
    found: tuple[Platform, ...] = (
        Twitch(sessions, logins), YouTube(sessions, logins, runtimes),
        Kick(sessions, logins, kick_ids), UrlPlatform(sessions))
    return {platform.name: platform for platform in found}
