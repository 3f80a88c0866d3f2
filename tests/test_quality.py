"""Tests of brlib.quality: which of streamlink's names serves a wish."""

from __future__ import annotations

import itertools
import random

import pytest

from brlib.quality import QUALITIES, choose, known, rank

TWITCH = ["audio_only", "160p", "360p", "480p", "720p60", "1080p60", "worst", "best"]
RATES = ["500k", "1500k", "3000k"]


@pytest.mark.parametrize("offered, wanted, expected", [
    pytest.param(TWITCH, "source", "1080p60", id="source is the highest"),
    pytest.param(TWITCH, "1080p60", "1080p60", id="on offer"),
    pytest.param(TWITCH, "1440p60", "1080p60", id="lower: 1440p60"),
    pytest.param(TWITCH, "1080p", "720p60", id="1080p60 is higher than 1080p"),
    pytest.param(TWITCH, "720p", "480p", id="720p60 is higher than 720p"),
    pytest.param(TWITCH, "160p", "160p", id="the lowest"),
    pytest.param(TWITCH, "audio_only", "audio_only", id="audio"),
    pytest.param(["720p", "480p"], "720p60", "720p", id="720p is lower than 720p60"),
    pytest.param(["1080p60", "720p60"], "480p", "720p60", id="nothing lower: the next higher"),
    pytest.param(["1080p60"], "160p", "1080p60", id="one for all"),
    pytest.param(["1080p50", "480p"], "1080p60", "1080p50", id="50 frames"),
    pytest.param(["2160p60", "1080p60"], "source", "2160p60", id="beyond the ladder"),
    pytest.param(["480p", "1080p60"], "audio_only", "480p", id="no audio: the lowest"),
    pytest.param(["audio", "480p"], "audio_only", "audio", id="audio by another name"),
    pytest.param(["audio_only"], "720p", "audio_only", id="nothing but audio"),
    pytest.param(["audio_only", "live"], "720p", "live", id="live before audio"),
    pytest.param(["live"], "480p", "live", id="bare media playlist"),
    pytest.param(["live"], "source", "live", id="bare media playlist, source"),
    pytest.param(["live", "720p"], "source", "720p", id="ranked before live"),
    pytest.param(RATES, "source", "3000k", id="highest bitrate"),
    pytest.param(RATES, "720p", "3000k", id="bitrates are lower than any height"),
    pytest.param(RATES, "audio_only", "500k", id="lowest bitrate"),
    pytest.param(["64.5k", "500k"], "audio_only", "64.5k", id="fraction of a bitrate"),
    pytest.param(["720p", "500k"], "source", "720p", id="a height before a bitrate"),
    pytest.param(["720p_alt", "720p"], "720p60", "720p", id="plain before alt, lower"),
    pytest.param(["1080p60", "1080p60_alt"], "source", "1080p60", id="plain before alt, source"),
    pytest.param(["720p_alt", "720p"], "480p", "720p", id="plain before alt, higher"),
    pytest.param(["720p_alt", "480p"], "source", "720p_alt", id="alt where it is the highest"),
    pytest.param(["500k_alt", "500k", "64k"], "source", "500k", id="plain bitrate before alt"),
    pytest.param(["500k_alt", "64k"], "source", "500k_alt", id="alt bitrate"),
    pytest.param(["source", "720p"], "source", "source", id="a stream called source"),
    pytest.param(["720p", "best-unfiltered", "worst-unfiltered"], "source", "720p",
                 id="unfiltered aliases"),
    pytest.param(["worst", "best"], "source", None, id="aliases alone are nothing"),
    pytest.param([], "source", None, id="nothing"),
])
def test_choose(offered: list[str], wanted: str, expected: str | None) -> None:
    for order in itertools.islice(itertools.permutations(offered), 200):
        assert choose(order, wanted) == expected


def test_next_lower_else_next_higher_whatever_is_offered() -> None:
    dice = random.Random(7)
    names = [f"{height}p{fps}" for height in (144, 160, 240, 360, 480, 720, 1080, 1440, 2160)
             for fps in ("", "50", "60")]
    for _ in range(500):
        offered = dice.sample(names, dice.randint(1, 6))
        wanted = dice.choice([q for q in QUALITIES if rank(q)])
        chosen = choose(offered, wanted)
        goal = rank(wanted)
        ranks = sorted(r for n in offered if (r := rank(n)))
        assert chosen is not None and goal is not None
        assert rank(chosen) == max((r for r in ranks if r <= goal), default=ranks[0])


@pytest.mark.parametrize("name, expected", [
    ("source", "source"), ("best", "source"), ("720p60", "720p60"), ("audio_only", "audio_only"),
    ("worst", None), ("721p", None), ("", None), ("720P60", None),
])
def test_known(name: str, expected: str | None) -> None:
    assert known(name) == expected


@pytest.mark.parametrize("name, expected", [
    ("1080p60", (1080, 60)), ("720p", (720, 30)), ("720p_alt", (720, 30)), ("500k", (0, 500)),
    ("audio_only", None), ("live", None), ("best", None), ("", None), ("p60", None),
    ("4kids", None),
])
def test_rank(name: str, expected: tuple[float, float] | None) -> None:
    assert rank(name) == expected
