"""The nouns of channel images. Used by the files of this package and by the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

MEGABYTE = 1024 ** 2


class ImageKind(StrEnum):
    PROFILE = "profile"
    BANNER = "banner"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, of every image that is kept."""
        return (300, 300) if self is ImageKind.PROFILE else (1200, 400)

    @property
    def max_bytes(self) -> int:
        """What an upload, or a platform's image, may have."""
        return (5 if self is ImageKind.PROFILE else 10) * MEGABYTE


@dataclass(frozen=True)
class Image:
    """A JPEG of its kind's size. `etag` is another one after every change, in every part of
    it; `custom` is an upload, the others come from the platform."""

    path: Path
    etag: str
    modified_at: datetime
    size_bytes: int
    custom: bool
