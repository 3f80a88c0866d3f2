"""Addresses on YouTube: the channels and single videos that people type, and where they are.

Pure. Channels are the platform `youtube`'s; a single video is added as platform `url`.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from ..errors import Invalid, Problem
from .base import Address

SITE_URL = "https://www.youtube.com"
SHORT_HOST = "youtu.be"
HOSTS = ("youtube.com", "www.youtube.com", "m.youtube.com", "gaming.youtube.com")
VIDEO_HOSTS = (*HOSTS, "music.youtube.com")
_CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
# Handles have 3 to 30 characters, in many scripts; those of some have fewer.
_HANDLE = re.compile(r"@(?![.·_-])[\w.·-]{1,30}(?<![.·-])")
_OLD_NAME = re.compile(r"(c|user)/[\w.-]{1,100}")
# The first part of addresses on youtube.com that are no channels.
PAGES = frozenset((
    "account", "clip", "embed", "feed", "gaming", "hashtag", "live", "playlist", "post",
    "premium", "redirect", "results", "shorts", "v", "watch"))
_BEFORE_VIDEO_ID = ("live", "shorts", "embed", "v")


def channel_address(name: str) -> Address:
    """`@handle`, a bare handle, `UC…`, `c/Name`, `user/Name`, or any address of the channel
    on youtube.com. Raises Invalid, also for one video: that is no channel."""
    name = _name_of(name.strip())
    if _CHANNEL_ID.fullmatch(name):
        return Address(name, name, f"{SITE_URL}/channel/{name}")
    if _HANDLE.fullmatch(name) or _OLD_NAME.fullmatch(name):
        return Address(name, name.rpartition("/")[2], f"{SITE_URL}/{quote(name, safe='@/')}")
    raise Invalid([Problem(
        "name", "is no YouTube channel: give @handle, the channel's id (UC…) or its address")])


def video_address(url: str) -> Address | None:
    """One video, by whichever of its addresses; None for any other address."""
    video_id = _video_of(url)
    if video_id is None:
        return None
    return Address(video_url(video_id), f"{SHORT_HOST}_{video_id}", video_url(video_id))


def is_video(url: str) -> bool:
    """Whether an address is one that `video_url` made."""
    return url.startswith(video_url(""))


def video_url(video_id: str | None) -> str:
    return f"{SITE_URL}/watch?v={video_id}"


def live_page(url: str) -> str:
    """Where a channel or a video shows what is live."""
    return url if is_video(url) else f"{url}/live"


def _video_of(url: str) -> str | None:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https"):
        return None
    first, _, rest = parts.path.lstrip("/").partition("/")
    if parts.hostname == SHORT_HOST:
        found = first
    elif parts.hostname not in VIDEO_HOSTS:
        return None
    elif first == "watch":
        found = parse_qs(parts.query).get("v", [""])[-1]
    else:
        found = rest.partition("/")[0] if first in _BEFORE_VIDEO_ID else ""
    return found if _VIDEO_ID.fullmatch(found) and found != "live_stream" else None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        parts.hostname  # raises ValueError for brackets that hold no IPv6 address
    except ValueError:
        return None
    return parts


def _name_of(name: str) -> str:
    """The name in an address, or what was typed as a name; "" for an address elsewhere."""
    if "/" not in name:
        plain = name.startswith("@") or _CHANNEL_ID.fullmatch(name)
        return name if plain else f"@{name}"
    if _OLD_NAME.fullmatch(name):
        return name
    parts = _split(name)
    if parts is None:
        return ""
    if parts.hostname == SHORT_HOST or parts.hostname in HOSTS and parts.path.startswith(
            ("/watch", "/live/", "/shorts/", "/embed/")):
        raise Invalid([Problem(
            "name", "is the address of one video, which is over some day: give the channel's "
            "address (…/@handle), or add the video as platform \"url\"")])
    if parts.scheme not in ("http", "https") or parts.hostname not in HOSTS:
        return ""
    steps = [step for step in unquote(parts.path).split("/") if step]
    if steps[:1] == ["channel"]:
        return steps[1] if len(steps) > 1 else ""
    if steps and steps[0] in ("c", "user"):
        return "/".join(steps[:2])
    if not steps or steps[0].lower() in PAGES:
        return ""
    # youtube.com/Name is an old name, too.
    return steps[0] if steps[0].startswith("@") else f"c/{steps[0]}"
