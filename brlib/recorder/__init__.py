"""Active recordings: from a live broadcast to a closed capture."""

from .active import ActiveRecording
from .base import Capture, Captures, Outside, Over, Session
from .facts import gap as gap_facts
from .recorder import Recorder

__all__ = [
    "ActiveRecording", "Capture", "Captures", "Outside", "Over", "Recorder", "Session", "gap_facts",
]
