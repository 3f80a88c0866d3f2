"""What a person may tell FFmpeg's encoders in their own words. Pure.

The text of `ffmpeg_arguments` is read by the configuration and by a channel's `processing`.
Only what shapes the encoding is let through (for filters see `brlib.media_filters`): nothing that
opens a file, an address, another input or another output, and nothing that would break the proof
of the finished file. FFmpeg 7 reads the value of `-/name` and of a filter's `/name=` from a file,
so that no name with a slash is one of ours.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from .media_filters import PICTURE, SOUND, Form, Range, problem

TEXT_MAX = 1000

_WORD = Form(r"[A-Za-z0-9_.]{1,40}")
_RATE = Range(0, 400_000_000, unit=True)
_FRAMES = Range(0, 3000)
_QUALITY = Range(-1, 63)
# Neither -r nor -fpsmax: they would go against -fps_mode, which keeps each frame; there is the
# filter fps.
_OPTIONS: dict[str, Range | Form] = {
    "-preset": _WORD, "-tune": Form(r"[a-z]{1,20}(,[a-z]{1,20}){0,3}"), "-profile:v": _WORD,
    "-level": _WORD, "-tier": _WORD, "-pix_fmt": _WORD, "-quality": _WORD,
    "-deadline": _WORD, "-b:v": _RATE, "-maxrate": _RATE, "-minrate": _RATE, "-bufsize": _RATE,
    "-g": _FRAMES, "-keyint_min": _FRAMES, "-bf": Range(0, 16), "-refs": Range(0, 16),
    "-qmin": _QUALITY, "-qmax": _QUALITY, "-sc_threshold": Range(0, 100),
    "-cpu-used": Range(-8, 8), "-row-mt": Range(0, 1), "-tile-columns": Range(0, 6),
    "-tile-rows": Range(0, 6), "-rc-lookahead": Range(0, 100), "-aq-mode": Range(0, 4),
    "-threads": Range(0, 32), "-aspect": Form(r"[1-9][0-9]{0,3}[:/][1-9][0-9]{0,3}"),
    "-color_primaries": _WORD, "-color_trc": _WORD, "-colorspace": _WORD, "-color_range": _WORD,
    "-b:a": Range(500, 2_000_000, unit=True), "-ac": Form("[1268]"),
    "-ar": Range(8000, 96_000), "-vbr": _WORD, "-application": _WORD,
    "-compression_level": Range(0, 10), "-cutoff": Range(0, 24_000), "-profile:a": _WORD,
}
_FILTERS = {"-vf": PICTURE, "-af": SOUND}
_SAME = {"-level:v": "-level", "-filter:v": "-vf", "-filter:a": "-af"}
_SET_BY = {
    "-c": "video_codec and audio_codec", "-codec": "video_codec and audio_codec",
    "-c:v": "video_codec", "-vcodec": "video_codec", "-codec:v": "video_codec",
    "-c:a": "audio_codec", "-acodec": "audio_codec", "-codec:a": "audio_codec",
    "-crf": "crf", "-cq": "crf", "-qp": "crf", "-f": "container",
    "-hwaccel": "hardware_acceleration", "-vaapi_device": "hardware_acceleration",
    "-init_hw_device": "hardware_acceleration",
}


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
    found: dict[str, str] = {}
    for at in range(0, len(words), 2):
        name = words[at]
        _check_name(name)
        if at + 1 == len(words):
            raise ValueError(f"{name} needs a value")
        value, known = words[at + 1], _SAME.get(name, name)
        if known in found:
            raise ValueError(f"{name} stands twice" + (
                ": put the filters in one, by commas" if known in _FILTERS else ""))
        if known in _FILTERS:
            wrong = problem(value, _FILTERS[known])
        else:
            wrong = None if _OPTIONS[known].takes(value) else "cannot have that value"
        if wrong:
            raise ValueError(f"{name} {wrong}")
        found[known] = value
    picture, sound = found.pop("-vf", ""), found.pop("-af", "")
    return Arguments(tuple(word for pair in found.items() for word in pair), picture, sound)


def _check_name(name: str) -> None:
    if not name.startswith("-"):
        raise ValueError(f"may name no file: {name!r} is no option")
    if name in _SET_BY:
        raise ValueError(f"{name} is set by {_SET_BY[name]}")
    if _SAME.get(name, name) not in (*_OPTIONS, *_FILTERS):
        raise ValueError(f"{name!r} is none of the options that can be used: "
                         + " ".join(sorted((*_OPTIONS, *_FILTERS))))
