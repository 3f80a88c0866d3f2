"""Assembly: from a capture to finished, proven files, one FFmpeg per recording."""

from .assembly import Assembly

__all__ = ["Assembly"]
