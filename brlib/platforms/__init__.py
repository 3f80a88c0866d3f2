"""The platforms that can be watched. Twitch, YouTube and Kick get their rooms beside `url`."""

from .base import Address, Opened, Platform
from .sessions import Sessions
from .url import UrlPlatform

# What channels can be added for.
NAMES = (UrlPlatform.name,)

__all__ = ["NAMES", "Address", "Opened", "Platform", "Sessions", "UrlPlatform", "all_platforms"]


def all_platforms() -> dict[str, Platform]:
    """Every platform by name, on one set of streamlink plugins."""
    sessions = Sessions()
    return {platform.name: platform for platform in (UrlPlatform(sessions),)}
