"""What a page of YouTube says: live, upcoming, offline, not for us; and a channel's profile.

Pure; used by the platform `youtube`, which fetches the pages. They are made for browsers and
change: what is not understood is an error and never "offline".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from ..errors import PlatformError, Trouble
from ..models import Broadcast
from .answers import address_at, dig, moment_at, text_at, whole_at
from .base import Offline, Profile

_PLAYER = re.compile(r"ytInitialPlayerResponse(?:[\"']\])?\s{0,9}=\s{0,9}(?=\{)")
_DATA = re.compile(r"ytInitialData(?:[\"']\])?\s{0,9}=\s{0,9}(?=\{)"
                   r"|<script id=\"yt-initial-data\"[^>]{0,200}>\s{0,9}(?=\{)")
_CANONICAL = re.compile(r"<link\s+rel=\"canonical\"\s+href=\"([^\"]{1,500})\"")
_NODES_MAX = 200_000
# Where a visitor agrees to cookies, and where that form goes.
CONSENT_HOST = "consent.youtube.com"
_CONSENT_ACTIONS = (f"https://{CONSENT_HOST}/save", f"https://{CONSENT_HOST}/s")

# Statuses of a video that can be played without an account.
_PLAYABLE = ("OK", "CONTENT_CHECK_REQUIRED")
_AGE = ("AGE_CHECK_REQUIRED", "AGE_VERIFICATION_REQUIRED")
_HINTS: tuple[tuple[tuple[str, ...], Trouble, str], ...] = (
    (("not a bot", "unusual traffic", "captcha"), Trouble.BLOCKED,
     "YouTube wants proof that this is not a bot: that passes by itself after some hours, or "
     "store the cookies of an account"),
    (("isn't available, try again later", "too many requests", "rate-limited", "http error 429"),
     Trouble.RATE_LIMITED,
     "YouTube allows no more requests for now; checks go on later"),
    (("members", "join this channel"), Trouble.RESTRICTED,
     "For members of the channel only: store the cookies of an account that is one"),
    (("age", "inappropriate"), Trouble.RESTRICTED,
     "YouTube asks for the viewer's age: store the cookies of an account that is old enough"),
    (("private",), Trouble.RESTRICTED,
     "A private stream: store the cookies of an account that may watch it"),
    (("country", "region"), Trouble.RESTRICTED,
     "YouTube does not show this stream in the country of this address"),
    (("sign in", "log in", "login"), Trouble.RESTRICTED,
     "YouTube shows this only to who is logged in: store the cookies of an account"),
)


def look(html: str, cookies: bool) -> Broadcast | Offline:
    """What a channel's `/live` page says. `cookies`: there is an account that may see more,
    so that what is restricted counts as live. Raises PlatformError for all else."""
    player = _object(html, _PLAYER)
    if player is None or not dig(player, "playabilityStatus"):
        return _without_player(html)
    broadcast, details = _broadcast(player, html), dig(player, "videoDetails")
    status = text_at(player, "playabilityStatus", "status") or ""
    if status == "LIVE_STREAM_OFFLINE" or dig(details, "isUpcoming") is True:
        return Offline(_starts_at(player), broadcast.title)
    live = (dig(details, "isLive") is True
            or dig(_microformat(player), "liveBroadcastDetails", "isLiveNow") is True)
    if live and broadcast.id is None:
        # Nothing could be opened, and every look would be another broadcast.
        raise PlatformError("YouTube answers with a page that we do not know")
    if status in _PLAYABLE:
        return broadcast if live else Offline()
    error = trouble_of(_said(player), status)
    over = (dig(details, "isLive") is False
            or dig(_microformat(player), "liveBroadcastDetails", "isLiveNow") is False)
    if error.trouble not in (Trouble.BLOCKED, Trouble.RATE_LIMITED) and over and not live:
        return Offline()
    if live and cookies and error.trouble is Trouble.RESTRICTED:
        return broadcast
    raise error


def trouble_of(words: str, status: str = "") -> PlatformError:
    """The error for what YouTube says of a video that it does not play."""
    lower = words.lower().replace("\u2019", "'")
    if status in _AGE:
        lower += " age"
    for hints, trouble, sentence in _HINTS:
        if any(re.search(rf"\b{re.escape(hint)}\b", lower) for hint in hints):
            return PlatformError(sentence, trouble)
    said = " ".join(words.split())[:200] or status or "nothing that we know"
    return PlatformError(f"YouTube does not play the stream and says: {said}")


def profile(html: str) -> Profile:
    """What a channel's page shows of it. Raises PlatformError."""
    data = _object(html, _DATA)
    about = dig(data, "metadata", "channelMetadataRenderer")
    if about is None:
        raise _unknown(data)
    header = dig(data, "header")
    banner = (
        address_at(header, "pageHeaderRenderer", "content", "pageHeaderViewModel", "banner",
                   "imageBannerViewModel", "image", "sources", -1, "url")
        or address_at(header, "c4TabbedHeaderRenderer", "banner", "thumbnails", -1, "url"))
    return Profile(text_at(about, "title"),
                   _sized(address_at(about, "avatar", "thumbnails", -1, "url"), "s800"),
                   _sized(banner, "w2120"))


def consent_form(html: str) -> tuple[str, dict[str, str]] | None:
    """(action, fields) of the form that agrees to cookies, or None."""
    forms = _Forms()
    forms.feed(html)
    for action, fields in forms.found:
        # Two forms go to /save: one agrees, the other refuses.
        if action in _CONSENT_ACTIONS and (
                action.endswith("/s") or fields.get("set_ytc") == "true"):
            return action, fields
    return None


def _without_player(html: str) -> Offline:
    """A page without a video is the channel's own, where nothing is live."""
    data = _object(html, _DATA)
    canonical = _CANONICAL.search(html)
    watch = canonical is not None and urlsplit(canonical[1]).path == "/watch"
    channel = (dig(data, "metadata", "channelMetadataRenderer")
               or dig(data, "contents", "twoColumnBrowseResultsRenderer"))
    if watch or not channel:
        raise _unknown(data)
    return Offline()


def _unknown(data: Any) -> PlatformError:
    alerts = dig(data, "alerts")
    for alert in alerts if isinstance(alerts, list) else ():
        if text_at(alert, "alertRenderer", "type") == "ERROR":
            said = _words(dig(alert, "alertRenderer", "text"))
            return PlatformError(
                f"YouTube does not show the channel and says: {said[:200]}", Trouble.NOT_FOUND)
    return PlatformError("YouTube answers with a page that we do not know")


def _broadcast(player: Any, html: str) -> Broadcast:
    details, micro = dig(player, "videoDetails"), _microformat(player)
    video_id = text_at(details, "videoId")
    thumbnail = (address_at(details, "thumbnail", "thumbnails", -1, "url")
                 or (f"https://i.ytimg.com/vi/{video_id}/hqdefault_live.jpg" if video_id else None))
    return Broadcast(
        id=video_id,
        title=text_at(details, "title"),
        category=text_at(micro, "category"),
        # videoDetails.viewCount are the views since the beginning.
        viewers=_viewers(_object(html, _DATA)),
        started_at=moment_at(micro, "liveBroadcastDetails", "startTimestamp"),
        display_name=text_at(details, "author"),
        thumbnail_url=thumbnail)


def _microformat(player: Any) -> Any:
    micro = dig(player, "microformat")
    return dig(micro, "playerMicroformatRenderer") or dig(micro, "microformatDataRenderer")


def _starts_at(player: Any) -> datetime | None:
    stamp = moment_at(_microformat(player), "liveBroadcastDetails", "startTimestamp")
    return stamp or _unix_time(whole_at(
        player, "playabilityStatus", "liveStreamability", "liveStreamabilityRenderer",
        "offlineSlate", "liveStreamOfflineSlateRenderer", "scheduledStartTime"))


def _unix_time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(min(seconds, 2**33), timezone.utc)


def _said(player: Any) -> str:
    """Every sentence in which a player says why it does not play."""
    status = dig(player, "playabilityStatus")
    screen = dig(status, "errorScreen")
    parts = [text_at(status, "reason") or "", _words(dig(status, "messages")), _words(screen)]
    return " ".join(part for part in parts if part)


def _words(value: Any) -> str:
    """The texts in one of YouTube's boxes, in their order: `simpleText`, `runs`, `content`."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return " ".join(text for key, text in _walk(value)
                    if key in ("simpleText", "text", "content") and isinstance(text, str))


def _viewers(data: Any) -> int | None:
    for key, value in _walk(dig(data, "contents")):
        if key == "videoViewCountRenderer" and dig(value, "isLive") is True:
            number = re.search(r"\d[\d,. ]*", _words(dig(value, "viewCount")))
            return int(re.sub(r"\D", "", number[0])) if number else None
    return None


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, outer ones first, in the order of the document."""
    waiting, seen = [value], 0
    while waiting and seen < _NODES_MAX:
        one, seen = waiting.pop(), seen + 1
        if isinstance(one, dict):
            yield from one.items()
            waiting += reversed(one.values())
        elif isinstance(one, list):
            waiting += reversed(one)


def _object(html: str, before: re.Pattern[str]) -> dict[str, Any] | None:
    """The first JSON object behind a pattern that can be read."""
    decoder = json.JSONDecoder()
    for match in before.finditer(html):
        try:
            value, _ = decoder.raw_decode(html, match.end())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _sized(url: str | None, size: str) -> str | None:
    """The address of an image in another size; its name ends where the options begin."""
    return f"{url.partition('=')[0]}={size}" if url and "=" in url else url


class _Forms(HTMLParser):
    """The forms of a page: where each goes, and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append((given.get("action") or "", {}))
        elif tag == "input" and given.get("type") == "hidden" and self.found:
            name = given.get("name")
            if name:
                self.found[-1][1][name] = given.get("value") or ""
