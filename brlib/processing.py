"""How a recording becomes its file: for all by the settings, for a channel by its own. Pure.

Made by the configuration; asked by `brlib.assembly` and by storage's rules; the web takes a
channel's own from here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

from . import arguments, encoding
from .encoding import AUDIO_CODECS, HARDWARE, VIDEO_CODECS, Encoding
from .ffmpeg import CONTAINERS

MODES = ("copy", "concatenate", "reencode")
TIMINGS = ("live", "after")
CAPTURE_AFTER = ("delete", "keep", "archive")
CRF_MAX = 63
# What a channel can have of its own, called as the options are, and what it may be.
CHOICES = {
    "processing_mode": MODES, "container": CONTAINERS, "processing_timing": TIMINGS,
    "capture_after": CAPTURE_AFTER, "video_codec": VIDEO_CODECS, "audio_codec": AUDIO_CODECS,
    "hardware_acceleration": HARDWARE,
}


@dataclass(frozen=True)
class Processing:
    mode: str
    container: str
    timing: str
    capture_after: str
    encoding: Encoding = Encoding()

    @property
    def live(self) -> bool:
        """Whether the file grows with the recording. Encoding takes more than a small machine has
        beside it, so that it waits for its turn."""
        return self.timing == "live" and self.mode != "reencode"


@dataclass(frozen=True)
class _Own:
    """A channel's; None is as the settings say, arguments "" are none."""

    processing_mode: str | None = None
    container: str | None = None
    processing_timing: str | None = None
    capture_after: str | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    crf: int | None = None
    hardware_acceleration: str | None = None
    ffmpeg_arguments: str | None = None


NAMES = tuple(field.name for field in fields(_Own))


@lru_cache(2048)
def merged(default: Processing, own: str | None) -> Processing:
    """`default` with what a channel has of its own, the JSON that `canonical` made. Raises
    ValueError for arguments that only an earlier version took."""
    if own is None:
        return default
    said, usual = _Own(**json.loads(own)), default.encoding
    return Processing(
        said.processing_mode or default.mode, said.container or default.container,
        said.processing_timing or default.timing, said.capture_after or default.capture_after,
        Encoding(
            said.video_codec or usual.video, said.audio_codec or usual.audio,
            usual.crf if said.crf is None else said.crf,
            said.hardware_acceleration or usual.hardware,
            usual.arguments if said.ffmpeg_arguments is None
            else arguments.read(said.ffmpeg_arguments)))


def clash(processing: Processing) -> tuple[str, str] | None:
    """An option that does not go with the others, and what is wrong with it."""
    if processing.mode != "reencode":
        return None
    return encoding.clash(processing.encoding, processing.container)


def canonical(data: Any) -> str:
    """The object of the API, checked, as JSON of one form. Raises ValueError that begins with
    the key's name where one is wrong."""
    if not isinstance(data, dict):
        raise ValueError("must be an object with " + ", ".join(NAMES))
    if unknown := [key for key in data if key not in NAMES]:
        raise ValueError(f"{unknown[0][:40]} is none of " + ", ".join(NAMES))
    return json.dumps(asdict(_Own(**{
        key: None if value is None else _checked(key, value) for key, value in data.items()})))


def _checked(key: str, value: Any) -> Any:
    if key in CHOICES:
        if value not in CHOICES[key]:
            raise ValueError(f"{key} must be one of " + ", ".join(CHOICES[key]))
        return value
    if key == "crf":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= CRF_MAX:
            raise ValueError(f"crf must be a whole number from 0 to {CRF_MAX}")
        return value
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text")
    try:
        return checked_arguments(value)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from error


def checked_arguments(text: str) -> str:
    """The text of `ffmpeg_arguments` as it stands. Raises ValueError."""
    try:
        arguments.read(text)
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from error
    return text
