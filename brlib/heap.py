"""How the C library keeps memory: glibc's own ways suit programs with few threads.

It gives every thread that allocates an arena of its own (up to eight for each core) and keeps
what was freed in it; and after the first large block that was freed, large ones come from the
arenas, too, where small ones behind them hold them fast. With dozens of threads that read
segments and pages that is memory by the ten MiB. Called by the server before threads begin.
"""

from __future__ import annotations

import ctypes
import logging
import os

log = logging.getLogger(__name__)

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
SETTINGS = {M_ARENA_MAX: 2, M_MMAP_THRESHOLD: 128 * 1024, M_TRIM_THRESHOLD: 128 * 1024}


def settle() -> bool:
    """Few arenas, and large blocks by themselves; False where the C library has no such
    settings (musl), or someone has set them in the environment."""
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    done = [bool(mallopt(name, value)) for name, value in SETTINGS.items()]
    if not all(done):
        log.debug("mallopt takes not all of %s", SETTINGS)
    return all(done)
