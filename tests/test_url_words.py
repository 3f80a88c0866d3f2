"""What yt-dlp's findings on a page are taken for: something to look at, offline, or trouble."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.platforms import Offline
from brlib.platforms.url_words import Unknown, judge
from brlib.platforms.ytdlp import Format, Found

HOST = "tv.example"
LATER = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
LIVE = Found("is_live", (Format("720p", "https://cdn.example/720p.m3u8", True, None, {}),), ())


def said(*words: str) -> Found:
    return Found(None, (), words)


@pytest.mark.parametrize(("found", "expected"), [
    (LIVE, None), (replace(LIVE, live_status="was_live"), Offline()),
    (replace(LIVE, live_status="not_live"), Offline()),
    (replace(LIVE, live_status=None), None),
    (Found("is_upcoming", (), ("Premieres later",), title="T", upcoming_at=LATER),
     Offline(LATER, "T")),
    (Found(None, (), (), other_formats=True), Offline()),
    (said("The channel is not currently live"), Offline()), (said("Stream is offline."), Offline()),
    (said("a warning", "This livestream has ended"), Offline()),
    (said("Streamer is not live"), Offline()),
])
def test_what_is_no_trouble(found: Found, expected: Offline | None) -> None:
    assert judge(found, HOST) == expected


@pytest.mark.parametrize(("found", "trouble", "says"), [
    (said("Unsupported URL: https://tv.example"), Trouble.ERROR, "page that streamlink or yt-dlp"),
    (said("Unable to download webpage: HTTP Error 403: Forbidden"), Trouble.BLOCKED, "refuses"),
    (said("HTTP Error 429: Too Many Requests"), Trouble.RATE_LIMITED, "no more requests"),
    (said("This video is only available for registered users"), Trouble.RESTRICTED, "logged in"),
    (said("This video is not available from your location due to geo restriction"),
     Trouble.RESTRICTED, "country"),
    (said("This video is DRM protected"), Trouble.RESTRICTED, "DRM"),
    (said("Unable to extract data; please report this issue on https://github.com"),
     Trouble.ERROR, "says: Unable to extract data$"),
    (said("song has been offline because of copyright"), Trouble.ERROR, "copyright"),
    (said(), Trouble.ERROR, "nothing"),
    (Found("is_live", (), (), other_formats=True), Trouble.ERROR, "not as HLS"),
])
def test_what_is_trouble(found: Found, trouble: Trouble, says: str) -> None:
    with pytest.raises(PlatformError, match=says) as raised:
        judge(found, HOST)
    assert raised.value.trouble is trouble
    assert isinstance(raised.value, Unknown) is ("Unsupported" in "".join(found.said))
