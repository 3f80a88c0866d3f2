"""What of streamlink is never used here, left out when it is loaded.

`processoutput` runs programs and imports trio for that: 4 MiB, and a tenth of the whole start.
We run programs ourselves (`workers`), and sessions have the option that keeps streamlink from
asking FFmpeg for its version. Called by the server before anything imports streamlink; a part
that wants trio itself, a plugin with a browser, gets it as ever.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

NAME = "streamlink.utils.processoutput"


class ProcessOutput:
    """In the place of streamlink's; its own subclass is made of it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("streamlink is not to run programs here")


def leave_out() -> None:
    """Nothing where it is loaded already."""
    if NAME not in sys.modules:
        module = ModuleType(NAME, "Left out.")
        setattr(module, "ProcessOutput", ProcessOutput)
        sys.modules[NAME] = module
