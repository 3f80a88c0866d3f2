"""What yt-dlp's findings on a page mean: a stream to look at, nothing live, or trouble.

Pure; used by `url_page`. Only a sentence that says so means offline: whatever is not understood
is an error.
"""

from __future__ import annotations

import re

from ..errors import PlatformError, Trouble
from .bare import no_stream
from .base import Offline
from .ytdlp import Found

# Statuses of yt-dlp's; with None it cannot tell, and the playlist has to.
_OVER = ("was_live", "post_live", "not_live")
_OFFLINE = re.compile(
    r"\b(?:is|are|went) (?:currently )?(?:offline|not (?:currently )?"
    r"(?:live|online|streaming|broadcasting|on air))\b"
    r"|\bnot currently (?:live|streaming|broadcasting)\b"
    r"|\b(?:live ?stream|stream|broadcast|live|event|show) (?:has|is) (?:already )?"
    r"(?:ended|finished|over)\b"
    r"|\bauto-playing vods\b")
_UNKNOWN = "unsupported url"
_HINTS: tuple[tuple[str, Trouble, str], ...] = (
    (r"http error 429|too many requests|rate.?limit", Trouble.RATE_LIMITED,
     "allows no more requests for now; checks go on later"),
    (r"http error (?:401|403|451)|captcha|cloudflare|anti-bot|not a bot", Trouble.BLOCKED,
     "refuses yt-dlp's requests: that may pass by itself, and rarely happens from a home "
     "connection"),
    (r"\bdrm\b", Trouble.RESTRICTED, "protects the stream (DRM): it cannot be recorded"),
    (r"geo.?restrict|your (?:country|location|region)", Trouble.RESTRICTED,
     "does not show the stream in the country of this address"),
    (r"registered users|log ?in\b|sign in|logged in|subscribers?\b|members?\b|premium|password",
     Trouble.RESTRICTED, "shows the stream only to who is logged in: yt-dlp is given no login"),
)
_SAID_MAX = 200


class Unknown(PlatformError):
    """A page of which neither streamlink nor yt-dlp can make anything."""


def judge(found: Found, host: str) -> Offline | None:
    """None where there are formats whose playlist has to be looked at. `host` is the page's.

    Raises PlatformError, Unknown.
    """
    if found.live_status == "is_upcoming":
        return Offline(found.upcoming_at, found.title)
    if found.live_status in _OVER:
        return Offline()
    if found.formats:
        return None
    if found.live_status is None and found.other_formats:
        # A file: what yt-dlp knows to be live it says of.
        return Offline()
    if found.other_formats:
        raise PlatformError(
            f"{host} is live, but not as HLS: of what yt-dlp finds nothing else is recorded")
    return judge_words(found.said, host)


def judge_words(said: tuple[str, ...], host: str) -> Offline:
    """What yt-dlp says where it found nothing. Raises PlatformError, Unknown."""
    # Its error comes last, and is the reason; warnings come before it.
    words = " ".join(reversed(said)).lower().replace("\u2019", "'")
    if _OFFLINE.search(words):
        return Offline()
    if _UNKNOWN in words:
        raise Unknown(no_stream("HTML"))
    for pattern, trouble, sentence in _HINTS:
        if re.search(pattern, words):
            raise PlatformError(f"{host} {sentence}", trouble)
    last = said[-1].partition("; please report")[0] if said else "nothing"
    raise PlatformError(f"yt-dlp finds no stream on the page and says: {last[:_SAID_MAX]}")
