"""What Twitch's video hosts list: a broadcast, its variants, and its segments with the ads in it.

Pure but for the broadcast's own state; used by `twitch`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

WEAVER = "video-weaver.fra02.hls.ttvnw.net"
WINDOW = 10
LIST_TYPE = "application/vnd.apple.mpegurl"
# Name, width, height, frames per second, bits per second.
VARIANTS = (("1080p60", 1920, 1080, 60, 6_000_000), ("720p60", 1280, 720, 60, 3_400_000),
            ("480p30", 852, 480, 30, 1_400_000), ("360p30", 640, 360, 30, 630_000),
            ("160p30", 284, 160, 30, 230_000), ("audio_only", 0, 0, 0, 160_000))
PORTRAIT = ("1440p60_portrait", 1440, 2560, 60, 9_000_000)
# What `tests.origin.Origin` has, and the folders it has it in.
ORIGIN = {"1080p60": "1080p60", "720p30": "720p", "360p30": "360p"}
ORIGIN_VARIANTS = (VARIANTS[0], ("720p30", 1280, 720, 30, 3_000_000), VARIANTS[3])


@dataclass(frozen=True)
class Piece:
    """A published segment."""

    num: int
    body: bytes
    duration_s: float
    ad: bool
    at: datetime


@dataclass
class Live:
    """One broadcast. `kind` is "live" or "rerun"; `broken` names variants whose playlist is
    answered with that status."""

    id: str
    title: str | None
    category: str | None
    viewers: int | None
    started_at: datetime
    kind: str = "live"
    origin: bool = False
    subscribers_only: bool = False
    restricted: tuple[str, ...] = ()
    variants: tuple[tuple[str, int, int, int, int], ...] = VARIANTS
    broken: dict[str, int] = field(default_factory=dict)
    ended: bool = False
    pieces: deque[Piece] = field(default_factory=lambda: deque(maxlen=WINDOW))


def master(live: Live, login: str, epoch: int, without: Collection[str] = ()) -> bytes:
    """Usher's list of variants; `epoch` makes addresses that are of today."""
    lines = ["#EXTM3U"]
    for name, width, height, fps, rate in live.variants:
        if name in without:
            continue
        lines += [
            f'#EXT-X-STREAM-INF:BANDWIDTH={rate},CODECS="avc1.64002A,mp4a.40.2",'
            f'STABLE-VARIANT-ID="{name.removesuffix("_portrait")}"'
            + (f",RESOLUTION={width}x{height},FRAME-RATE={fps}.000" if width else "")
            + (',IVS-GROUPS="portrait"' if name.endswith("_portrait") else ""),
            f"https://{WEAVER}/{ORIGIN[name]}/live.m3u8" if live.origin else
            f"https://{WEAVER}/v1/{epoch}/{login}/{live.id}/{name}.m3u8"]
    return "\n".join(lines).encode() + b"\n"


def playlist(live: Live) -> bytes:
    """With advertisements marked in both of Twitch's ways: a date range, and titles."""
    longest_s = max((one.duration_s for one in live.pieces), default=2.0)
    first = live.pieces[0].num if live.pieces else 0
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{max(1, round(longest_s))}",
             f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    before = False
    for ad, group in itertools.groupby(live.pieces, lambda one: one.ad):
        pieces = list(group)
        if ad:
            long_s = sum(one.duration_s for one in pieces)
            lines.append(
                f'#EXT-X-DATERANGE:ID="stitched-ad-{pieces[0].num}",CLASS="twitch-stitched-ad",'
                f'START-DATE="{stamp(pieces[0].at)}",DURATION={long_s:.3f},'
                f'X-TV-TWITCH-AD-ROLL-TYPE="MIDROLL",X-TV-TWITCH-AD-POD-FILLED-DURATION="{long_s}"')
        if ad != before:
            lines.append("#EXT-X-DISCONTINUITY")
        before = ad
        for one in pieces:
            lines += [f"#EXT-X-PROGRAM-DATE-TIME:{stamp(one.at)}",
                      f"#EXTINF:{one.duration_s:.3f},{'Amazon|1' if ad else 'live'}",
                      f"{one.num}.ts"]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if live.ended else [])]).encode() + b"\n"


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
