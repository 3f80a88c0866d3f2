"""Assembly: from a capture to finished, proven files, one FFmpeg per recording."""

from .assembly import Assembly
from .base import NothingLeft

__all__ = ["Assembly", "NothingLeft"]
