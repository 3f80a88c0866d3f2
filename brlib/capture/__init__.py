"""Capture: a live stream's segments, whole, in order, once, on disk."""

from .base import Timeouts
from .capture import Capture
from .session import Session

__all__ = ["Capture", "Session", "Timeouts"]
