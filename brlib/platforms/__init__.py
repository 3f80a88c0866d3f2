"""The platforms that can be watched, each a module of its own behind one contract."""

from collections.abc import MutableMapping

from .base import (
    Address, App, Checked, Logins, Offline, Opened, Platform, Profile,
)
from .kick import Kick
from .sessions import Sessions
from .twitch import Twitch
from .url import UrlPlatform
from .youtube import YouTube
from .ytdlp import YtDlp

# What channels can be added for.
NAMES = (Twitch.name, YouTube.name, Kick.name, UrlPlatform.name)

__all__ = [
    "NAMES", "Address", "App", "Checked", "Logins", "Offline", "Opened", "Platform", "Profile",
    "Sessions", "UrlPlatform", "YtDlp", "all_platforms",
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
    logins: Logins | None = None, ytdlp: YtDlp | None = None,
    kick_ids: MutableMapping[str, int] | None = None,
) -> dict[str, Platform]:
    """Every platform by name, on one set of streamlink plugins and one yt-dlp, so that no more
    than a few of its processes run at a time. `kick_ids` keeps what Kick's channels are called
    inside."""
    sessions, logins, ytdlp = Sessions(), logins or Nobody(), ytdlp or YtDlp()
    youtube = YouTube(sessions, logins, ytdlp)
    found: tuple[Platform, ...] = (
        Twitch(sessions, logins), youtube, Kick(sessions, logins, kick_ids),
        UrlPlatform(sessions, ytdlp, videos=youtube))
    return {platform.name: platform for platform in found}
