"""How a recording becomes its file: for all by the settings, for a channel by its own. Pure.

Made by the configuration; asked by `brlib.assembly` and by storage's rules; the web takes a
channel's own from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from .encoding import Encoding

MODES = ("copy", "concatenate", "reencode")
TIMINGS = ("live", "after")
CAPTURE_AFTER = ("delete", "keep", "archive")


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
