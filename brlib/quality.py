"""Which of the streams on offer fits the quality someone asked for.

Pure; called by the platforms when they open a stream and by the API to check input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SOURCE = "source"
AUDIO_ONLY = "audio_only"
ALIASES = {"best": SOURCE}
LADDER = ("1440p60", "1080p60", "1080p", "720p60", "720p", "480p", "360p", "160p")
QUALITIES = (SOURCE, *LADDER, AUDIO_ONLY)

_PIXELS = re.compile(r"^(?P<height>\d+)p(?P<fps>\d+)?")
_BITRATE = re.compile(r"^(?P<kbit>\d+(?:\.\d+)?)k(?:_|$)")


def known(quality: str) -> str | None:
    """The canonical name of a quality that may be asked for, or None."""
    quality = ALIASES.get(quality, quality)
    return quality if quality in QUALITIES else None


def rank(name: str) -> tuple[float, float] | None:
    """(height, frames per second) of a stream name such as `720p60`; None for other names.

    Names without a frame rate mean 30, as streamlink 8.6 gives them.
    """
    if match := _PIXELS.match(name):
        return float(match["height"]), float(match["fps"] or 30)
    if match := _BITRATE.match(name):
        return 0.0, float(match["kbit"])
    return None


def choose(offered: Iterable[str], wanted: str) -> str | None:
    """The offered name for `wanted`: itself, else the next lower, else the next higher.

    `source` is the highest rank; names without a rank (streamlink's `live` for a bare
    media playlist) only serve when nothing ranked is there. None when nothing is offered.
    """
    names = [n for n in offered if n not in ("best", "worst") and not n.endswith("-unfiltered")]
    if wanted in names:
        return wanted
    audio = [n for n in names if n in (AUDIO_ONLY, "audio")]
    if wanted == AUDIO_ONLY and audio:
        return audio[0]
    # Of two alike, streamlink names the second `…_alt`: the plain one sorts above it.
    ranked = sorted(((r, "_" not in n, n) for n in names if (r := rank(n)) is not None))
    if not ranked:
        others = [n for n in names if n not in audio]
        return next(iter(others or audio), None)
    if wanted == SOURCE:
        return ranked[-1][-1]
    goal = rank(wanted) or (0.0, 0.0)
    lower = [name for height_fps, _, name in ranked if height_fps <= goal]
    higher = [name for height_fps, _, name in ranked if height_fps == ranked[0][0]]
    return lower[-1] if lower else higher[-1]
