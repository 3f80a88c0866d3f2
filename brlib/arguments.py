"""What a person may tell FFmpeg's encoders in their own words. Pure.

The text of `ffmpeg_arguments` is read by the configuration and by a channel's `processing`.
Only what shapes the encoding is let through: nothing that opens a file, an address, another
input or another output, and nothing that would break the proof of the finished file. FFmpeg 7
reads the value of `-/name` and of a filter's `/name=` from a file, so that no name with a slash
is one of ours.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

TEXT_MAX = 1000

_NUMBER = r"-?\d{1,9}(\.\d{1,6})?"
_RATE = r"\d{1,9}(\.\d{1,6})?[kKmM]?"
_WORD = r"[A-Za-z0-9_.]{1,40}"
_FRACTION = r"\d{1,9}(\.\d{1,6})?(/\d{1,9})?"
# What an option's value looks like; none of these can be a path or an address.
_OPTIONS = {
    "-preset": _WORD, "-tune": r"[a-z]+(,[a-z]+)*", "-profile:v": _WORD, "-level": _WORD,
    "-level:v": _WORD, "-tier": _WORD, "-pix_fmt": _WORD, "-quality": _WORD, "-deadline": _WORD,
    "-b:v": _RATE, "-maxrate": _RATE, "-minrate": _RATE, "-bufsize": _RATE,
    "-g": _NUMBER, "-keyint_min": _NUMBER, "-bf": _NUMBER, "-refs": _NUMBER, "-qmin": _NUMBER,
    "-qmax": _NUMBER, "-sc_threshold": _NUMBER, "-cpu-used": _NUMBER, "-row-mt": r"[01]",
    "-tile-columns": _NUMBER, "-tile-rows": _NUMBER, "-rc-lookahead": _NUMBER,
    "-aq-mode": _NUMBER, "-threads": r"\d{1,3}", "-r": _FRACTION, "-fpsmax": _FRACTION,
    "-aspect": r"\d{1,5}[:/]\d{1,5}", "-color_primaries": _WORD, "-color_trc": _WORD,
    "-colorspace": _WORD, "-color_range": _WORD,
    "-b:a": _RATE, "-ac": r"[1-8]", "-ar": r"\d{4,6}", "-vbr": _WORD, "-application": _WORD,
    "-compression_level": r"\d{1,2}", "-cutoff": r"\d{1,6}", "-profile:a": _WORD,
}
_PICTURE = frozenset((
    "bwdif", "colorbalance", "crop", "deband", "eq", "format", "fps", "gradfun", "hflip",
    "hqdn3d", "hue", "nlmeans", "pad", "rotate", "scale", "setdar", "setsar", "transpose",
    "unsharp", "vflip", "w3fdif", "yadif"))
_SOUND = frozenset((
    "acompressor", "aformat", "agate", "alimiter", "aresample", "bass", "compand", "dynaudnorm",
    "equalizer", "highpass", "loudnorm", "lowpass", "pan", "speechnorm", "treble", "volume"))
_FILTERS = {"-vf": _PICTURE, "-filter:v": _PICTURE, "-af": _SOUND, "-filter:a": _SOUND}
_SET_BY = {
    "-c": "video_codec and audio_codec", "-codec": "video_codec and audio_codec",
    "-c:v": "video_codec", "-vcodec": "video_codec", "-codec:v": "video_codec",
    "-c:a": "audio_codec", "-acodec": "audio_codec", "-codec:a": "audio_codec",
    "-crf": "crf", "-cq": "crf", "-qp": "crf", "-f": "container",
    "-hwaccel": "hardware_acceleration", "-vaapi_device": "hardware_acceleration",
    "-init_hw_device": "hardware_acceleration",
}
# A filter's own value: what arithmetic and lists are made of. No quotes, no backslash, no
# brackets: so a comma always ends the filter and a colon its value.
_VALUE = re.compile(r"[A-Za-z0-9_.+\-*()|<&%# /]*")
_KEY = re.compile(r"[A-Za-z0-9_]+")
_A_FILE = re.compile(r"file|path|url|device|log|load|dump", re.IGNORECASE)


@dataclass(frozen=True)
class Arguments:
    """Checked. The filters stand apart: some encoders need one of their own behind them."""

    options: tuple[str, ...] = ()
    picture: str = ""
    sound: str = ""


def read(text: str) -> Arguments:
    """`-preset slow -vf scale=-2:720`. Raises ValueError that says what cannot be used."""
    if len(text) > TEXT_MAX:
        raise ValueError(f"must have at most {TEXT_MAX} characters")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from error
    options: dict[str, str] = {}
    filters: dict[frozenset[str], str] = {}
    for at in range(0, len(words), 2):
        name, value = words[at], words[at + 1] if at + 1 < len(words) else None
        _check_name(name)
        if value is None:
            raise ValueError(f"{name} needs a value")
        if name in _FILTERS:
            known = _FILTERS[name]
            if known in filters:
                raise ValueError(f"{name} stands twice: put the filters in one, by commas")
            _check_filters(name, value, known)
            filters[known] = value
        elif not re.fullmatch(_OPTIONS[name], value):
            raise ValueError(f"{name} cannot have that value")
        elif name in options:
            raise ValueError(f"{name} stands twice")
        else:
            options[name] = value
    return Arguments(tuple(word for pair in options.items() for word in pair),
                     filters.get(_PICTURE, ""), filters.get(_SOUND, ""))


def _check_name(name: str) -> None:
    if not name.startswith("-"):
        raise ValueError(f"may name no file: {name} is no option")
    if name in _SET_BY:
        raise ValueError(f"{name} is set by {_SET_BY[name]}")
    if name not in _OPTIONS and name not in _FILTERS:
        raise ValueError(f"{name} is none of the options that can be used: "
                         + " ".join(sorted((*_OPTIONS, *_FILTERS))))


def _check_filters(name: str, value: str, known: frozenset[str]) -> None:
    for one in value.split(","):
        filter_name, sign, rest = one.partition("=")
        if filter_name not in known:
            raise ValueError(f"{name} can use these filters: " + " ".join(sorted(known)))
        for item in rest.split(":") if sign else ():
            key, has_key, own = item.rpartition("=")
            wrong = (has_key and not _KEY.fullmatch(key)) or not _VALUE.fullmatch(own)
            if wrong or _A_FILE.search(key) or own.startswith("/") or "//" in own:
                raise ValueError(f"{name} cannot have that value for {filter_name}")
