"""Which daemon's: a mark in the data directory, which stands in its recordings' `.json` files.

Several daemons may write to one share. One whose store is rebuilt lists what it finds there, and
deletes it when it is old: that must not be another's. Read by `brlib.assembly` and
`brlib.adoption`.
"""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path

from .disk import name_new, sync, sync_names

log = logging.getLogger(__name__)

FILE = "daemon-mark"
_MARK = re.compile(r"[0-9a-f]{16}")


def kept_mark(data_directory: Path) -> str | None:
    """Made where there is none. None while it can be neither read nor made, which keeps nobody
    from recording."""
    path = data_directory / FILE
    try:
        if not path.exists():
            _make(path)
        text = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        log.warning("%s is not known: %s", path, error)
        return None
    return text if _MARK.fullmatch(text) else None


def _make(path: Path) -> None:
    new = path.with_name(f".{FILE}.{secrets.token_hex(4)}.part")
    try:
        new.write_text(secrets.token_hex(8) + "\n", "ascii")
        sync(new)
        name_new(new, path)
    except FileExistsError:
        log.debug("%s was made just now", path)
    finally:
        new.unlink(missing_ok=True)
    sync_names(path.parent)
